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

import os
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions
from pydantic import Field, field_validator

from twinwright.clock import SECOND
from twinwright.connectors.settings import TlsSettings
from twinwright.connectors.topics import TopicTemplate, check_template, widest
from twinwright.documents import Duration, Spec
from twinwright.errors import PlatformError, UsageError
from twinwright.observability.logs import get_logger
from twinwright.telemetry.connector import Bound
from twinwright.telemetry.payloads import Delivery, Payload, Receipt

_QOS: Final = 1
_REFUSED: Final = 0x80  # SUBACK codes from here on are failures
_RETAINED_TO_NEW_ONLY: Final = 1  # MQTT 5.0, section 3.8.3.1: retained messages only where the subscription is new
_DAY: Final = 86_400 * SECOND


class MqttSettings(Spec):
    """A broker. Secrets are given by the names of environment variables, never here.

    `client_id` (default: `twinwright-` and the connector's name) names the session: two platforms on one broker need two.
    `session_expiry`: how long a broker of version 5 keeps what comes while we are away. `receive_maximum`: messages in
    flight. `batch`: messages in one delivery; `linger`: how long a delivery waits for more of them.
    """

    host: str = "localhost"
    port: int = Field(default=1883, ge=1, le=65_535)
    version: Literal["3.1.1", "5"] = "5"
    client_id: str | None = Field(default=None, min_length=1, max_length=128)
    username: str | None = None
    password_env: str | None = None
    tls: TlsSettings | None = None
    keepalive: Duration = 30 * SECOND
    session_expiry: Duration = 7 * _DAY
    connect_timeout: Duration = 10 * SECOND
    receive_maximum: int = Field(default=20_000, ge=1, le=65_535)
    batch: int = Field(default=10_000, ge=1, le=65_535)
    linger: Duration = 5_000
    buffer_bytes: int = Field(default=64 * 1024 * 1024, ge=1_024)


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


@dataclass(slots=True)
class _Message:
    """A message in flight; `open` counts the contracts that have not committed it, QoS 0 needs no acknowledgement."""

    id: int
    qos: int
    size: int
    open: int


@dataclass(slots=True)
class _Pending:
    message: _Message
    payload: Payload


