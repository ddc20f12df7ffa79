"""Kafka as a sink: a record for each change, keyed by twin, so that all of one twin are in one partition, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer
from pydantic import Field, field_validator

from twinwright.clock import SECOND
from twinwright.connectors.kafka_settings import ClusterSettings, client_config, topic_name
from twinwright.documents import Spec
from twinwright.errors import PlatformError
from twinwright.twins.changes import Change

_POLL_EVERY: Final = 500  # records between two looks at what the broker says


class KafkaSinkSettings(ClusterSettings):
    """A cluster, and the topic that changes go to."""

    topic: str = Field(description="the topic; it has to be there, or the broker to make it")

    _name = field_validator("topic")(topic_name)


class KafkaSink:
    """Records are acknowledged by all replicas in step, and a retry of the client's writes none twice (it is idempotent)."""

    Settings: ClassVar[type[Spec]] = KafkaSinkSettings

    def __init__(self, name: str, settings: KafkaSinkSettings) -> None:
        self._name, self._settings = name, settings
        self._producer: Producer | None = None
        self._failed: str | None = None

    def open(self) -> None:
        """Reach the cluster. Raises PlatformError where it can't be, or the topic is missing and not made."""
        self.close()
        try:
            self._producer = Producer(
                {
                    **client_config(self._settings),
                    "enable.idempotence": True,
                    "linger.ms": 20,
                    "compression.type": "lz4",
                    "message.timeout.ms": 30_000,
                    "error_cb": self._on_error,
                }
            )
            found = self._producer.list_topics(self._settings.topic, self._settings.connect_timeout / SECOND)
        except KafkaException as error:
            raise self._lost(str(error.args[0].str())) from error
        wrong = found.topics[self._settings.topic].error
        if wrong is not None and wrong.code() not in (KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART):
            raise self._lost(wrong.str())
        if wrong is not None and wrong.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            remedy = f"Make it: kafka-topics.sh --create --topic {self._settings.topic}"
            raise PlatformError(f"there is no topic '{self._settings.topic}'", where=self._settings.where, remedy=remedy)

    def write(self, batch: Sequence[Change]) -> None:
        """Produce and wait for every acknowledgement. Raises PlatformError where one is missing."""
        producer = self._producer
        if producer is None:
            raise PlatformError("it is not open", where=f"sink '{self._name}'", remedy="Open it first")
        self._failed = None
        for number, change in enumerate(batch):
            value = msgspec.json.encode(change.as_json())
            while True:
                try:
                    producer.produce(self._settings.topic, value, change.twin.encode(), on_delivery=self._on_delivery)
                    break
                except BufferError:  # the client's queue is full: let it send
                    producer.poll(0.5)
            if number % _POLL_EVERY == 0:
                producer.poll(0)
        left = producer.flush(60)
        if left or self._failed:
            raise self._lost(self._failed or f"{left} records were not acknowledged within a minute")

    def close(self) -> None:
        """What was not acknowledged is not waited for: it is written again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(1)

    def _on_delivery(self, error: KafkaError | None, _record: Any) -> None:
        if error is not None and self._failed is None:
            self._failed = error.str()

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._failed = error.str()

    def _lost(self, why: str) -> PlatformError:
        return PlatformError(f"Kafka doesn't take records: {why}", where=self._settings.where, remedy="It is tried again until it does")
