"""MQTT 3.1.1 and 5: subscribed at QoS 1 in a session that outlives us, each message acknowledged after it is durable.

What was delivered and not acknowledged, the broker delivers again when the session resumes (MQTT 5.0, section 4.4), so no
message is lost while the platform is away. For 3.1.1 the broker alone limits what is in flight (Mosquitto:
`max_inflight_messages`), and so the size of a batch; in version 5 `receive_maximum` asks for more.

A lost connection raises from `poll`: the runner opens a new one. An acknowledgement goes only to the connection that its
message came by; the identifiers of another mean other messages.

A session keeps its subscriptions: after a change of topics, messages of the old ones still come, and are passed over. Topics
of two contracts that overlap in part (`a/+` and `+/b`) may bring a message twice, which then counts as a duplicate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import field_validator

from twinwright.connectors.mqtt_connection import Connection, MqttSettings
from twinwright.connectors.topics import TopicTemplate, check_template
from twinwright.documents import Spec
from twinwright.errors import PlatformError, UsageError
from twinwright.telemetry.connector import Bound
from twinwright.telemetry.payloads import Delivery, Receipt

__all__ = ["MqttBinding", "MqttSettings", "MqttSource"]


class MqttBinding(Spec):
    """`topic`: a template such as `plant/{twin}/telemetry`; its captures go with each payload."""

    topic: str

    @field_validator("topic")
    @classmethod
    def _is_template(cls, value: str) -> str:
        problems = check_template(value)
        if problems:
            raise ValueError("; ".join(str(problem) for problem in problems))
        return value


class MqttSource:
    """A subscription to one broker; see the module. One connection lives from `open` to `close`."""

    Settings: ClassVar[type[Spec]] = MqttSettings
    Binding: ClassVar[type[Spec]] = MqttBinding

    def __init__(self, name: str, settings: MqttSettings, bound: tuple[Bound, ...]) -> None:
        self._name = name
        self._settings = settings
        self._templates = [(one.contract, TopicTemplate.parse(_topic(one))) for one in bound]
        self._connection: Connection | None = None

    def open(self, positions: Callable[[str, str], int]) -> None:  # noqa: ARG002 - the broker keeps the place
        """Connect, resume the session and subscribe. Raises PlatformError where the broker can't be reached or refuses."""
        self.close()
        self._connection = Connection(self._name, self._settings, self._templates)
        self._connection.start()

    def poll(self, timeout: float) -> Delivery | None:
        """Messages of one contract, at most `batch`. Raises PlatformError once the connection is lost."""
        return self._live().poll(timeout)

    def committed(self, delivery: Delivery, receipt: Receipt) -> None:  # noqa: ARG002 - what became of it is not asked
        """Acknowledge the messages of a delivery; one of an earlier connection is left alone, the broker repeats it."""
        if self._connection is not None:
            self._connection.acknowledge(delivery)

    def close(self) -> None:
        """Disconnect; the session, and what is not acknowledged, stays with the broker."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.stop()

    def _live(self) -> Connection:
        if self._connection is None:
            raise PlatformError("it is not open", where=f"connector '{self._name}'", remedy="Open it first")
        return self._connection


def _topic(bound: Bound) -> str:
    if not isinstance(bound.options, MqttBinding):
        raise UsageError(f"the source of contract '{bound.contract}' is not one of MQTT", remedy="Give it a `topic`")
    return bound.options.topic
