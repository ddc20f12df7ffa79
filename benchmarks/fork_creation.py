"""Making a fork of a workspace with many twins: nothing is copied, so it should cost no more than of one with few.

Ours is the time of `create_fork` on an open platform in the large workspace, the rival the same in the small one. Both are synced to the
disk. The second result is the first document read in a fresh fork, opening it included, which does grow: a platform's start does.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from benchmarks._result import compared

from twinwright.governance.principals import SYSTEM
from twinwright.platform.local import LocalPlatform
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.layout import Counts, Lifetime

INTERFACE = "dtmi:bench:Pump;1"
FORKS = 20
FILES = {
    "twinwright.toml": "",
    "schema/pump.json": json.dumps(
        {
            "@context": "dtmi:dtdl:context;3",
            "@id": INTERFACE,
            "@type": "Interface",
            "contents": [{"@type": "Property", "name": "level", "schema": "double"}],
        }
    ),
    "twins.yaml": f'twins:\n  - {{$dtId: pump-0, $metadata: {{$model: "{INTERFACE}"}}}}\n',
    "contracts/pump.yaml": 'name: pump\ntwin: "{id}"\ntime: {field: ts}\nobservations:\n  - {path: level, field: level}\n',
}


def fleet(folder: Path, twins: int) -> Path:
    """A workspace with a reading of each of its twins."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    platform = LocalPlatform.open(folder)
    platform.apply()
    platform.close()
    store = DuckDBStore(folder / ".twinwright" / "store.duckdb")
    (table,) = store.reading_tables(SYSTEM)
    first = 1 + max(life.number for life in store.lifetimes(SYSTEM))
    numbers = np.arange(first, first + twins, dtype=np.int32)
    with store.transaction(SYSTEM, "ingest") as transaction:
        transaction.declare_twins([Lifetime(number, f"pump-{number}", INTERFACE) for number in numbers.tolist()])
        zeros, commit = np.zeros(twins, np.int64), np.full(twins, transaction.commit)
        columns = {"commit": commit, "origin": commit, "twin": numbers, "time": zeros + transaction.at, "correction": zeros}
        columns |= {"marks": zeros.astype(np.int8), "bad0": zeros, "v0": np.random.default_rng(1).uniform(0, 1_000, twins)}
        transaction.append_readings(table, pa.table(columns))
        transaction.count(Counts(twins, twins), source=table.source)
    store.close()
    return folder


def milliseconds(folder: Path, twins: int) -> tuple[float, float]:
    """The median of making a fork, and the first document in one."""
    platform = LocalPlatform.open(fleet(folder, twins))
    spent = []
    for number in range(FORKS + 1):
        began = time.perf_counter()
        platform.create_fork(f"fork-{number}")
        if number:
            spent.append(time.perf_counter() - began)
    began = time.perf_counter()
    document = platform.fork("fork-1").state("pump-7")
    opened = time.perf_counter() - began
    assert "level" in document
    platform.close()
    return statistics.median(spent) * 1e3, opened * 1e3


def measure(quick: bool) -> list[dict[str, Any]]:
    """Milliseconds in a large workspace and in a small one."""
    small, large = 10_000, 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        spent = {twins: milliseconds(Path(folder) / str(twins), twins) for twins in (small, large)}
    return [
        compared(f"{name}_{large}_twins", spent[large][which], spent[small][which], "ms", "lower")
        for which, name in enumerate(("fork_created", "fork_first_read"))
    ]


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
