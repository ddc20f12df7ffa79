"""The same topic through Quix Streams, a stream processor of Kafka in Python, doing as much of the same as it can.

It runs in an interpreter of its own, with packages of its own (its pins and ours exclude each other), kept in the user's cache. A batch is
what it calls a checkpoint: 50,000 records, handed to a sink by partition, and their offsets committed after. Our sink for it writes as the
tuned loop of `_kafka_loop` does: binary COPY to a temporary table, and from there INSERT ... ON CONFLICT DO NOTHING to one with a key of
(twin, time), in a transaction for each partition of a checkpoint; so a repeat counts once, though a checkpoint may come twice. Payloads are
decoded by its JSON (orjson). What is of an unknown twin or lies ahead of the clock goes to a table of dead letters, a value out of range is
kept as missing and marked; received, accepted, duplicate and refused are counted.

What it leaves out: the journal (the payload is gone when a sink is asked), payloads that can't be decoded (they stop it), offsets in the
transaction, and what `_kafka_loop` leaves out.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

PACKAGES = ("quixstreams==3.28.1", "psycopg[binary]==3.3.9")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twinwright"
RECORDS = 50_000  # of a checkpoint
FIELDS = ("pressure", "flow", "speed", "current", "voltage", "temperature")
TWINS = 1_000
LOW, HIGH = -10.0, 10_000.0
SKEW = timedelta(seconds=30)


class NotInstalledError(Exception):
    """Its packages can't be had."""


def interpreter() -> Path:
    """Of the packages' own environment, which is made when it is first asked for. Raises NotInstalledError."""
    folder = CACHE / f"quix-{hashlib.sha256(' '.join(PACKAGES).encode()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        venv.create(part, with_pip=True)
        line = [str(part / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        done = subprocess.run(line, check=False, capture_output=True, text=True)
        if done.returncode:
            raise NotInstalledError(f"{PACKAGES[0]} can't be installed: {done.stderr.strip()[-300:]}")
        part.rename(folder)
    return python


def quix(python: Path, servers: str, topic: str, count: int, dsn: str, name: str) -> dict[str, float]:
    """`seconds` from the first of so many records on until the last is durable, and `cpu`, those of the processor."""
    line = [str(python), __file__, servers, topic, str(count), dsn, name]
    done = subprocess.run(line, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2_000:])
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


# --- in that interpreter -------------------------------------------------------------------------------------------------


def run(servers: str, topic: str, count: int, dsn: str, name: str) -> dict[str, float]:
    """Take so many records to tables of its own."""
    import psycopg
    from quixstreams import Application
    from quixstreams.sinks import BatchingSink, SinkBatch

    twins = {f"pump-{number}": number for number in range(TWINS)}
    connection = psycopg.connect(dsn, autocommit=True)
    columns = ", ".join(f"{one} double precision" for one in FIELDS)
    for statement in (
        f"CREATE TABLE {name} (twin integer NOT NULL, ts timestamptz NOT NULL, bad integer NOT NULL, {columns}, PRIMARY KEY (twin, ts))",
        f"CREATE TEMPORARY TABLE {name}_fresh (LIKE {name}) ON COMMIT DELETE ROWS",
        f"CREATE TABLE {name}_letters (reason text NOT NULL, part integer NOT NULL, at bigint NOT NULL, payload jsonb NOT NULL)",
        f"CREATE TABLE {name}_counts (received bigint, accepted bigint, duplicate bigint, refused bigint)",
    ):
        connection.execute(statement)
    times = {"first": 0.0, "last": 0.0}

    def row(one: dict[str, Any], latest: datetime) -> tuple[Any, ...] | str:
        twin = twins.get(one["id"])
        moment = datetime.fromisoformat(one["ts"])
        if twin is None or moment > latest:
            return "unknown_twin" if twin is None else "future_time"
        values: Iterable[float | None] = [one[field] for field in FIELDS]
        bad = 0
        if min(values) < LOW or max(values) > HIGH:
            bad = sum(1 << j for j, value in enumerate(values) if not LOW <= value <= HIGH)
            values = [value if LOW <= value <= HIGH else None for value in values]
        return (twin, moment, bad, *values)

    class Tables(BatchingSink):
        """A batch of a partition in one transaction."""

        def add(self, *given: Any, **named: Any) -> None:
            times["first"] = time.perf_counter()
            self.add = super().add  # asked once
            self.add(*given, **named)

        def write(self, batch: SinkBatch) -> None:
            latest, rows, letters = datetime.now(UTC) + SKEW, [], []
            for item in batch:
                made = row(item.value, latest)
                if isinstance(made, str):
                    letters.append((made, batch.partition, item.offset, json.dumps(item.value)))
                else:
                    rows.append(made)
            with connection.transaction(), connection.cursor() as cursor:
                with cursor.copy(f"COPY {name}_fresh FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types(["int4", "timestamptz", "int4", *["float8"] * len(FIELDS)])
                    for one in rows:
                        copy.write_row(one)
                accepted = cursor.execute(f"INSERT INTO {name} SELECT * FROM {name}_fresh ON CONFLICT DO NOTHING").rowcount
                if letters:
                    cursor.executemany(f"INSERT INTO {name}_letters VALUES (%s, %s, %s, %s)", letters)
                counts = [batch.size, accepted, len(rows) - accepted, len(letters)]
                cursor.execute(f"INSERT INTO {name}_counts VALUES (%s, %s, %s, %s)", counts)
            times["last"] = time.perf_counter()

    app = Application(
        servers, consumer_group=name, auto_offset_reset="earliest", commit_every=RECORDS, commit_interval=60.0, loglevel="ERROR"
    )
    app.dataframe(app.topic(topic, value_deserializer="json")).sink(Tables())
    cpu = time.process_time()
    app.run(count=count, collect=False)
    cpu = time.process_time() - cpu
    ((written, refused),) = connection.execute(f"SELECT sum(received), sum(refused) FROM {name}_counts").fetchall()
    assert written == count and not refused, (written, refused)
    return {"seconds": times["last"] - times["first"], "cpu": cpu}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5])))
