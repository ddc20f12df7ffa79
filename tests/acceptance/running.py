"""The product from outside: folders on disk, the command in this process or in one of its own, and a platform that is up."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import httpx
from tests.warm import begin

from twinwright.cli import main

COMMAND = Path(sys.executable).parent / "twinwright"


def write(folder: Path, files: Mapping[str, str | bytes | None]) -> Path:
    """Files into a folder; None removes one."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document on a line and nothing else."""
        assert self.out.count("\n") == 1, f"not one document: {self.out!r} {self.err!r}"
        return json.loads(self.out)

    @property
    def good(self) -> Any:
        assert self.code == 0, f"{self.code}: {self.out} {self.err}"
        return self.json


def twinwright(*arguments: str | Path, workspace: Path | None = None, json: bool = True) -> Answer:
    """The command in this process: what `main` does with a command line, without the seconds that an interpreter takes to start."""
    line = ["twinwright", *map(str, arguments)]
    line += ["--workspace", str(workspace)] if workspace is not None else []
    line += ["--json"] if json else []
    out, err = io.StringIO(), io.StringIO()
    pipe = signal.getsignal(signal.SIGPIPE)
    code: Any = 0
    try:
        with patch.object(sys, "argv", line), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as exit:
        code = exit.code
    finally:
        signal.signal(signal.SIGPIPE, pipe)
    return Answer(int(code or 0), out.getvalue(), err.getvalue())


def command(
    *arguments: str | Path, workspace: Path | None = None, json: bool = True, environment: Mapping[str, str] | None = None
) -> Answer:
    """The command as a process."""
    line = [str(COMMAND), *map(str, arguments)]
    line += ["--workspace", str(workspace)] if workspace is not None else []
    line += ["--json"] if json else []
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, env={**_unmeasured(), **(environment or {})})
    return Answer(done.returncode, done.stdout, done.stderr)


def _unmeasured() -> dict[str, str]:
    """The environment, without what would have a process measure its coverage: it takes twice as long then."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


class Running:
    """A command as a process, from its first line on. `alive` are those that have not ended."""

    alive: ClassVar[set[Running]] = set()

    def __init__(self, folder: Path, *line: str, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.log = (folder / ".up.log").open("ab")
        self.process = begin([*line, "--workspace", str(folder), "--json"], {**_unmeasured(), **(environment or {})}, self.log)
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        assert first.startswith("{"), first or f"{line[0]} ended with {self.process.wait()}: {(folder / '.up.log').read_text()[-2000:]}"
        self.said = json.loads(first)
        Running.alive.add(self)

    def kill(self) -> None:
        """SIGKILL: nothing is said, flushed or tidied."""
        self.process.kill()
        self._wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self._wait()

    def _wait(self) -> int:
        Running.alive.discard(self)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()
        return code


class Up(Running):
    """`twinwright up`."""

    def __init__(self, folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, "up", "--port", "0", *options, environment=environment)
        self.url = self.said["url"]

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {(self.folder / '.twinwright' / 'token').read_text().strip()}"}

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=30)


class Worker(Running):
    """`twinwright worker`."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, "worker", *options)


@contextlib.contextmanager
def up(folder: Path) -> Iterator[Up]:
    """A platform that is up for a block."""
    running = Up(folder)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def until(condition: Any, seconds: float = 120.0) -> Any:
    """The first true answer of `condition`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)
