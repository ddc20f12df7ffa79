"""Lets go of raw values of a store, a day at a time with its roll-ups, again and again until it is killed; it says when a step is done.

expirer.py STORE [MUTANT]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from tests.faults.sealer import mutate

from twinwright.governance.principals import SYSTEM
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.expiry import Expiry
from twinwright.storage.layout import Selection
from twinwright.twins.rollups import roll_up

WIDTH = 3_600_000_000
NOTHING = np.empty(0, np.int32), np.empty(0, np.int64)


def main(path: str, mutant: str = "") -> None:
    if mutant:
        mutate(mutant)
    store = DuckDBStore(Path(path))
    (table,) = store.reading_tables(SYSTEM)
    for hour in sorted(store.hours(SYSTEM, table.contract)):
        start, end = hour * WIDTH, (hour + 1) * WIDTH
        rows = store.history(SYSTEM, Selection(paths=("p",), start=start, end=end))
        with store.transaction(SYSTEM, "expire-history") as transaction:
            transaction.put_rollups(roll_up(rows, WIDTH, "kPa", "p"))
            twins = tuple(rows["twin"].unique().to_pylist())
            transaction.let_go(Expiry(table, tuple(range(len(table.columns))), twins, start, end, NOTHING))
        os.write(1, b"step\n")
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
