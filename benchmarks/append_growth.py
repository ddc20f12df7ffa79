"""Whether ingestion slows down as the store grows: its rate with much stored (ours) beside its rate with little (the rival).

Everything goes through the whole pipeline: decoding, contract, duplicate search, journal, durable commit. Beside the rate,
`resident()` samples the memory of the process, which the soak test holds to be bounded.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import psutil
from benchmarks._result import compared
from benchmarks.ingest_vs_decode import BATCH, payloads, platform

from twinwright.telemetry.payloads import Delivery, Payload, Receipt

IN_FLIGHT = 3
MEGABYTE = 1 << 20


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(psutil.Process().memory_info().rss)


def grow(folder: Path, readings: int) -> Iterator[tuple[int, float, int]]:
    """Ingest `readings`, keeping some deliveries in flight; yields (stored, seconds, bytes resident) after each million or less."""
    store, _state, pipeline = platform(folder)
    waiting: deque[Future[Receipt]] = deque()
    rng, made = random.Random(11), 0
    stored, spent, every = 0, 0.0, min(1_000_000, readings // 10)
    following = every
    while stored < readings:
        delivery = Delivery("pump", tuple(Payload(body) for body in payloads(made, BATCH, rng, repeats=0.0)))
        made += BATCH
        began = time.perf_counter()
        waiting.append(pipeline.submit_soon(delivery))
        while len(waiting) >= IN_FLIGHT or (waiting and stored + BATCH * len(waiting) >= following):
            receipt = waiting.popleft().result()
            assert receipt.accepted == BATCH, receipt
            stored += BATCH
        spent += time.perf_counter() - began
        if stored >= following:
            yield stored, spent, resident()
            spent, following = 0.0, following + every
    pipeline.close()
    store.close()


def measure(quick: bool) -> dict[str, Any]:
    """Readings per second near the end, and near a tenth or a twentieth of it."""
    little, much = (100_000, 1_000_000) if quick else (1_000_000, 20_000_000)
    with tempfile.TemporaryDirectory() as folder:
        steps = list(grow(Path(folder), much))
    rates = {stored: (stored - before) / spent for (stored, spent, _), (before, _, _) in zip(steps, [(0, 0.0, 0), *steps], strict=False)}
    near = [rate for stored, rate in rates.items() if little < stored <= 3 * little]  # the first step compiles and opens
    late = list(rates.values())[-len(near) :]
    ours, rival = sum(late) / len(late), sum(near) / len(near)
    return compared(f"append_growth_{much}_stored", ours, rival, "readings/s")


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
