"""Replays a store and kills itself at a point of it.

replayer.py STORE POINT [MUTANT]
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.faults.sealer import mutate
from tests.telemetry.plant import Plant

from twinwright.governance.principals import SYSTEM
from twinwright.storage.duckdb_transaction import DuckDBTransaction
from twinwright.twins.state import StateCache

POINTS = {  # the function after which, how often it was called by then
    "read": (StateCache, "remaining", 1),
    "retracted": (DuckDBTransaction, "retract", 1),
    "half written": (DuckDBTransaction, "append_readings", 2),
    "counted": (DuckDBTransaction, "count", 1),
    "committed": (StateCache, "_made", 1),
    "materialised": (DuckDBTransaction, "save_cells", 1),
}


def die_after(owner: type, name: str, times: int) -> None:
    function, left = getattr(owner, name), [times]

    def last(*arguments, **named):
        done = function(*arguments, **named)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(owner, name, last)


def main(path: str, point: str, mutant: str = "") -> None:
    from tests.faults.test_replay_kill import narrowed

    if mutant:
        mutate(mutant)
    plant = Plant(Path(path), [narrowed()])
    die_after(*POINTS[point])
    plant.reprocessing.replay(SYSTEM, "pump", start=None, end=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
