"""Opens a store, whose file gives back what it does not use however small it is, and closes it.

reopener.py STORE [MUTANT]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.faults.sealer import mutate

from twinwright.storage import duckdb_smaller
from twinwright.storage.duckdb import DuckDBStore


def main(path: str, mutant: str = "") -> None:
    duckdb_smaller.LEAST_BYTES = 0
    if mutant:
        mutate(mutant)
    DuckDBStore(Path(path)).close()


if __name__ == "__main__":
    main(*sys.argv[1:])
