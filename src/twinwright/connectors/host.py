"""This machine as a source: processor, runnable tasks, load averages, memory, disk and network, on a fixed grid of times.

Linux's one-minute load average is a first-order lag of the number of *active* tasks, running or in uninterruptible sleep,
which the kernel counts every 5.004 s and lets decay by 1/e in 60 s (kernel/sched/loadavg.c; LOAD_FREQ is 5*HZ+1, EXP_1 is
1/exp(5s/60s)). `active` is what drives it: the mean over the interval of `procs_running` and `procs_blocked` of /proc/stat
(proc(5)), read several times an interval, since one reading of so short-lived a number says little about the interval. Two
differences remain. The kernel counts at an instant, so its input is noisier than our mean. And `procs_blocked` counts
only tasks that wait for input or output, while the kernel counts all uninterruptible ones; the rest is not published.

A `HostSampler` is usable alone: `for document in HostSampler().every(5.0, stop): publish(document)`.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import psutil
from pydantic import Field, model_validator

from twinwright.clock import SECOND, Clock, SystemClock, to_iso
from twinwright.documents import Duration, Spec
from twinwright.observability.logs import get_logger
from twinwright.telemetry.connector import Bound
from twinwright.telemetry.payloads import Delivery, Payload, Receipt

MIN_INTERVAL: Final = 100_000
MAX_PAYLOADS: Final = 500
_NOT_IN_ID: Final = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Counters:
    """What a machine counts since it started (seconds, bytes) and what it has now (bytes, percent)."""

    cpu_busy_seconds: float
    cpu_seconds: float
    memory_used_bytes: int
    memory_available_bytes: int
    disk_used_percent: float
    disk_read_bytes: int
    disk_write_bytes: int
    network_received_bytes: int
    network_sent_bytes: int


class Machine(Protocol):
    """What is read of a machine; tests give another."""

    def proc(self, name: str) -> str | None:
        """The text of /proc/`name`; None where there is none."""
        ...

    def counters(self) -> Counters: ...


class ThisMachine:
    """The machine that this runs on. `disk` is a path on the file system whose use is told."""

    def __init__(self, disk: str = "/") -> None:
        self._disk = disk

    def proc(self, name: str) -> str | None:
        """The text of /proc/`name`; None where there is no such file."""
        try:
            return (Path("/proc") / name).read_text(encoding="ascii")
        except OSError:
            return None

    def counters(self) -> Counters:
        """By psutil, on any system it knows."""
        cpu = psutil.cpu_times()
        total = sum(cpu) - getattr(cpu, "guest", 0.0) - getattr(cpu, "guest_nice", 0.0)  # Linux counts guests in user too
        idle = cpu.idle + getattr(cpu, "iowait", 0.0)
        memory = psutil.virtual_memory()
        disk, network = psutil.disk_io_counters(), psutil.net_io_counters()
        return Counters(
            cpu_busy_seconds=total - idle,
            cpu_seconds=total,
            memory_used_bytes=memory.used,
            memory_available_bytes=memory.available,
            disk_used_percent=psutil.disk_usage(self._disk).percent,
            disk_read_bytes=disk.read_bytes if disk else 0,
            disk_write_bytes=disk.write_bytes if disk else 0,
            network_received_bytes=network.bytes_recv if network else 0,
            network_sent_bytes=network.bytes_sent if network else 0,
        )


class HostSampler:
    """Turns counters into samples: means and rates over the time since the sample before."""

    def __init__(self, machine: Machine | None = None, clock: Clock | None = None) -> None:
        self._machine = machine or ThisMachine()
        self._clock = clock or SystemClock()
        self._log = get_logger(__name__)
        self._before = self._machine.counters()
        self._before_at = self._clock.monotonic()
        self._tasks: list[tuple[int, int]] = []
        self._said: set[str] = set()

    def observe(self) -> None:
        """Count the tasks that run and wait now; several times an interval, for a mean that stands for all of it."""
        text = self._read("stat")
        found = dict(re.findall(r"^(procs_running|procs_blocked) (\d+)", text, re.MULTILINE)) if text else {}
        if "procs_running" in found:
            running = max(int(found["procs_running"]) - 1, 0)  # less the one that reads this
            self._tasks.append((running, int(found.get("procs_blocked", 0))))

    def sample(self, ts: int | None = None) -> dict[str, Any]:
        """One flat document of numbers, and the time `ts` (default: now; microseconds in, ISO 8601 out).

        Rates and means are over the time since the last sample. What this machine does not tell is left out.
        """
        self.observe()
        now, at = self._machine.counters(), self._clock.monotonic()
        before, seconds = self._before, max((at - self._before_at) / SECOND, 1e-6)
        self._before, self._before_at = now, at
        cpu = now.cpu_seconds - before.cpu_seconds

        def rate(name: str) -> float:
            grown: int = getattr(now, name) - getattr(before, name)
            return round(max(grown, 0) / seconds, 3)  # a counter that began anew has no rate

        return {
            "ts": to_iso(self._clock.now() if ts is None else ts),
            "cpu_percent": round(min(max(100.0 * (now.cpu_busy_seconds - before.cpu_busy_seconds) / cpu, 0.0), 100.0), 3)
            if cpu > 0
            else 0.0,
            **self._task_means(),
            **self._load_averages(),
            "memory_used_bytes": now.memory_used_bytes,
            "memory_available_bytes": now.memory_available_bytes,
            "disk_used_percent": now.disk_used_percent,
            "disk_read_bytes_per_s": rate("disk_read_bytes"),
            "disk_write_bytes_per_s": rate("disk_write_bytes"),
            "network_received_bytes_per_s": rate("network_received_bytes"),
            "network_sent_bytes_per_s": rate("network_sent_bytes"),
        }

    def every(self, seconds: float, stop: threading.Event, *, observations: int = 20) -> Iterator[dict[str, Any]]:
        """Samples at multiples of `seconds` since 1970, so that they never drift, until `stop` is set.

        Tasks are counted `observations` times an interval. A time that was missed (the machine slept, the consumer was slow)
        is left out, not made up.
        """
        interval = max(round(seconds * SECOND), MIN_INTERVAL)
        due = next_tick(self._clock.now(), interval)
        step = interval // max(observations, 1)
        while not stop.is_set():
            now = self._clock.now()
            if due - now > interval:  # the clock was stepped back
                due = next_tick(now, interval)
            if now < due:
                into_step = (due - now) % step or step
                if stop.wait(into_step / SECOND):
                    return
                if self._clock.now() < due:
                    self.observe()
                continue
            yield self.sample(due if now - due < interval else now // interval * interval)
            due = next_tick(max(self._clock.now(), due), interval)

    def _task_means(self) -> dict[str, float]:
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return {}
        running, blocked = (sum(column) / len(tasks) for column in zip(*tasks, strict=True))
        return {"runnable": round(running, 4), "blocked": round(blocked, 4), "active": round(running + blocked, 4)}

    def _load_averages(self) -> dict[str, float]:
        text = self._read("loadavg")
        return dict(zip(("load_1", "load_5", "load_15"), map(float, text.split()[:3]), strict=True)) if text else {}

    def _read(self, name: str) -> str | None:
        text = self._machine.proc(name)
        if text is None and name not in self._said:
            self._said.add(name)
            self._log.warning("proc_missing", file=f"/proc/{name}", effect="what it tells is left out of the samples")
        return text


def next_tick(now: int, interval: int) -> int:
    """The first multiple of `interval` after `now`, both in microseconds."""
    return (now // interval + 1) * interval


def host_id() -> str:
    """This machine's name in letters, digits, `-` and `_`, as a twin can be called."""
    return _NOT_IN_ID.sub("-", socket.gethostname()).strip("-") or "host"


