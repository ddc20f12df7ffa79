"""Kafka to durable, with journal and duplicate search, against a bare consumer that decodes the same records.

The rival consumes in batches with confluent-kafka and decodes each record with msgspec to a typed struct; ours is the connector and the
pipeline behind it, as the runner drives them. Both read the same four partitions of a real broker on this machine, interleaved.

`kafka_vs_loop`: against the loop that one would write, confluent-kafka and psycopg. It decodes each record, writes the values of a batch
by COPY into a table without an index together with the offsets, and commits: durable and exactly once, but without units, ranges, a journal
or a search for duplicates. Without PostgreSQL it is left out. Stream processors that have to be installed apart are not measured.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psycopg
from benchmarks.ingest_vs_decode import BATCH, FIELDS, Reading, payloads, platform
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from tests.connectors.kafka_broker import CanNotRunError, KafkaBroker
from tests.storage.postgres_server import Server, programs

from twinwright.connectors.kafka import KafkaSource
from twinwright.connectors.kafka_settings import KafkaBinding, KafkaSettings
from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.telemetry.connector import Bound

PARTITIONS = 4
TOPIC = "pumps"
_groups = itertools.count()


def fill(broker: KafkaBroker, batches: int) -> int:
    """Write the topic; how many records."""
    admin = AdminClient({"bootstrap.servers": broker.servers})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(60)
    producer = Producer({"bootstrap.servers": broker.servers, "linger.ms": 20, "queue.buffering.max.messages": 2_000_000})
    rng = random.Random(7)
    for index in range(batches):
        for number, body in enumerate(payloads(index * BATCH, BATCH, rng)):
            producer.produce(TOPIC, body, partition=number % PARTITIONS)
        producer.flush()
    return batches * BATCH


def bare(broker: KafkaBroker, count: int) -> float:
    """Seconds from the first records on."""
    group = f"bare{next(_groups)}"
    consumer = Consumer(
        {"bootstrap.servers": broker.servers, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    consumer.subscribe([TOPIC])
    decoder = msgspec.json.Decoder(Reading)
    decoded, started = 0, 0.0
    while decoded < count:
        messages = consumer.consume(10_000, 0.1)
        started = started or (time.perf_counter() if messages else 0.0)
        for message in messages:
            decoder.decode(message.value())
        decoded += len(messages)
    seconds = time.perf_counter() - started
    consumer.close()
    return seconds


def loop(broker: KafkaBroker, count: int, dsn: str) -> float:
    """Seconds from the first records on, the last of them durable."""
    group = f"loop{next(_groups)}"
    consumer = Consumer(
        {"bootstrap.servers": broker.servers, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    consumer.subscribe([TOPIC])
    decoder = msgspec.json.Decoder(Reading)
    written, started = 0, 0.0
    columns = ", ".join(f"{name} double precision NOT NULL" for name in FIELDS)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {group} (ts timestamptz NOT NULL, id text NOT NULL, {columns})".encode())
        connection.execute(f"CREATE TABLE {group}_offsets (partition int PRIMARY KEY, next bigint NOT NULL)".encode())
        while written < count:
            messages = consumer.consume(10_000, 0.1)
            started = started or (time.perf_counter() if messages else 0.0)
            if not messages:
                continue
            offsets = {message.partition(): message.offset() + 1 for message in messages}
            with connection.transaction(), connection.cursor() as cursor:
                with cursor.copy(f"COPY {group} FROM STDIN".encode()) as copy:
                    for message in messages:
                        copy.write_row(msgspec.structs.astuple(decoder.decode(message.value())))
                cursor.executemany(
                    f"INSERT INTO {group}_offsets VALUES (%s, %s) ON CONFLICT (partition) DO UPDATE SET next = excluded.next".encode(),
                    list(offsets.items()),
                )
            written += len(messages)
    seconds = time.perf_counter() - started
    consumer.close()
    return seconds


def ours(broker: KafkaBroker, count: int, folder: Path) -> float:
    """Seconds from the first delivery on, the last of them durable."""
    store, _state, pipeline = platform(folder)
    settings = KafkaSettings(bootstrap_servers=broker.servers, group=f"ours{next(_groups)}")
    source = KafkaSource("bus", settings, (Bound("pump", "json", KafkaBinding(topic=TOPIC)),))
    source.open(lambda contract, stream: store.position(LOCAL_ADMIN, contract, stream))
    received, started = 0, 0.0
    while received < count:
        delivery = source.poll(1.0)
        if delivery is not None:
            started = started or time.perf_counter()
            receipt = pipeline.submit(delivery)
            source.committed(delivery, receipt)
            received += receipt.received
    seconds = time.perf_counter() - started
    source.close()
    pipeline.close()
    store.close()
    return seconds


def measure(quick: bool) -> list[dict[str, Any]]:
    """Rates in records per second, of each side from the faster quartile of interleaved rounds."""
    result: dict[str, Any] = {"ours": None, "rival": None, "ratio": None, "unit": "records/s", "better": "higher"}
    server = None if programs() is None else Server()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            broker = KafkaBroker.make(folder)
        except CanNotRunError as reason:
            return [{**result, "name": "kafka_vs_consume", "unit": f"not measured: {reason}"}]
        broker.start()
        if server is not None:
            server.start("max_wal_size=4GB")
        try:
            count = fill(broker, 4 if quick else 20)
            rounds = 2 if quick else 5
            took = [
                (
                    ours(broker, count, _made(folder / f"store{index}")),
                    bare(broker, count),
                    loop(broker, count, server.dsn()) if server is not None else math.inf,
                )
                for index in range(rounds)
            ]
        finally:
            broker.stop()
            if server is not None:
                server.remove()
    mine, consumer, written = (count / float(np.percentile([one[side] for one in took], 25)) for side in (0, 1, 2))
    found = [{**result, "name": "kafka_vs_consume", "ours": round(mine), "rival": round(consumer), "ratio": round(mine / consumer, 4)}]
    if server is None:
        print("kafka_vs_loop: left out, PostgreSQL is not installed", file=sys.stderr)
        return found
    return [*found, {**result, "name": "kafka_vs_loop", "ours": round(mine), "rival": round(written), "ratio": round(mine / written, 4)}]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    for one in measure("--quick" in sys.argv):
        print(json.dumps(one))
