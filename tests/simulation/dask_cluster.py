"""A Dask scheduler and workers, each a process of its own on the loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


class Cluster:
    """Until `close`; `workers` are the processes, which have no nanny: killed is killed."""

    def __init__(self, folder: Path, workers: int, options: Sequence[str] = ()) -> None:
        self.folder, self.options = folder, list(options)
        self.place = folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._all: list[subprocess.Popen[bytes]] = []
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self.place))
        self._until_there()
        for _ in range(workers):
            self.add_worker()

    @property
    def address(self) -> str:
        return str(json.loads(self.place.read_text())["address"]).replace("tcp://", "dask://")

    def add_worker(self) -> None:
        memory = ("--memory-limit", "0", "--local-directory", str(self.folder))
        more = ("--scheduler-file", str(self.place), "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", *memory)
        self.workers.append(self._start("worker", *more))

    def _start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        line = [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments, "--no-dashboard", *self.options]
        with (self.folder / f"{what}.log").open("ab") as log:
            process = subprocess.Popen(line, stdout=log, stderr=log, env=environment, cwd=self.folder)
        self._all.append(process)
        return process

    def _until_there(self) -> None:
        deadline = time.monotonic() + 120
        while not self.place.exists():
            assert self._all[0].poll() is None, (self.folder / "scheduler.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the scheduler did not start in time"
            time.sleep(0.05)

    def close(self) -> None:
        for process in self._all:
            process.kill()
        for process in self._all:
            process.wait()
