"""One connection to an MQTT broker: its settings, its session, and the messages that came by it until they are acknowledged."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions
from pydantic import Field

from twinwright.clock import SECOND
from twinwright.connectors.mqtt_wire import Loop, Published, Room, WireClient
from twinwright.connectors.settings import TlsSettings
from twinwright.connectors.topics import TopicTemplate, widest
from twinwright.documents import Duration, Spec
from twinwright.errors import PlatformError, UsageError
from twinwright.observability.logs import get_logger
from twinwright.telemetry.payloads import Delivery, Payload

_QOS: Final = 1
_REFUSED: Final = 0x80  # SUBACK codes from here on are failures
_RETAINED_TO_NEW_ONLY: Final = 1  # MQTT 5.0, section 3.8.3.1: retained messages only where the subscription is new
_TOPICS: Final = 65_536  # remembered
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


@dataclass(slots=True)
class _Message:
    """A message in flight; `open` counts the contracts that have not committed it, QoS 0 needs no acknowledgement."""

    id: int
    qos: int
    size: int
    open: int


_Pending = tuple[_Message, Payload]
_Target = tuple[deque[_Pending], Mapping[str, str]]


class Connection:
    """One network connection and the messages that came by it. The loop's thread brings them, the runner's takes them."""

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
        self._loop = Loop(self._client, max(1, settings.keepalive // SECOND), self._room, self._take, self._fail)
        self._topics: dict[bytes, list[_Target]] = {}

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
        self._loop.start()
        with self._changed:
            # A broker may send the backlog of the session before its answer, more of it than we take now: that is an answer too.
            answered = self._changed.wait_for(lambda: self._subscribed or self._failure is not None or self._in_flight > 0, timeout)
            if self._failure is not None or not answered:
                raise self._error(self._failure or f"it did not answer within {timeout:g} s")

    def stop(self) -> None:
        """Send what is acknowledged, and disconnect."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._loop.stop(self._settings.connect_timeout / SECOND)

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
            delivery = Delivery(contract, tuple([payload for _, payload in taken]))
            self._delivered.append((delivery, [message for message, _ in taken]))
            return delivery

    def acknowledge(self, delivery: Delivery) -> None:
        with self._changed:
            messages = [message for known, held in self._delivered if known is delivery for message in held]
            self._delivered = [(known, held) for known, held in self._delivered if known is not delivery]
            done = []
            for message in messages:
                message.open -= 1
                if not message.open:
                    self._bytes -= message.size
                    done.append(message)
            self._in_flight -= len(done)
        self._acknowledge((message.id, message.qos) for message in done)

    def _acknowledge(self, messages: Iterable[tuple[int, int]]) -> None:
        """On a connection that is lost an acknowledgement would be for another message, or for none."""
        if self._failure is not None:
            return
        once = []
        for number, qos in messages:
            if qos == _QOS:
                once.append(number)
            elif qos:
                self._client.ack(number, qos)
        self._loop.acknowledge(once)

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

    def _build(self, client_id: str) -> WireClient:
        five = self._settings.version == "5"
        client = WireClient(
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
        properties = Properties(PacketTypes.CONNECT)
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

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        """A message of QoS 2, from a subscription that another client left in the session."""
        try:
            topic = message.topic.encode()
        except UnicodeDecodeError:
            topic = b"\xff"
        self._take([Published(topic, message.mid, message.qos, bytes(message.payload))])

    def _room(self) -> Room:
        """Where the buffer is full nothing more is read: TCP then slows the broker."""
        if self._stopped:
            return Room(0, 0)
        return Room(self._settings.buffer_bytes - self._bytes, self._settings.receive_maximum - self._in_flight)

    def _take(self, messages: list[Published]) -> None:
        """Queue each message for each contract that covers its topic."""
        passed_over = []
        topics = self._topics
        with self._changed:
            for topic, number, qos, body in messages:
                targets = topics.get(topic)
                if targets is None:
                    targets = self._targets(topic)
                if not targets:  # the filter of a template with text in a level is wider than the template
                    passed_over.append((number, qos))
                    continue
                held = _Message(number, qos, len(body), len(targets))
                self._bytes += held.size
                self._in_flight += 1
                for queue, captures in targets:
                    queue.append((held, Payload(body, captures)))
            if messages:
                self._changed.notify_all()
        if passed_over:
            self._acknowledge(passed_over)

    def _targets(self, topic: bytes) -> list[_Target]:
        """Where messages of a topic go; looked up once for each topic, as long as there are not too many."""
        try:
            name = topic.decode()
        except UnicodeDecodeError:  # against MQTT 5.0, section 1.5.4: no contract can name such a topic
            self._log.warning("topic_not_utf8", broker=self._where)
            name = ""
        found: list[_Target] = [
            (self._queues[contract], captures) for contract, template in self._templates if (captures := template.match(name)) is not None
        ]
        if len(self._topics) >= _TOPICS:
            self._topics.clear()
        self._topics[topic] = found
        return found

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
