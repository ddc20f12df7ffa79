"""An aggregate over every twin, of what was observed of each in the last hour: no anchor, and a window of history.

A store holds a reading a twin, each within the hour. Ours is the time of the query over a large graph, the rival that over a small one.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._result import compared
from benchmarks.http_point_read import made

from twinwright.platform.local import LocalPlatform

ASKED = "SELECT COUNT() AS n, AVG(HISTORY(T.pressure, 'PT1H', 'avg')) AS mean FROM DIGITALTWINS T WHERE T.flow > 10"
TIMES = 5


def milliseconds(twins: int) -> float:
    """The median, once the graph is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        made(Path(folder), twins)
        platform = LocalPlatform.open(Path(folder))
        try:
            spent = []
            for _ in range(TIMES + 1):
                began = time.perf_counter()
                (row,) = platform.query(ASKED)["value"]
                spent.append((time.perf_counter() - began) * 1e3)
                assert 0.85 * twins < row["n"] < 0.95 * twins and 40 < row["mean"] < 60
        finally:
            platform.close()
    return statistics.median(spent[1:])


def measure(quick: bool) -> dict[str, Any]:
    """Milliseconds of a query over a large graph, and over a small one."""
    small, large = 10_000, 50_000 if quick else 1_000_000
    ours, rival = milliseconds(large), milliseconds(small)
    return compared(f"aggregate of a window of an hour, {large} twins", ours, rival, "ms", "lower")


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
