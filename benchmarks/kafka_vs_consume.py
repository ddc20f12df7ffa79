"""Kafka to durable, with journal and duplicate search, against a bare consumer that decodes the same records, and against those who store.

`kafka_vs_consume`: the rival consumes in batches with confluent-kafka and decodes each record with msgspec to a typed struct; ours is the
connector and the pipeline behind it, as the runner drives them. All read the same four partitions of a real broker on this machine,
interleaved.

`kafka_vs_loop`: against confluent-kafka and psycopg with as much of the same guarantees as such a loop can have, tuned (`_kafka_loop`).
`kafka_vs_plain_loop`: against the loop as it is mostly written (`_kafka_plain_loop`). `kafka_vs_quix`: against Quix Streams, a stream
processor, into tables of PostgreSQL (`_kafka_quix`). `kafka_postgres_vs_loop`: our store on the rivals' server against the tuned loop. All
but the first are left out without PostgreSQL, and Quix Streams where it can't be installed.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from benchmarks._kafka_loop import BACKOFF_MS, loop
from benchmarks._kafka_plain_loop import plain_loop
from benchmarks._kafka_quix import NotInstalledError, interpreter, quix
from benchmarks._result import compared, left_out
from benchmarks.ingest_vs_decode import BATCH, Reading, furnished, payloads, platform
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from tests.connectors.kafka_broker import CanNotRunError, KafkaBroker
from tests.storage.postgres_server import Server, programs

from twinwright.connectors.kafka import KafkaSource
from twinwright.connectors.kafka_settings import KafkaBinding, KafkaSettings
from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.storage.postgres import PostgresStore
from twinwright.storage.protocol import Store
from twinwright.telemetry.connector import Bound
from twinwright.telemetry.pipeline import Pipeline
from twinwright.twins.state import StateCache

PARTITIONS = 4
TOPIC = "pumps"
SLOW_PART = 5  # of the records, what the slower rivals are given: their rate does not depend on it
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
        {
            "bootstrap.servers": broker.servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": BACKOFF_MS,
        }
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


def ours(broker: KafkaBroker, count: int, built: tuple[Store, StateCache, Pipeline]) -> float:
    """Seconds from the first delivery on, the last of them durable."""
    store, _state, pipeline = built
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


class Side(NamedTuple):
    """Who takes `count` records in a round, the seconds that it takes given the round's own folder, and the rates of all rounds."""

    count: int
    seconds: Callable[[Path], float]
    rates: list[float]


COMPARED = {
    "kafka_vs_consume": ("ours", "bare"),
    "kafka_vs_loop": ("ours", "loop"),
    "kafka_vs_plain_loop": ("ours", "plain"),
    "kafka_vs_quix": ("ours", "quix"),
    "kafka_postgres_vs_loop": ("ours on PostgreSQL", "loop"),
}


def measure(quick: bool) -> list[dict[str, Any]]:
    """Rates in records per second, of each side from the faster quartile of interleaved rounds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            broker = KafkaBroker.make(folder)
        except CanNotRunError as reason:
            return [left_out("kafka_vs_consume", "records/s", str(reason))]
        broker.start()
        server = None if programs() is None else Server()
        if server is not None:
            server.start("max_wal_size=4GB")
        try:
            sides = _sides(broker, server, fill(broker, 4 if quick else 20))
            for number in range(2 if quick else 5):
                (folder / f"round{number}").mkdir()
                for side in sides.values():
                    side.rates.append(side.count / side.seconds(folder / f"round{number}"))
        finally:
            broker.stop()
            if server is not None:
                server.remove()
    rates = {name: float(np.percentile(side.rates, 75)) for name, side in sides.items()}
    return [compared(name, rates[a], rates[b], "records/s") for name, (a, b) in COMPARED.items() if {a, b} <= rates.keys()]


def _sides(broker: KafkaBroker, server: Server | None, count: int) -> dict[str, Side]:
    """All that can be measured here; what can't is said."""
    servers, part = broker.servers, count // SLOW_PART
    sides = {
        "ours": Side(count, lambda folder: ours(broker, count, platform(folder)), []),
        "bare": Side(count, lambda _: bare(broker, count), []),
    }
    if server is None:
        print("all but kafka_vs_consume: left out, PostgreSQL is not installed", file=sys.stderr)
        return sides
    dsn = server.dsn()
    sides["loop"] = Side(count, lambda _: loop(servers, TOPIC, count, dsn), [])
    sides["ours on PostgreSQL"] = Side(count, lambda folder: ours(broker, count, furnished(PostgresStore(dsn, folder.name))), [])
    sides["plain"] = Side(part, lambda _: plain_loop(servers, TOPIC, part, dsn), [])
    try:
        python = interpreter()
    except NotInstalledError as reason:
        print(f"kafka_vs_quix: left out, {reason}", file=sys.stderr)
    else:
        sides["quix"] = Side(part, lambda folder: quix(python, servers, TOPIC, part, dsn, f"quix_{folder.name}")["seconds"], [])
    return sides


if __name__ == "__main__":
    for one in measure("--quick" in sys.argv):
        print(json.dumps(one))
