"""The loop as it is mostly written: confluent-kafka, `json.loads`, `executemany`, and the group's offsets committed after.

A transaction for each 500 records, the next batch after it. A repeat counts once, because rows have a key of (twin, time) and are inserted
with ON CONFLICT DO NOTHING: so a crash between the transaction and the offsets does no harm. psycopg 3 sends the rows of an `executemany`
in one go (pipeline mode).

What it leaves out of what `_kafka_loop` does: dead letters (a payload that can't be read stops it), units, ranges, unknown twins, the
future, the journal, counts, offsets in the transaction.
"""

from __future__ import annotations

import itertools
import json
import time

import psycopg
from benchmarks.ingest_vs_decode import FIELDS
from confluent_kafka import Consumer

RECORDS = 500  # of a transaction
_numbers = itertools.count()


def plain_loop(servers: str, topic: str, count: int, dsn: str) -> float:
    """Seconds from the first of so many records on, until the last of them is durable and its offset committed."""
    name = f"plain{next(_numbers)}"
    columns, values = ", ".join(FIELDS), ", ".join(["%s"] * (2 + len(FIELDS)))
    insert = f"INSERT INTO {name} (twin, ts, {columns}) VALUES ({values}) ON CONFLICT DO NOTHING".encode()
    consumer = Consumer({"bootstrap.servers": servers, "group.id": name, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([topic])
    done, started = 0, 0.0
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        typed = ", ".join(f"{field} double precision" for field in FIELDS)
        cursor.execute(f"CREATE TABLE {name} (twin text, ts timestamptz, {typed}, PRIMARY KEY (twin, ts))".encode())
        connection.commit()
        while done < count:
            messages = consumer.consume(RECORDS, 0.1)
            if not messages:
                continue
            started = started or time.perf_counter()
            readings = [json.loads(message.value()) for message in messages]
            cursor.executemany(insert, [(one["id"], one["ts"], *(one[field] for field in FIELDS)) for one in readings])
            connection.commit()
            consumer.commit(asynchronous=False)
            done += len(messages)
        seconds = time.perf_counter() - started
    consumer.close()
    return seconds
