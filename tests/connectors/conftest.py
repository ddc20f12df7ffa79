"""A Mosquitto and a Kafka of one's own, and an intake that is a list."""

import io
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # the conformance suite is imported by its path from the root

from tests.connectors.kafka_broker import CanNotRunError, KafkaBroker

from twinwright.connectors.conformance import ListIntake
from twinwright.observability import logs


@pytest.fixture
def events():
    """What was logged until now, as a platform writes it."""
    stream, before = io.StringIO(), logging.getLogger().handlers[:]
    logs.configure("info", json=True, stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.getLogger().handlers[:] = before


@pytest.fixture
def intake():
    return ListIntake()


@dataclass
class Broker:
    """A Mosquitto process on a loopback port, with persistence, so that sessions outlive a restart."""

    folder: Path
    port: int
    process: subprocess.Popen | None = None

    def start(self):
        self.process = subprocess.Popen(
            [_mosquitto(), "-c", str(self.folder / "mosquitto.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise TimeoutError("mosquitto does not listen")

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None


def _mosquitto():
    return shutil.which("mosquitto") or ("/usr/sbin/mosquitto" if Path("/usr/sbin/mosquitto").exists() else None)


@pytest.fixture
def broker(tmp_path):
    if _mosquitto() is None:
        pytest.skip("Mosquitto is not on this machine")
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    if os.geteuid() == 0:
        folder.chmod(0o777)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    user = "user root\n" if os.geteuid() == 0 else ""
    (folder / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 1000000\nmax_inflight_messages 1000\n"
        f"persistence true\npersistence_location {folder}/\n{user}"
    )
    running = Broker(folder, port)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def one_kafka(tmp_path_factory):
    """Starting a broker takes seconds: all tests of a process share one, each with topics and groups of its own."""
    folder = tmp_path_factory.mktemp("kafka")
    try:
        made = KafkaBroker.make(folder)
    except CanNotRunError as reason:
        pytest.skip(str(reason))
    yield made
    made.stop()


@pytest.fixture
def kafka(one_kafka):
    """The broker, running; a test may stop it."""
    if one_kafka.process is None:
        one_kafka.start()
    return one_kafka
