"""Seals the days of a store, one by one and then together, again and again until it is killed or once, and says on standard
output when a step is done.

sealer.py STORE often|once [MUTANT]
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from twinwright.governance.principals import SYSTEM
from twinwright.storage.duckdb import DuckDBStore

STEP = 2_000  # readings
DAYS = 4  # sealed together: all that there are


def mutate(mutant: str) -> None:
    """Put a mutant's code in the place of the platform's."""
    spec = importlib.util.spec_from_file_location("mutant", mutant)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.apply()


def main(path: str, how: str, mutant: str = "") -> None:
    if mutant:
        mutate(mutant)
    store = DuckDBStore(Path(path))
    (table,) = store.reading_tables(SYSTEM)
    days = sorted({hour // 24 for hour in store.hours(SYSTEM, table.contract)})
    while True:
        for day, together in [*((day, 1) for day in days), (0, DAYS)]:
            for _ in store.seal(SYSTEM, table, day, STEP, together):
                os.write(1, b"step\n")
        if how == "once":
            store.close()
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
