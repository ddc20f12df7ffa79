"""Live telemetry of this machine on its way through the relay, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from demo.relay import Relay
from demo.stage import Link
from twinwright.connectors.host import HostSampler, Machine, ThisMachine

TWIN = "host-1"
COUNTS = 50  # of the tasks in an interval: the more, the nearer their mean is to the truth


class WithoutProc:
    """This machine as one that has no /proc: for seeing what the demo does on such a one."""

    def __init__(self) -> None:
        self.counters = ThisMachine().counters

    def proc(self, name: str) -> str | None:
        return None


class Feed:
    """Samples every `interval` seconds until it is stopped. `samples` are the source's own, for the screen only."""

    def __init__(self, link: Link, interval: float, machine: Machine) -> None:
        self.relay = Relay(link.send)
        self.samples: list[dict[str, Any]] = []
        self._interval = interval
        self._sampler = HostSampler(machine)
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="demo-feed", daemon=True)

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30.0)

    def check(self) -> None:
        """Raises what went wrong in the thread."""
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """Stop sampling and send what the relay still holds back."""
        self.__exit__()
        self.check()
        self.relay.finish()

    def _run(self) -> None:
        try:
            for document in self._documents():
                self.relay.take({"twin": TWIN, **document})
                self.samples.append(document)
        except Exception as error:  # noqa: BLE001 - handed to the main thread by `check`
            self._failure = error

    def _documents(self) -> Iterator[dict[str, Any]]:
        return self._sampler.every(self._interval, self._stop, observations=COUNTS)
