"""One of several writers of a store: moves the position of one stream on, again and again, and prints how often that was its turn.

many_writers.py DSN SCHEMA TURNS
"""

import sys

from twinwright.errors import FenceError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Counts
from twinwright.storage.postgres import PostgresStore


def main(dsn, schema, turns):
    store = PostgresStore(dsn, schema, shared=True)
    moved = 0
    while (start := store.position(SYSTEM, "pump", "log")) < turns:
        try:
            with store.transaction(SYSTEM, "ingest") as transaction:
                transaction.move_positions("pump", [("log", start, start + 1)])
                transaction.journal("pump", "pump", 1, b"%d" % start, Counts(1, 1))
                transaction.count(Counts(1, 1), source="pump")
            moved += 1
        except FenceError:
            pass  # another was quicker
    store.close()
    print(moved)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
