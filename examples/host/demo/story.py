"""The demo from beginning to end; `main` is what runs."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

import twinwright
from demo import answers
from demo.feed import Feed, WithoutProc
from demo.screen import Screen
from demo.stage import HttpLink, Link, MqttLink, StageError, Work, broker, make_workspace, mosquitto, platform, wait_until
from twinwright.connectors.host import Machine, ThisMachine
from twinwright.errors import TwinwrightError
from twinwright.platform.opened import Opened


@dataclass(frozen=True, slots=True)
class Phase:
    """What happens for `seconds`; `busy`: while the busy processes run."""

    what: str
    seconds: float
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How the load is driven. Seconds. The last `judged` of them are held out: the fit never sees them."""

    interval: float
    phases: tuple[Phase, ...]
    judged: float

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)


def _excited(interval: float, *seconds: float) -> Plan:
    names = ("the machine as it is", "first burst of work", "rest: the load falls", "second burst of work", "rest again")
    phases = tuple(Phase(name, length, "burst" in name) for name, length in zip(names, seconds, strict=True))
    return Plan(interval, phases, judged=seconds[-2] + seconds[-1])


FULL = _excited(5.0, 10, 40, 40, 30, 15)
QUICK = _excited(2.0, 2, 12, 10, 10, 6)
UNDRIVEN = Plan(1.0, (Phase("the machine as it is", 20),), judged=0)  # nothing to identify: long enough for every kind of mischief
LEAST_WORK, MOST_WORK = 8, 32  # tasks of a burst


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when every count is exact and the run repeats byte for byte, 1 when not, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _leave)
    screen = Screen()
    results = Path(tempfile.mkdtemp(prefix="twinwright-demo-"))
    began = time.monotonic()
    try:
        good = Demo(screen, results, options.quick, frozenset(options.without)).run()
    except (KeyboardInterrupt, SystemExit) as stopped:
        shutil.rmtree(results, ignore_errors=True)
        screen.console.print("\nStopped. Everything that the demo started has ended, and its folder is gone.")
        return 130 if isinstance(stopped, KeyboardInterrupt) else 143
    except (StageError, TwinwrightError, httpx.HTTPError, OSError) as error:
        screen.console.print(f"\nThe demo could not go on: {error}\nWhat there is of it, with logs: {results}", markup=False)
        return 1
    screen.console.print(f"\nDone in {time.monotonic() - began:.0f} s. Nothing is left running; `make up` starts a platform that stays.")
    return 0 if good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter bursts, sampled more often: about a minute, a wider interval")
    lacking = "as on a machine that lacks it; may be given twice"
    parser.add_argument("--without", action="append", choices=["mosquitto", "proc"], default=[], help=lacking)
    return parser


def _enough_work() -> int:
    """So many tasks that a burst stands out from a small machine's rest, and from what others do on this one meanwhile."""
    others = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return min(max(LEAST_WORK, 2 * answers.cores(), math.ceil(2 * others)), MOST_WORK)


def _leave(*_: object) -> None:
    raise SystemExit(143)


class Demo:
    """One performance, in `results`. Everything it starts is on one stack, and ends with it."""

    def __init__(self, screen: Screen, results: Path, quick: bool, without: frozenset[str]) -> None:
        self._screen, self._results = screen, results
        self._machine: Machine = WithoutProc() if "proc" in without else ThisMachine()
        self._has_load = all(self._machine.proc(name) for name in ("stat", "loadavg"))
        self._broker = None if "mosquitto" in without else mosquitto()
        self._plan = (QUICK if quick else FULL) if self._has_load else UNDRIVEN

    def run(self) -> bool:
        """Whether all that must be exact was."""
        with contextlib.ExitStack() as stack:
            tw, link = self._start(stack)
            feed = self._feed(link, stack)
            exact = answers.receipts(self._screen, tw, feed.relay.tally)
            if self._has_load:
                work = self._last_work
                exact &= answers.model(self._screen, tw, self._results, work, self._plan.judged / self._plan.seconds)
            answers.health(self._screen, tw)
            self._where()
        return exact

    def _start(self, stack: contextlib.ExitStack) -> tuple[Opened, Link]:
        screen, workspace = self._screen, self._results / "workspace"
        screen.step(
            "A platform is started", "One process and one file: a real one, as `twinwright up` starts it, on a workspace of its own."
        )
        port = stack.enter_context(broker(self._broker, self._results)) if self._broker else None
        make_workspace(workspace, broker_port=port, interval=self._plan.interval)
        line = stack.enter_context(platform(workspace, self._results / "platform.log"))
        tw = twinwright.open(workspace)
        stack.callback(tw.close)
        link = self._link(tw, line["url"], port)
        stack.callback(link.close)
        screen.say(f"Its console is open until the demo ends: {line['login']}")
        return tw, link

    def _link(self, tw: Opened, url: str, port: int | None) -> Link:
        workspace = self._results / "workspace"
        if port is None:
            self._screen.say("Mosquitto is not on this machine: messages go by HTTP instead of MQTT.")
            return HttpLink(url, (workspace / ".twinwright" / "token").read_text(encoding="utf-8").strip())
        log = self._results / "platform.log"
        wait_until(lambda: all(one["up"] for one in tw.status()["connectors"]), 30.0, None, "the platform did not reach the broker", log)
        self._screen.say(f"Messages come by MQTT, through a Mosquitto of the demo's own on port {port}.")
        return MqttLink(port)

    def _feed(self, link: Link, stack: contextlib.ExitStack) -> Feed:
        plan, screen = self._plan, self._screen
        why = "A relay on the way repeats, delays and breaks messages, as bad links do, and keeps count."
        screen.step(f"The twin is fed with this machine, every {plan.interval:g} s for {plan.seconds:.0f} s", why)
        if not self._has_load:
            screen.say("This machine has no /proc, so there is no load average to model: no fit and no what-if, all the rest.")
        self._last_work = work = Work(_enough_work())
        stack.callback(work.stop)
        if self._has_load:
            screen.say(f"Two bursts of {work.count} busy processes, at the lowest priority, make a load that is worth learning from.")
        feed = stack.enter_context(Feed(link, plan.interval, self._machine))
        with screen.watching(feed, plan.seconds) as watch:
            self._drive(feed, work, watch)
        feed.finish()
        tally = feed.relay.tally
        made = f"{tally.duplicate} repeated, {tally.delayed} delayed, {tally.refused.total()} broken"
        screen.say(f"{len(feed.samples)} samples became {tally.received} messages: {made}.")
        return feed

    def _drive(self, feed: Feed, work: Work, watch: Callable[[float, str], None]) -> None:
        began = until = time.monotonic()
        for phase in self._plan.phases:
            until += phase.seconds
            if phase.busy:
                work.start(until - time.monotonic())
            while time.monotonic() < until:
                feed.check()
                watch(time.monotonic() - began, phase.what)
                time.sleep(0.25)
            work.stop()

    def _where(self) -> None:
        self._screen.step("Where it all is", "The folder is yours: look into it, go on with it, or throw it away.")
        report = self._results / "demo-report.html"
        if report.exists():
            self._screen.say(f"report    {report}")
        self._screen.say(
            f"console   twinwright up --workspace {self._results / 'workspace'}   (all of this again; the relay is gone, and shown as down)"
        )
