"""Write data/synthetic.csv: an hour of request rates of the shop, a slow wave with noise, and latencies that go with it. Synthetic."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def rows() -> Iterator[tuple[str, str, float, float]]:
    draw = random.Random(11)
    for minute in range(61):
        rate = 7.0 + 1.5 * math.sin(2 * math.pi * minute / 60) + draw.gauss(0.0, 0.3)
        latency = 320.0 + 12.0 * (rate - 7.0) + draw.gauss(0.0, 15.0)
        yield (START + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ"), "shop", round(rate, 2), round(latency, 1)


if __name__ == "__main__":
    with (Path(__file__).parent / "data" / "synthetic.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["ts", "service", "rps", "latency_ms"])
        writer.writerows(rows())
