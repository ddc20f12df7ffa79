"""Everything that runs beside the demo itself: a workspace, a broker, the platform, busy processes. All of it ends with the demo."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import httpx

from demo.excitation import end_with_parent

EXAMPLE = Path(__file__).resolve().parents[1]
TOPIC = "hosts/host-1/telemetry"
PARTS = ("schema", "contracts", "models", "scenarios", "twins.yaml")
START_SECONDS = 60.0
STOP_SECONDS = 20.0


class StageError(Exception):
    """Something of the demo did not start or went away; the text says what and where to look."""


class Link(Protocol):
    """A way for messages to the platform."""

    def send(self, body: bytes) -> None:
        """On its way for sure when this returns."""
        ...

    def close(self) -> None: ...


def mosquitto() -> str | None:
    """The broker's binary, if it is on this machine; some systems keep it where users don't look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


def make_workspace(folder: Path, *, broker_port: int | None, interval: float) -> None:
    """A copy of the example whose contract takes from the relay (a broker, or without one HTTP) and not from the connector."""
    folder.mkdir()
    for name in PARTS:
        part = EXAMPLE / name
        (shutil.copytree if part.is_dir() else shutil.copy)(part, folder / name)
    connector = f'[connectors.relay]\ntype = "mqtt"\nhost = "127.0.0.1"\nport = {broker_port}\n' if broker_port else ""
    (folder / "twinwright.toml").write_text(connector, encoding="utf-8")
    source = f'source: {{connector: relay, topic: "{TOPIC}"}}' if broker_port else ""
    _replace(folder / "contracts" / "host.yaml", "source: {connector: machine}", source)
    _replace(folder / "models" / "load.yaml", "step: PT5S", f"step: PT{interval:g}S")


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise StageError(f"{path.name} has no single line '{old}': the demo and its example have grown apart")
    path.write_text(text.replace(old, new), encoding="utf-8")


@contextlib.contextmanager
def _process(command: list[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own (Ctrl-C reaches the demo alone, which ends the rest in good order)."""
    with log.open("ab") as stream:
        die_too = partial(end_with_parent, signal.SIGTERM, os.getpid())
        process = subprocess.Popen(
            command,
            stderr=stream,
            text=True,
            start_new_session=True,
            preexec_fn=die_too,  # noqa: PLW1509 - there are no threads yet
            **options,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def broker(binary: str, folder: Path) -> Iterator[int]:
    """A Mosquitto on a free port of loopback; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    user = "user root\n" if os.geteuid() == 0 else ""
    settings = folder / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n{user}", encoding="utf-8")
    with _process([binary, "-c", str(settings)], folder / "mosquitto.log", stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: _listens(port), 10.0, process, "Mosquitto does not listen", folder / "mosquitto.log")
        yield port


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def platform(workspace: Path, log: Path) -> Iterator[dict[str, str]]:
    """`twinwright up` on a free port; its first line: `url`, and `login` with a code that a browser may use once."""
    command = [str(Path(sys.executable).parent / "twinwright"), "up", "--workspace", str(workspace), "--port", "0", "--json"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("TWINWRIGHT_")}
    with _process(command, log, stdout=subprocess.PIPE, env=own) as process:
        assert process.stdout is not None
        with process.stdout:
            ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
            line = process.stdout.readline() if ready else ""
            if not line:
                raise StageError(f"the platform did not start; its log: {log}\n{_tail(log)}")
            ready_line = json.loads(line)
            if "url" not in ready_line:
                raise StageError(f"the platform did not start: {line.strip()}")
            yield ready_line


def wait_until(true: Callable[[], bool], seconds: float, process: subprocess.Popen[str] | None, complaint: str, log: Path) -> None:
    """Raises StageError when it does not come true in time, or the process ends before."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            raise StageError(f"{complaint}; its log: {log}\n{_tail(log)}")
        time.sleep(0.05)


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2_000:] if log.exists() else ""


class MqttLink:
    """Publishes with quality of service 1: the broker has it when `send` returns."""

    def __init__(self, port: int) -> None:
        from paho.mqtt.client import Client, MQTTv5
        from paho.mqtt.enums import CallbackAPIVersion

        self._client = Client(CallbackAPIVersion.VERSION2, client_id="demo-relay", protocol=MQTTv5)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def send(self, body: bytes) -> None:
        self._client.publish(TOPIC, body, qos=1).wait_for_publish(10.0)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class HttpLink:
    """Pushes each message to the platform's API, whose receipt says that it is durable."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=30.0, trust_env=False)

    def send(self, body: bytes) -> None:
        self._client.post("/v1/telemetry/host", content=body).raise_for_status()

    def close(self) -> None:
        self._client.close()


class Work:
    """Busy processes, at most one burst at a time. `stop` ends them for sure."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float) -> None:
        """Keep `count` tasks busy for so long."""
        self.stop()
        script = Path(__file__).with_name("excitation.py")
        command = [sys.executable, "-I", str(script), str(self.count), f"{seconds:g}", str(os.getpid())]
        self._process = subprocess.Popen(command, start_new_session=True)

    @property
    def busy(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Kill what still runs of them: they are a session of their own."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
