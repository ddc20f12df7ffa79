"""MQTT at QoS 1 to durable, with journal and duplicate search, against a bare paho consumer that decodes and acknowledges.

The rival decodes each message with msgspec to a typed struct in paho's callback, and acknowledges it then; ours is the connector and the
pipeline behind it, as the runner drives them. Each finds as many messages waiting in a session at a Mosquitto of the benchmark's own, and
may have as many in flight; interleaved. Time runs from the first message (ours: from connecting) to the last that is acknowledged.
Without Mosquitto it is left out.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import paho.mqtt.client as paho
from benchmarks._result import compared, left_out
from benchmarks.ingest_vs_decode import Reading, payloads, platform
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from twinwright.connectors.mqtt import MqttBinding, MqttSettings, MqttSource
from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.telemetry.connector import Bound

IN_FLIGHT = 20_000  # of both, as the connector asks for
_names = itertools.count()
_CONNECT_SECONDS = 30.0


class Mosquitto:
    """A broker on a loopback port."""

    def __init__(self, program: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        user = "user root\n" if os.geteuid() == 0 else ""
        limits = f"max_queued_messages 0\nmax_inflight_messages {IN_FLIGHT}\npersistence false\n"
        (folder / "mosquitto.conf").write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n{limits}{user}")
        self._process = subprocess.Popen(
            [program, "-c", str(folder / "mosquitto.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _CONNECT_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise TimeoutError("mosquitto does not listen")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


def fill(port: int, session: str, count: int) -> None:
    """Make the session, and have the broker hold so many messages for it."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    consumer = _client(session)
    subscribed = threading.Event()
    consumer.on_subscribe = lambda *_: subscribed.set()
    consumer.on_connect = lambda client, *_: client.subscribe("plant/+", 1)
    consumer.connect("127.0.0.1", port, clean_start=True, properties=properties)
    consumer.loop_start()
    assert subscribed.wait(_CONNECT_SECONDS)
    consumer.disconnect()
    consumer.loop_stop()
    publisher, connected = paho.Client(CallbackAPIVersion.VERSION2), threading.Event()
    publisher.max_inflight_messages_set(1_000)
    publisher.on_connect = lambda *_: connected.set()
    publisher.connect("127.0.0.1", port)
    publisher.loop_start()
    assert connected.wait(_CONNECT_SECONDS)
    bodies = payloads(0, count, random.Random(7))
    for at in range(0, count, 1_000):
        for info in [publisher.publish("plant/a", body, 1) for body in bodies[at : at + 1_000]]:
            info.wait_for_publish(60)
    publisher.disconnect()
    publisher.loop_stop()


def _client(name: str) -> paho.Client:
    return paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5, manual_ack=True)


def bare(port: int, session: str, count: int) -> float:
    """Seconds from the first message on."""
    decoder, done = msgspec.json.Decoder(Reading), threading.Event()
    consumed, began = 0, 0.0

    def on_message(client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        nonlocal consumed, began
        began = began or time.perf_counter()
        decoder.decode(message.payload)
        client.ack(message.mid, message.qos)
        consumed += 1
        if consumed == count:
            done.set()

    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    properties.ReceiveMaximum = IN_FLIGHT
    client = _client(session)
    client.on_message = on_message
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.loop_start()
    assert done.wait(600)
    seconds = time.perf_counter() - began
    client.disconnect()
    client.loop_stop()
    return seconds


def ours(port: int, session: str, count: int, folder: Path) -> float:
    """Seconds from the first delivery on, the last of them durable and acknowledged."""
    store, _state, pipeline = platform(folder)
    settings = MqttSettings(host="127.0.0.1", port=port, client_id=session, receive_maximum=IN_FLIGHT)
    source = MqttSource("plant", settings, (Bound("pump", "json", MqttBinding(topic="plant/{sensor}")),))
    began = time.perf_counter()  # messages come as soon as it is open
    source.open(lambda contract, stream: store.position(LOCAL_ADMIN, contract, stream))
    received = 0
    while received < count:
        delivery = source.poll(1.0)
        if delivery is not None:
            receipt = pipeline.submit(delivery)
            source.committed(delivery, receipt)
            received += receipt.received
    seconds = time.perf_counter() - began
    source.close()
    pipeline.close()
    store.close()
    return seconds


def measure(quick: bool) -> dict[str, Any]:
    """Messages per second of each side, from the faster quartile of interleaved rounds."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        return left_out("mqtt_vs_consume", "messages/s", "Mosquitto is not installed")
    count, rounds = (5_000, 2) if quick else (100_000, 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        broker = Mosquitto(program, folder)

        def filled(consume: Callable[[str], float]) -> float:
            session = f"session{next(_names)}"
            fill(broker.port, session, count)
            return consume(session)

        def mine(session: str) -> float:
            made = folder / session
            made.mkdir()
            return ours(broker.port, session, count, made)

        try:
            filled(mine)  # compiles
            pairs = [(filled(mine), filled(lambda session: bare(broker.port, session, count))) for _ in range(rounds)]
        finally:
            broker.stop()
    rates = [count / float(np.percentile([pair[side] for pair in pairs], 25)) for side in (0, 1)]
    return compared("mqtt_vs_consume", *rates, "messages/s")


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