class MqttSource:
    """A subscription to one broker; see the module. One connection lives from `open` to `close`."""

    Settings: ClassVar[type[Spec]] = MqttSettings
    Binding: ClassVar[type[Spec]] = MqttBinding

    def __init__(self, name: str, settings: MqttSettings, bound: tuple[Bound, ...]) -> None:
        self._name = name
        self._settings = settings
        self._templates = [(one.contract, TopicTemplate.parse(_topic(one))) for one in bound]
        self._connection: _Connection | None = None

    def open(self, positions: Callable[[str, str], int]) -> None:  # noqa: ARG002 - the broker keeps the place
        """Connect, resume the session and subscribe. Raises PlatformError where the broker can't be reached or refuses."""
        self.close()
        self._connection = _Connection(self._name, self._settings, self._templates)
        self._connection.start()

    def poll(self, timeout: float) -> Delivery | None:
        """Messages of one contract, at most `batch`. Raises PlatformError once the connection is lost."""
        return self._live().poll(timeout)

    def committed(self, delivery: Delivery, receipt: Receipt) -> None:  # noqa: ARG002
        """Acknowledge the messages of a delivery; one of an earlier connection is left alone, the broker repeats it."""
        if self._connection is not None:
            self._connection.acknowledge(delivery)

    def close(self) -> None:
        """Disconnect; the session, and what is not acknowledged, stays with the broker."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.stop()

    def _live(self) -> _Connection:
        if self._connection is None:
            raise PlatformError("it is not open", where=f"connector '{self._name}'", remedy="Open it first")
        return self._connection


class _Connection:
    """One network connection and the messages that came by it. paho's thread brings them, the runner's takes them."""

    def __init__(self, name: str, settings: MqttSettings, templates: list[tuple[str, TopicTemplate]]) -> None:
        self._settings = settings
        self._where = f"mqtt://{settings.host}:{settings.port}"
        self._templates = templates
        self._log = get_logger(__name__, connector=name)
        self._changed = threading.Condition()
        self._queues: dict[str, deque[_Pending]] = {contract: deque() for contract, _ in templates}
        self._turn = deque(self._queues)
        self._delivered: list[tuple[Delivery, list[_Message]]] = []
        self._bytes = 0
        self._in_flight = 0
        self._subscribed = False
        self._failure: str | None = None
        self._stopped = False
        self._client = self._build(settings.client_id or f"twinwright-{name}")

    def start(self) -> None:
        """Connect and wait until subscribed. Raises PlatformError."""
        five = self._settings.version == "5"
        arguments: dict[str, Any] = {"clean_start": False, "properties": self._connect_properties()} if five else {}
        timeout = self._settings.connect_timeout / SECOND
        self._client.connect_timeout = timeout
        try:
            self._client.connect(self._settings.host, self._settings.port, max(1, self._settings.keepalive // SECOND), **arguments)
        except (OSError, ValueError) as error:
            raise self._error(f"it can't be reached: {error}") from error
        self._client.loop_start()
        with self._changed:
            before = -1
            while not self._subscribed and self._failure is None and before < self._in_flight:
                before = self._in_flight  # a broker may send the backlog of the session before its answer: that is an answer too
                self._changed.wait_for(lambda: self._subscribed or self._failure is not None, timeout)
            if self._failure is not None or not self._subscribed:
                raise self._error(self._failure or f"it did not answer within {timeout:g} s")

    def stop(self) -> None:
        """Send what is acknowledged, and disconnect."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._client.disconnect()
        self._client.loop_stop()

    def poll(self, timeout: float) -> Delivery | None:
        deadline = time.monotonic() + timeout
        with self._changed:
            while not any(self._queues.values()):
                if self._failure is not None:
                    raise self._error(self._failure)
                left = deadline - time.monotonic()
                if left <= 0 or self._stopped:
                    return None
                self._changed.wait(left)
            contract = self._next_contract()
            queue = self._queues[contract]
            self._linger(queue)
            taken = [queue.popleft() for _ in range(min(len(queue), self._settings.batch))]
            delivery = Delivery(contract, tuple(pending.payload for pending in taken))
            self._delivered.append((delivery, [pending.message for pending in taken]))
            return delivery

    def acknowledge(self, delivery: Delivery) -> None:
        with self._changed:
            messages = [message for known, held in self._delivered if known is delivery for message in held]
            self._delivered = [(known, held) for known, held in self._delivered if known is not delivery]
            for message in messages:
                message.open -= 1
                if not message.open:
                    self._release(message)
            self._changed.notify_all()

    def _release(self, message: _Message) -> None:
        """Acknowledge one message; on a connection that is lost that would be for another message, or for none."""
        self._bytes -= message.size
        self._in_flight -= 1
        if message.qos and self._failure is None:
            self._client.ack(message.id, message.qos)

    def _next_contract(self) -> str:
        """The contracts take turns, so that a busy one does not starve the others."""
        while True:
            contract = self._turn[0]
            self._turn.rotate(-1)
            if self._queues[contract]:
                return contract

    def _linger(self, queue: deque[_Pending]) -> None:
        """Wait a moment for a fuller batch, as long as each moment brings more."""
        deadline = time.monotonic() + 10 * self._settings.linger / SECOND
        before = 0
        while before < len(queue) < self._settings.batch and self._failure is None and time.monotonic() < deadline:
            before = len(queue)
            self._changed.wait_for(lambda: len(queue) >= self._settings.batch or self._stopped, self._settings.linger / SECOND)

    def _build(self, client_id: str) -> paho.Client:
        five = self._settings.version == "5"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if five else False,
            protocol=paho.MQTTv5 if five else paho.MQTTv311,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        if self._settings.username is not None:
            client.username_pw_set(self._settings.username, self._password())
        if self._settings.tls is not None:
            client.tls_set_context(self._tls(self._settings.tls))
        elif self._settings.username is not None and self._settings.host not in ("localhost", "127.0.0.1", "::1"):
            self._log.warning("password_in_clear", broker=self._where, remedy="Give the connector a `tls` section")
        return client

    def _password(self) -> str | None:
        name = self._settings.password_env
        if name is None:
            return None
        if name not in os.environ:
            raise UsageError(f"the environment variable {name} is not set", where=self._where, remedy="Set it to the broker's password")
        return os.environ[name]

    def _tls(self, tls: TlsSettings) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=tls.ca)
            if tls.certificate is not None:
                context.load_cert_chain(tls.certificate, tls.key)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"the TLS files can't be used: {error}", where=self._where, remedy="Check `ca`, `certificate` and `key`"
            ) from error
        return context

    def _connect_properties(self) -> Properties:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = min(self._settings.session_expiry // SECOND, 0xFFFFFFFF)
        properties.ReceiveMaximum = self._settings.receive_maximum
        return properties

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._fail(f"it refuses the connection: {reason}")
            return
        filters = widest(template.filter for _, template in self._templates)
        if not filters:
            self._ready()
        elif self._settings.version == "5":
            client.subscribe([(one, SubscribeOptions(qos=_QOS, retainHandling=_RETAINED_TO_NEW_ONLY)) for one in filters])
        else:
            client.subscribe([(one, _QOS) for one in filters])

    def _on_subscribe(self, _client: paho.Client, _data: Any, _id: int, reasons: list[Any], _properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.value >= _REFUSED]
        if refused:
            self._fail(f"it refuses a subscription: {', '.join(refused)}")
        else:
            self._ready()

    def _on_message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        """Queue a message for each contract that covers its topic. Waits while the buffer is full: TCP then slows the broker."""
        try:
            topic = message.topic
        except UnicodeDecodeError:  # against MQTT 5.0, section 1.5.4: no contract can name such a topic
            self._log.warning("topic_not_utf8", broker=self._where)
            topic = ""
        found = [(contract, captures) for contract, template in self._templates if (captures := template.match(topic)) is not None]
        if not found:  # the filter of a template with text in a level is wider than the template
            client.ack(message.mid, message.qos)
            return
        held = _Message(message.mid, message.qos, len(message.payload), len(found))
        with self._changed:
            self._changed.wait_for(self._has_room)
            if self._stopped:
                return
            self._bytes += held.size
            self._in_flight += 1
            for contract, captures in found:
                self._queues[contract].append(_Pending(held, Payload(bytes(message.payload), captures)))
            self._changed.notify_all()

    def _has_room(self) -> bool:
        full = self._bytes >= self._settings.buffer_bytes or self._in_flight >= self._settings.receive_maximum
        return self._stopped or not full

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._fail(f"the connection is lost: {reason}")

    def _ready(self) -> None:
        with self._changed:
            self._subscribed = True
            self._changed.notify_all()

    def _fail(self, reason: str) -> None:
        """The first reason counts. What is queued is dropped: unacknowledged, it comes again."""
        with self._changed:
            if self._failure is None:
                self._failure = reason
            for queue in self._queues.values():
                queue.clear()
            self._changed.notify_all()

    def _error(self, what: str) -> PlatformError:
        remedy = "Check that the broker runs, that host, port, credentials and `tls` are right, and that no other client has this client_id"
        return PlatformError(what, where=self._where, remedy=remedy)


def _topic(bound: Bound) -> str:
    if not isinstance(bound.options, MqttBinding):
        raise UsageError(f"the source of contract '{bound.contract}' is not one of MQTT", remedy="Give it a `topic`")
    return bound.options.topic
