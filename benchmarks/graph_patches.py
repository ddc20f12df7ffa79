"""Durable patches with ETags a second: many clients at once, whose writes share commits, beside one that waits for each."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks._result import compared

from twinwright.platform.local import LocalPlatform

CLIENTS = 64  # as many as the API serves at once
ROOM = {
    "@context": "dtmi:dtdl:context;2",
    "@id": "dtmi:bench:Room;1",
    "@type": "Interface",
    "contents": [{"@type": "Property", "name": name, "schema": "double"} for name in ("temperature", "humidity", "level")],
}
ROOM_OF = {"$metadata": {"$model": "dtmi:bench:Room;1"}, "temperature": 20.0, "humidity": 0.5, "level": 1.0}


def patching(platform: LocalPlatform, clients: int, each: int) -> float:
    """Patches a second: every client has a twin of its own and gives the etag of its last answer."""

    def client(name: str) -> None:
        etag = platform.put_twin(name, ROOM_OF)["etag"]
        ready.wait()
        for k in range(each):
            etag = platform.patch_twin(name, [{"op": "replace", "path": "/temperature", "value": float(k)}], if_match=etag)["etag"]

    ready = threading.Barrier(clients + 1)
    threads = [threading.Thread(target=client, args=(f"{clients}-{number}",)) for number in range(clients)]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return clients * each / (time.perf_counter() - began)


def measure(quick: bool) -> dict[str, Any]:
    """Durable patches a second of many clients, and of one."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "twinwright.toml").write_text("")
        platform = LocalPlatform.open(Path(folder))
        platform.add_interfaces([ROOM])
        alone = patching(platform, 1, 50 if quick else 300)
        together = patching(platform, CLIENTS, 20 if quick else 150)
        platform.close()
    return compared(f"graph_patches_{CLIENTS}_clients", together, alone, "patches/s")


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
