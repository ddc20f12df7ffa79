"""Delivers everything under keys, and again what it can't know to be durable, until it is killed.

    keyed_feeder.py STORE COUNT PAUSE [MUTANT]

The keys are the numbers of the deliveries: every life sends all of them, as a sender does that never heard of an acknowledgement.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.faults.feeder import bodies, load, say
from tests.telemetry.plant import Plant, contract

from twinwright.telemetry.idempotency import key_of
from twinwright.telemetry.payloads import Delivery, Payload

_WINDOW = 4


def main(store: str, count: int, pause: float, mutant: str = "") -> None:
    if mutant:
        load(mutant).apply()
    plant = Plant(Path(store), [contract()])
    flying: deque = deque()
    say("ready")
    for number in range(count):
        payloads = tuple(Payload(body) for body in bodies(number))
        flying.append((number, plant.pipeline.submit_soon(Delivery("pump", payloads, key=key_of(str(number), payloads)))))
        time.sleep(pause)
        while len(flying) > (_WINDOW if number + 1 < count else 0):
            done, future = flying.popleft()
            say("receipt", done, json.dumps(future.result().as_json()))
    say("end")
    plant.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:])
