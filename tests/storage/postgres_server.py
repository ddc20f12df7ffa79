"""A PostgreSQL server of a test session's own: a cluster in a temporary folder, reached by a socket in it; and it is durable."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import psycopg
import pytest

from twinwright.errors import StoreError


def programs() -> Path | None:
    """Where Debian and others keep the server's programs: the newest version of them."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)


class Server:
    """Makes the cluster in a folder of its own in `within`, with further `options` of `initdb`. PostgreSQL refuses root, so a run as root
    gives it to its `owner`."""

    owner = "nobody" if os.geteuid() == 0 else None

    def __init__(self, *options: str, within: Path = Path("/tmp")) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir=within))  # short: the path of a socket is limited
        self._programs = programs()
        self._as = {"user": self.owner, "group": "nogroup", "extra_groups": ()} if self.owner else {}
        if self.owner:
            shutil.chown(self.folder, self.owner)
        always = ("--username", "twinwright", "--auth", "trust", "--encoding", "UTF8", "--no-sync")
        self._run("initdb", "--pgdata", self._data, *always, *options)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, timeout=120, **self._as)
        assert done.returncode == 0, done.stderr

    def start(self, *settings: str, again: bool = False) -> None:
        """`again`: after a crash, of which something may be left."""
        given = [f"-c {setting}" for setting in ("listen_addresses=''", f"unix_socket_directories='{self.folder}'", *settings)]
        log = str(self.folder / "log")
        how = ("restart", "--mode", "immediate") if again else ("start",)
        self._run("pg_ctl", *how, "--pgdata", self._data, "--wait", "--log", log, "--options", " ".join(given))

    def stop(self, mode: str = "fast") -> None:
        """`immediate` is as a crash."""
        self._run("pg_ctl", "stop", "--pgdata", self._data, "--wait", "--mode", mode)

    def remove(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder)

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://twinwright@/{database}?host={self.folder}"

    def schema(self) -> str:
        """A name that nobody has taken: a store of its own in the one database, which costs less than a database of its own."""
        return f"s{uuid.uuid4().hex[:12]}"

    def soon(self, open_store):
        """What it makes, when the server has noticed that the connection before is gone."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return open_store()
            except StoreError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple]:
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def postgres():
    """A server, one for each worker of a run."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    server = Server()
    server.start()
    yield server
    server.remove()
