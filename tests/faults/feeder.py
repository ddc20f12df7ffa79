"""Feeds a store until it is killed, and says on standard output what was submitted and what was acknowledged, and when.

    feeder.py STORE KNOWN COUNT WINDOW PAUSE [MUTANT]

KNOWN is a file with the numbers of deliveries that were acknowledged before. COUNT deliveries are kept coming, up to WINDOW of them
waiting at a time, PAUSE seconds apart. Even ones are read from a stream with positions and resume where the store is; odd ones are
pushed, and pushed again unless they are known.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.telemetry.plant import Plant, contract

from twinwright.clock import SECOND, from_iso, to_iso
from twinwright.governance.principals import SYSTEM
from twinwright.storage import duckdb
from twinwright.telemetry.payloads import Delivery, Payload, Position

DISTINCT, REPEATED, BROKEN = 20, 3, 2  # readings of each delivery
BEGIN = from_iso("2026-03-01T00:00:00Z")
STREAM = "file"


def bodies(number: int) -> list[bytes]:
    """The payloads of a delivery: all its own, some twice, some broken."""
    start = BEGIN + number * DISTINCT * SECOND // 10
    own = [
        json.dumps({"id": f"pump-{1 + number % 2}", "ts": to_iso(start + at * SECOND // 10), "p": number + at / 100, "m": str(at)}).encode()
        for at in range(DISTINCT)
    ]
    return own + own[:REPEATED] + [b"broken %d %d" % (number, at) for at in range(BROKEN)]


def delivery(number: int) -> Delivery:
    positions = (Position(STREAM, number // 2, number // 2 + 1),) if number % 2 == 0 else ()
    return Delivery("pump", tuple(Payload(body) for body in bodies(number)), positions)


def say(*words: object) -> None:
    """One line, whole, at once: a pipe takes it or the process is dead."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def main(store: str, known: str, count: int, window: int, pause: float, mutant: str = "") -> None:
    if mutant:
        load(mutant).apply()
    duckdb._LOG_BYTES = os.environ.get("FEEDER_LOG_BYTES", duckdb._LOG_BYTES)  # a checkpoint now and then, which else would take hours
    plant = Plant(Path(store), [contract()])
    done = set(map(int, Path(known).read_text().split()))
    resumed = plant.store.position(SYSTEM, "pump", STREAM)
    todo = [number for number in range(count) if (number // 2 >= resumed if number % 2 == 0 else number not in done)]
    room = threading.Semaphore(window)
    say("ready")
    for number in todo:
        room.acquire()
        time.sleep(pause)
        say("submit", number, time.monotonic_ns())
        future = plant.pipeline.submit_soon(delivery(number))
        future.add_done_callback(lambda future, number=number: (say("ack", number, time.monotonic_ns()), room.release()))
    for _ in range(window):
        room.acquire()
    say("end")
    plant.close()


def load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("mutant", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), *sys.argv[6:])
