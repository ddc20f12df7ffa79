"""One twin of a large graph read over HTTP: what `GET /digitaltwins/{id}` takes until its answer is there.

A platform serves its API in a process of its own; a client asks it on one connection, one request after the other, for twins at random.
Ours is the 99th percentile of a large graph, the rival that of a small one. Standard error tells the median, and the processor time that
the server takes for a request, which a busy machine does not change.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from benchmarks._result import compared

from twinwright.clock import SystemClock
from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.platform.local import LocalPlatform
from twinwright.storage.layout import Lifetime
from twinwright.storage.protocol import GOOD, VALUE_SCHEMA

MODEL = "dtmi:bench:Pump;1"
PATHS = ("pressure", "flow", "power", "speed")
TOKEN = "benchmarks-of-point-reads-over-http"
AT_ONCE = 100_000  # twins of one commit


def made(folder: Path, twins: int) -> None:
    """A workspace with so many twins, each with a value of each path, as clients write them."""
    (folder / "twinwright.toml").write_text("[api]\nconsole = false\n")
    platform = LocalPlatform.open(folder)
    platform.apply()  # before: what it finds then is the clients'
    contents = [{"@type": "Property", "name": name, "schema": "double"} for name in PATHS]
    platform.add_interfaces([{"@context": "dtmi:dtdl:context;3", "@id": MODEL, "@type": "Interface", "contents": contents}])
    now, rng = SystemClock().now(), np.random.default_rng(1)
    for first in range(1, twins + 1, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, twins + 1))
        with platform.session.store.transaction(LOCAL_ADMIN, "graph") as transaction:
            transaction.declare_twins([Lifetime(number, f"pump-{number}", MODEL, commit=transaction.commit) for number in numbers])
            for path in PATHS:
                given = {"twin": numbers, "path": [path] * len(numbers), "time": [now] * len(numbers), "source": ["api"] * len(numbers)}
                given |= {
                    "lane": ["observed"] * len(numbers),
                    "kind": [GOOD] * len(numbers),
                    "revision": [0] * len(numbers),
                    "correction": [transaction.commit] * len(numbers),
                }
                given |= {"type": ["DOUBLE"] * len(numbers), "num": rng.uniform(0, 100, len(numbers))}
                columns = {name: given.get(name, [None] * len(numbers)) for name in VALUE_SCHEMA.names}
                transaction.append_values(pa.table(columns, schema=VALUE_SCHEMA))
    platform.close()


class Served:
    """`twinwright up` on a folder, and a connection to it."""

    def __init__(self, folder: Path) -> None:
        command = [str(Path(sys.executable).with_name("twinwright")), "up", "--workspace", str(folder), "--port", "0", "--json"]
        environment = {**os.environ, "TWINWRIGHT_TOKEN": TOKEN}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        assert self._process.stdout is not None
        host, _, port = json.loads(self._process.stdout.readline())["url"].split("/")[2].partition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._head = f"Host: {host}:{port}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"

    def read(self, twin: str) -> bytes:
        """The body of its answer."""
        self._socket.sendall(f"GET /digitaltwins/{twin}?api-version=2023-10-31 HTTP/1.1\r\n{self._head}".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(65_536)
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), data[:500]
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += self._socket.recv(65_536)
        return body

    def processor_seconds(self) -> float:
        """Of the server, until now."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait()


def milliseconds(folder: Path, twins: int, reads: int) -> tuple[float, float, float]:
    """The median and the 99th percentile of a read, and the processor time of one."""
    made(folder, twins)
    served, rng = Served(folder), random.Random(3)
    try:
        for _ in range(reads // 10):  # the first one loads what there is
            served.read(f"pump-{rng.randrange(twins) + 1}")
        spent, began = [], served.processor_seconds()
        for _ in range(reads):
            twin = f"pump-{rng.randrange(twins) + 1}"
            start = time.perf_counter()
            body = served.read(twin)
            spent.append(time.perf_counter() - start)
            assert json.loads(body)["$dtId"] == twin and b'"speed"' in body
        processor = (served.processor_seconds() - began) / reads
    finally:
        served.close()
    return (*(float(one) * 1e3 for one in np.percentile(spent, [50, 99])), processor * 1e3)


def measure(quick: bool) -> dict[str, Any]:
    """The 99th percentile of a large graph, and of a small one."""
    small, large = 10_000, 50_000 if quick else 1_000_000
    found = {}
    for twins in (small, large):
        with tempfile.TemporaryDirectory() as folder:
            found[twins] = milliseconds(Path(folder), twins, 1_000 if quick else 5_000)
        told = ("median", "p99", "processor time")
        print(f"{twins} twins: " + ", ".join(f"{n} {ms:.2f} ms" for n, ms in zip(told, found[twins], strict=True)), file=sys.stderr)
    return compared(f"http_point_read_{large}_twins", found[large][1], found[small][1], "ms", "lower")


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