class HostSettings(Spec):
    """`interval` between samples; `observations`: how often an interval the tasks are counted.

    `twin`: what the capture and the field `twin` are (default: the host's name). `buffer`: samples kept while the store is
    away; past it the oldest go, with a line in the log. `disk`: a path on the file system to watch.
    """

    interval: Duration = 5 * SECOND
    observations: int = Field(default=20, ge=1, le=100)
    twin: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,128}$")
    buffer: int = Field(default=1_000, ge=1, le=1_000_000)
    disk: str = "/"

    @model_validator(mode="after")
    def _is_slow_enough(self) -> HostSettings:
        if self.interval < MIN_INTERVAL:
            raise ValueError("interval is under a tenth of a second: write PT0.1S or more")
        return self


class HostBinding(Spec):
    """A contract of this connector says nothing but its name."""


@dataclass(slots=True)
class _Backlog:
    """Samples that a contract has not committed, oldest first, each with its number."""

    samples: deque[tuple[int, Payload]]
    last_polled: int = -1


class HostSource:
    """Samples this machine in a thread of its own, so that a slow store makes no hole in the grid."""

    Settings: ClassVar[type[Spec]] = HostSettings
    Binding: ClassVar[type[Spec]] = HostBinding

    def __init__(
        self, name: str, settings: HostSettings, bound: tuple[Bound, ...], *, sampler: Callable[[], HostSampler] | None = None
    ) -> None:
        self._settings = settings
        self._make_sampler = sampler or (lambda: HostSampler(ThisMachine(settings.disk)))
        self._captures = {"twin": settings.twin or host_id()}
        self._log = get_logger(__name__, connector=name)
        self._backlogs = {one.contract: _Backlog(deque()) for one in bound}
        self._order = deque(self._backlogs)
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._number = 0
        self._failure: Exception | None = None

    def open(self, positions: Callable[[str, str], int]) -> None:  # noqa: ARG002 - the past of a machine can't be read again
        """Begin to sample."""
        self.close()
        self._stop.clear()
        self._failure = None
        for backlog in self._backlogs.values():
            backlog.last_polled = -1
        self._thread = threading.Thread(target=self._collect, args=(self._make_sampler(),), name="host-sampler", daemon=True)
        self._thread.start()

    def poll(self, timeout: float) -> Delivery | None:
        """The samples since the last poll, of one contract. Raises what the sampler raised."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                if self._failure is not None:
                    raise self._failure
                delivery = self._next()
                left = deadline - time.monotonic()
                if delivery is not None or left <= 0 or self._stop.is_set():
                    return delivery
                self._changed.wait(left)

    def committed(self, delivery: Delivery, receipt: Receipt) -> None:  # noqa: ARG002 - what became of it is not asked
        """Forget what is stored; what is not stays in the backlog and is delivered again after a reopening."""
        done = {id(payload) for payload in delivery.payloads}
        with self._changed:
            backlog = self._backlogs[delivery.contract]
            backlog.samples = deque(item for item in backlog.samples if id(item[1]) not in done)

    def close(self) -> None:
        """Stop sampling. The backlog stays."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _next(self) -> Delivery | None:
        for _ in range(len(self._order)):
            contract = self._order[0]
            self._order.rotate(-1)
            backlog = self._backlogs[contract]
            fresh = [item for item in backlog.samples if item[0] > backlog.last_polled][:MAX_PAYLOADS]
            if fresh:
                backlog.last_polled = fresh[-1][0]
                return Delivery(contract, tuple(payload for _, payload in fresh))
        return None

    def _collect(self, sampler: HostSampler) -> None:
        try:
            for document in sampler.every(self._settings.interval / SECOND, self._stop, observations=self._settings.observations):
                self._keep(json.dumps({**self._captures, **document}).encode())
        except Exception as error:  # noqa: BLE001 - handed to the runner by the next poll
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _keep(self, body: bytes) -> None:
        with self._changed:
            self._number += 1
            for contract, backlog in self._backlogs.items():
                backlog.samples.append((self._number, Payload(body, self._captures)))
                if len(backlog.samples) > self._settings.buffer:
                    backlog.samples.popleft()
                    self._log.warning("samples_lost", contract=contract, kept=self._settings.buffer, cause="the store was away too long")
            self._changed.notify_all()
