"""How readings could be laid out in PostgreSQL, measured: the figures behind `NOTES.md`. Run: python -m benchmarks._postgres_layouts

Each variant takes the same batches (six values, 50,000 a commit, durable each) by binary COPY, in turns. What is printed is the faster
quartile of the wall time of a commit and its ratio to the plain table's, the size on the disk, and the time to read one twin's hour.
"""

from __future__ import annotations

import random
import statistics
import time
from typing import Any

import psycopg
from benchmarks.ingest_vs_decode import BATCH, FIELDS, rows_of_batch
from benchmarks.postgres_vs_copy import FIXED, copy_bare
from tests.storage.postgres_server import Server

from twinwright.clock import HOUR
from twinwright.storage.postgres_copy import packed

COMMITS = 24
BEGIN, DAY = 1_772_323_200_000_000, 24 * HOUR
COLUMNS = ", ".join([*(f"{column} NOT NULL" for column in FIXED), *(f"v{j} double precision" for j in range(len(FIELDS)))])
_TWIN_TIME, _BRIN = "CREATE INDEX ON {0} (twin, time)", "CREATE INDEX ON {0} USING brin (time) WITH (pages_per_range = 32)"
_PLAIN = f"CREATE TABLE {{0}} ({COLUMNS})"
_PARTED = [f"CREATE TABLE {{0}} ({COLUMNS}) PARTITION BY RANGE (time)"] + [
    f"CREATE TABLE {{0}}_{day} PARTITION OF {{0}} FOR VALUES FROM ({BEGIN + day * DAY}) TO ({BEGIN + (day + 1) * DAY})" for day in range(3)
]
VARIANTS = {
    "plain": [_PLAIN],
    "ranges of time": [_PLAIN, _BRIN],
    "index of (twin, time)": [_PLAIN, _TWIN_TIME],
    "sorted, index of (twin, time)": [_PLAIN, _TWIN_TIME],
    "sorted, both": [_PLAIN, _TWIN_TIME, _BRIN],
    "both": [_PLAIN, _TWIN_TIME, _BRIN],
    "partitions by day": _PARTED,
    "partitions, index of (twin, time)": [*_PARTED, _TWIN_TIME],
}


def main() -> None:
    """Print the table."""
    server, rng = Server(), random.Random(7)
    server.start("max_wal_size=4GB")
    try:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            names = {variant: f"t{number}" for number, variant in enumerate(VARIANTS)}
            for variant, name in names.items():
                for statement in VARIANTS[variant]:
                    connection.execute(statement.format(name).encode())
            spent: dict[str, list[float]] = {variant: [] for variant in names}
            for commit in range(COMMITS):
                rows = rows_of_batch(commit, rng)
                as_they_come, by_twin = packed(rows).data, packed(rows.sort_by([("twin", "ascending"), ("time", "ascending")])).data
                for variant in rng.sample(list(names), len(names)):
                    data = by_twin if variant.startswith("sorted") else as_they_come
                    spent[variant].append(copy_bare(connection, data, names[variant]))
            plain = _quartile(spent["plain"])
            for variant, name in names.items():
                quartile, size, read = _quartile(spent[variant]), _size(connection, name), _read(connection, name)
                print(
                    f"{variant:34s} {quartile * 1e3:7.1f} ms {quartile / plain:5.2f} {size / 1e6:7.1f} MB {read * 1e3:7.2f} ms read",
                    flush=True,
                )
    finally:
        server.remove()


def _quartile(seconds: list[float]) -> float:
    return statistics.quantiles(seconds[4:], n=4, method="inclusive")[0]


def _size(connection: psycopg.Connection[Any], name: str) -> float:
    mine = f"SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname ~ '^{name}(_|$)'"
    found = connection.execute(mine.encode()).fetchone()
    return float(found[0]) if found else 0.0


def _read(connection: psycopg.Connection[Any], name: str) -> float:
    """Seconds for a twin's rows of a twentieth of all the time there is."""
    connection.execute(f"ANALYZE {name}".encode())
    first, width = 1_772_352_000_000_000, COMMITS * BATCH * 1_000 // 20
    taken = []
    for twin in range(12):
        began = time.perf_counter()
        found = connection.execute(
            f"SELECT * FROM {name} WHERE twin = %s AND time >= %s AND time < %s".encode(), [twin, first, first + width]
        )
        assert found.fetchall()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
