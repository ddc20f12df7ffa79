"""Kafka to durable, with journal and duplicate search, against a bare consumer that decodes the same records.

The rival consumes in batches with confluent-kafka and decodes each record with msgspec to a typed struct; ours is the connector and the
pipeline behind it, as the runner drives them. Both read the same four partitions of a real broker on this machine, interleaved.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from benchmarks.ingest_vs_decode import BATCH, Reading, payloads, platform
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from tests.connectors.kafka_broker import CanNotRunError, KafkaBroker

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


def measure(quick: bool) -> dict[str, Any]:
    """Rates in records per second, of each side from the faster quartile of interleaved rounds."""
    result: dict[str, Any] = {
        "name": "kafka_vs_consume",
        "ours": None,
        "rival": None,
        "ratio": None,
        "unit": "records/s",
        "better": "higher",
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            broker = KafkaBroker.make(folder)
        except CanNotRunError as reason:
            return {**result, "unit": f"not measured: {reason}"}
        broker.start()
        try:
            count = fill(broker, 4 if quick else 20)
            rounds = 2 if quick else 5
            pairs = [(ours(broker, count, _made(folder / f"store{index}")), bare(broker, count)) for index in range(rounds)]
        finally:
            broker.stop()
    mine, theirs = (count / float(np.percentile([pair[side] for pair in pairs], 25)) for side in (0, 1))
    return {**result, "ours": round(mine), "rival": round(theirs), "ratio": round(mine / theirs, 4)}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
