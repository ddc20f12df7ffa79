"""Fills a store until files may not grow any more, then lifts the limit. Prints what it saw as one JSON document.

    full_disk.py FOLDER LIMIT

The limit is the kernel's on the size of any file that this process writes (RLIMIT_FSIZE): a write past it fails as on a full disk.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.telemetry.plant import Plant, contract

from twinwright.clock import to_iso
from twinwright.errors import TwinwrightError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Selection
from twinwright.telemetry.payloads import Delivery, Payload


def delivery(number: int) -> Delivery:
    """A thousand readings with text that does not compress."""
    bodies = [
        json.dumps({"id": "pump-1", "ts": to_iso((number * 1_000 + at) * 1_000), "p": at / 7, "m": f"{hash((number, at)):x}" * 4}).encode()
        for at in range(1_000)
    ]
    return Delivery("pump", tuple(map(Payload, bodies)))


def main(folder: str, limit: int) -> None:
    plant = Plant(Path(folder) / "store.duckdb", [contract()])
    errors, taken, at = [], 0, 0
    plant.pipeline.submit(delivery(at))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    while len(errors) < 3 and at < 2_000:
        at += 1
        try:
            plant.pipeline.submit(delivery(at))
            taken += 1
        except TwinwrightError as error:
            errors.append({"type": type(error).__name__, "text": str(error)})
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    try:
        after = plant.pipeline.submit(delivery(at)).accepted
    except TwinwrightError as error:
        after = str(error)
    try:
        plant.close()
    except TwinwrightError as error:
        errors.append({"type": type(error).__name__, "text": str(error)})
    again = Plant(Path(folder) / "store.duckdb", [contract()])
    before = again.store.counts(SYSTEM)["pump"]
    rows = again.store.history(SYSTEM, Selection(paths=("pressure",))).num_rows
    last = again.pipeline.submit(delivery(at + 1))
    print(
        json.dumps(
            {
                "errors": errors,
                "taken": taken,
                "after": after,
                "accepted": before.accepted,
                "received": before.received,
                "rows": rows,
                "last": last.accepted,
                "cells": len(again.cells()),
            }
        )
    )
    again.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
