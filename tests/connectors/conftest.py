"""A Mosquitto of one's own, and an intake that is a list."""

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

from tests.connectors.conformance import ListIntake


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
