"""Kafka to durable, with journal and duplicate search, against a bare consumer that decodes the same records.

The rival consumes in batches with confluent-kafka and decodes each record with msgspec to a typed struct; ours is the connector and the
pipeline behind it, as the runner drives them. Both read the same four partitions of a real broker on this machine, interleaved.

`kafka_vs_loop`: against the loop that one would write, confluent-kafka and psycopg, with as much of the same guarantees as it can have
(see `_kafka_loop`). `kafka_postgres_vs_loop`: the same with our store on the rival's server. Both are left out without PostgreSQL. Stream
processors that have to be installed apart are not measured.
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
from benchmarks._kafka_loop import loop
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
            took = [_round(broker, count, _made(folder / f"store{index}"), server, index) for index in range(rounds)]
        finally:
            broker.stop()
            if server is not None:
                server.remove()
    rates = [count / float(np.percentile([one[side] for one in took], 25)) for side in range(4)]
    compared = {"kafka_vs_consume": (0, 1), "kafka_vs_loop": (0, 2), "kafka_postgres_vs_loop": (3, 2)}
    if server is None:
        print("kafka_vs_loop, kafka_postgres_vs_loop: left out, PostgreSQL is not installed", file=sys.stderr)
    return [
        {**result, "name": name, "ours": round(rates[a]), "rival": round(rates[b]), "ratio": round(rates[a] / rates[b], 4)}
        for name, (a, b) in compared.items()
        if server is not None or b == 1
    ]


def _round(broker: KafkaBroker, count: int, folder: Path, server: Server | None, index: int) -> tuple[float, float, float, float]:
    """Seconds of each side once: ours, the bare consumer, the loop, and ours on PostgreSQL."""
    embedded, consumer = ours(broker, count, platform(folder)), bare(broker, count)
    if server is None:
        return embedded, consumer, math.inf, math.inf
    written = loop(broker.servers, TOPIC, count, server.dsn())
    return embedded, consumer, written, ours(broker, count, furnished(PostgresStore(server.dsn(), f"ours{index}")))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    for one in measure("--quick" in sys.argv):
        print(json.dumps(one))
