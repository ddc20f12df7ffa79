"""Whether ingestion slows down with the twins that it touches: its rate with a million of them, each as often as the others (ours), beside
its rate with a hundred (the rival). Everything goes through the whole pipeline, in interleaved rounds.
"""

from __future__ import annotations

import functools
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._result import compared
from benchmarks.ingest_vs_decode import BATCH, FIELDS, ingest, platform

from twinwright.telemetry.payloads import Delivery, Payload

FEW, MANY, QUICK_MANY = 100, 1_000_000, 20_000
ROUND = 20  # batches: each of the many is touched once in a round


@functools.cache
def _values() -> list[bytes]:
    """What stands behind the twin in the payloads of a batch."""
    rng = random.Random(7)
    return [json.dumps({name: round(rng.uniform(0, 1_000), 3) for name in FIELDS})[1:].encode() for _ in range(BATCH)]


def payloads(start: int, twins: int, rng: random.Random) -> list[bytes]:
    """A batch of payloads of six values, the twins in turn, all of them each second; one in twenty is sent twice."""
    values, shift = _values(), rng.randrange(BATCH)
    made, head, current = [], b"", -1
    for index in range(start, start + BATCH):
        second, twin = divmod(index, twins)
        if second != current:
            current, head = second, time.strftime('{"ts": "%Y-%m-%dT%H:%M:%SZ", "id": "pump-', time.gmtime(1_772_352_000 + second)).encode()
        made.append(b'%s%d", %s' % (head, twin, values[(index + shift) % BATCH]))
    for _ in range(BATCH // 20):
        made[rng.randrange(BATCH)] = made[rng.randrange(BATCH)]
    return made


def measure(quick: bool) -> dict[str, Any]:
    """Payloads per second of each side, medians of rounds; the first round of each compiles and meets its twins."""
    many, rounds = (QUICK_MANY, 3) if quick else (MANY, 7)
    rng = random.Random(7)
    seconds: dict[int, list[float]] = {FEW: [], many: []}
    with tempfile.TemporaryDirectory() as folder:
        platforms = {}
        for twins in seconds:
            (Path(folder) / str(twins)).mkdir()
            platforms[twins] = platform(Path(folder) / str(twins), twins)
        for index in range(rounds):
            for twins, (_store, _state, pipeline) in platforms.items():
                batches = [payloads((index * ROUND + part) * BATCH, twins, rng) for part in range(ROUND)]
                deliveries = [Delivery("pump", tuple(map(Payload, batch))) for batch in batches]
                seconds[twins].append(ingest(pipeline, deliveries) / len(deliveries))
        for store, _state, pipeline in platforms.values():
            pipeline.close()
            store.close()
    ours, rival = (BATCH / statistics.median(seconds[twins][1:]) for twins in (many, FEW))
    return compared(f"ingest_{many}_twins_touched", ours, rival, "payloads/s")


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
