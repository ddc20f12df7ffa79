"""The socket of a running platform: its owner's alone, left behind by none, used by several at once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.plant import telemetry, workspace
from tests.acceptance.running import COMMAND, Up, twinwright, write

import twinwright as tw
from twinwright.errors import NotFoundError, UsageError
from twinwright.platform.remote import RemotePlatform
from twinwright.platform.server import socket_path
from twinwright.telemetry.payloads import Payload


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = workspace(tmp_path_factory.mktemp("socket") / "w")
    write(folder, {"first.ndjson": telemetry(60)})
    assert twinwright("ingest", folder / "first.ndjson", "--contract", "pump", workspace=folder).code == 0
    return folder


@pytest.fixture(scope="module")
def running(plant: Path) -> Iterator[Up]:
    up = Up(plant)
    yield up
    assert up.stop() == 0
    assert not (plant / ".twinwright" / "socket").exists()


def test_a_model_that_finds_the_socket_can_give_no_command(running: Up) -> None:
    """Connecting is not opening: what holds a model from the folder does not keep it from the socket in it."""
    code = "import sys, socket; from twinwright.simulation.landlock import Seclusion, hold; held = hold(Seclusion((sys.argv[1],)))\n"
    code += "one = socket.socket(socket.AF_UNIX); one.settimeout(20)\n"
    code += "one.connect(sys.argv[1] + '/socket'); one.sendall(b'x'); print(held, one.recv(10))"
    private = running.folder / ".twinwright"
    done = subprocess.run([sys.executable, "-c", code, str(private)], capture_output=True, text=True, check=False)
    if "False" in done.stdout:
        pytest.skip("the kernel has no Landlock")
    refused = "True b''" in done.stdout or any(one in done.stderr for one in ("ConnectionResetError", "BrokenPipeError"))
    assert refused, (done.stdout, done.stderr)
    with tw.open(running.folder) as platform:
        assert platform.status()


def test_only_its_owner_may_open_the_socket_the_token_and_the_folder(running: Up) -> None:
    private = running.folder / ".twinwright"
    for name, mode in (("socket", 0o600), ("token", 0o600), (".", 0o700)):
        assert stat.S_IMODE((private / name).stat().st_mode) == mode, name


def test_a_second_up_on_the_same_workspace_says_so_and_harms_nothing(running: Up) -> None:
    answer = twinwright("up", "--port", "0", workspace=running.folder)
    assert answer.code == 2
    error = answer.json["error"]
    assert "running already" in error["what"] and error["remedy"] and str(running.folder) in error["where"]
    assert twinwright("state", "pump-1", workspace=running.folder).code == 0
    assert running.process.poll() is None


def test_errors_come_back_as_the_classes_they_were(running: Up) -> None:
    platform = tw.open(running.folder)
    assert isinstance(platform._platform, RemotePlatform)
    with pytest.raises(NotFoundError) as missing:
        platform.state("pump-7")
    assert missing.value.exit_code == 2 and missing.value.remedy
    with pytest.raises(UsageError):
        platform.history("pump-1", "pressure", start="noon")
    assert platform.state("pump-1")["pressure"] > 0  # the connection goes on
    platform.close()


def test_many_commands_at_once_each_get_their_own_answer(running: Up) -> None:
    answers: dict[int, Any] = {}

    def ask(number: int) -> None:
        platform = tw.open(running.folder)
        for k in range(10):
            reading = {"id": "pump-2", "ts": f"2026-03-02T{number:02}:00:{k:02}Z", "p": float(number), "u": float(k)}
            receipt = platform.push("pump", [Payload(json.dumps(reading).encode())])
            history = platform.history(
                "pump-2", "drive", start=f"2026-03-02T{number:02}:00:00Z", end=f"2026-03-02T{number:02}:01:00Z", after=receipt.token
            )
            answers[number] = history["values"].to_pylist()
        platform.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == {number: [float(k) for k in range(10)] for number in range(8)}


def test_two_processes_at_once_wait_for_each_other_when_the_platform_is_stopped(plant: Path, tmp_path: Path) -> None:
    folder = workspace(tmp_path / "w")
    assert twinwright("apply", workspace=folder).code == 0
    line = [str(COMMAND), "kpi", "--workspace", str(folder), "--json"]
    started = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    for process in started:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, b"")
        assert json.loads(out)["counts"]["received"] == 0


STARTING = """
import sys, time
from pathlib import Path
from twinwright.platform.local import LocalPlatform
from twinwright.platform.server import CommandServer, socket_path
platform = LocalPlatform.open(Path(sys.argv[1]))
print(flush=True)
time.sleep(0.5)
server = CommandServer(platform, socket_path(platform.session.private))
sys.stdin.read()
server.stop()
platform.close()
"""


def test_a_command_waits_for_a_platform_that_is_starting(plant: Path, tmp_path: Path) -> None:
    folder = workspace(tmp_path / "w")
    assert twinwright("apply", workspace=folder).code == 0
    line = [sys.executable, "-c", STARTING, str(folder)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starting:
        assert starting.stdout is not None and starting.stdout.readline()
        assert twinwright("kpi", workspace=folder).good["counts"]["received"] == 0


def test_progress_comes_through_the_socket(running: Up, tmp_path: Path) -> None:
    write(tmp_path, {"more.ndjson": telemetry(200)})
    seen: list[tuple[int, int]] = []
    platform = tw.open(running.folder)
    receipt = platform.ingest([str(tmp_path / "more.ndjson")], "pump", progress=lambda done, total: seen.append((done, total)))
    platform.close()
    size = (tmp_path / "more.ndjson").stat().st_size
    assert receipt["received"] == 204
    assert seen and seen[-1] == (size, size)


def test_runs_are_told_through_the_socket_as_they_end(running: Up) -> None:
    seen: list[tuple[int, int]] = []
    platform = tw.open(running.folder)
    answer = platform.simulate("more", progress=lambda done, total: seen.append((done, total)))
    platform.close()
    count = len(answer["runs"])
    assert seen == [(index + 1, count) for index in range(count)]


def test_relative_paths_are_those_of_the_caller(running: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"mine.ndjson": telemetry(5)})
    monkeypatch.chdir(tmp_path)
    assert twinwright("ingest", "mine.ndjson", "--contract", "pump", workspace=running.folder).good["received"] == 9


RUBBISH = {
    "no frame": b"hello\n",
    "an empty frame": struct.pack(">I", 0),
    "not msgpack": struct.pack(">I", 4) + b"\xc1\xc1\xc1\xc1",
    "no such method": b"",
    "a huge frame": struct.pack(">I", 0xFFFFFFFF) + b"x",
    "half a frame": struct.pack(">I", 100) + b"x",
}


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_on_the_socket_harms_nobody(name: str, running: Up) -> None:
    import msgspec

    text = RUBBISH[name]
    if not text:
        request = msgspec.msgpack.encode({"method": "__class__", "args": [], "kwargs": {}})
        text = struct.pack(">I", len(request)) + request
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(running.folder / ".twinwright" / "socket"))
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65536):
                pass
    assert twinwright("state", "pump-1", workspace=running.folder).code == 0


def test_a_socket_that_a_killed_platform_left_is_passed_over(plant: Path, tmp_path: Path) -> None:
    folder = workspace(tmp_path / "w")
    up = Up(folder)
    up.kill()
    assert (folder / ".twinwright" / "socket").exists()
    assert twinwright("state", workspace=folder).code == 0
    again = Up(folder)
    assert stat.S_IMODE((folder / ".twinwright" / "socket").stat().st_mode) == 0o600
    assert twinwright("state", workspace=folder).code == 0
    assert again.stop() == 0


def test_a_workspace_deep_in_folders_has_a_socket_too(tmp_path: Path) -> None:
    """Unix allows some hundred bytes for the name of a socket."""
    folder = workspace(tmp_path / ("d" * 60) / ("e" * 60))
    up = Up(folder)
    path = socket_path(folder / ".twinwright")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.parent.stat().st_uid == os.getuid()
    platform = tw.open(folder)
    assert isinstance(platform._platform, RemotePlatform)
    platform.close()
    assert up.stop() == 0
    assert not path.exists()


def test_up_answers_the_same_whichever_way_the_folder_is_named(running: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "link"
    link.symlink_to(running.folder)
    monkeypatch.chdir(running.folder)
    for name in (link, Path(), running.folder / ".." / running.folder.name):
        platform = tw.open(name)
        assert isinstance(platform._platform, RemotePlatform), name
        platform.close()


def test_up_stops_in_good_order_and_leaves_a_workspace_that_goes_on(plant: Path, tmp_path: Path) -> None:
    folder = workspace(tmp_path / "w")
    up = Up(folder)
    with up.client() as client:
        answer = client.post("/v1/telemetry/pump", content=telemetry(20).encode(), headers={"content-type": "application/x-ndjson"})
    assert answer.status_code == 200, answer.text
    assert up.stop() == 0
    left = {path.name for path in (folder / ".twinwright").iterdir()}
    assert "socket" not in left and "token" in left
    assert twinwright("kpi", workspace=folder).good["counts"]["received"] == answer.json()["received"]
    shutil.rmtree(folder)
