"""The sources of a workspace in this process, and the signals that end it: what `up` and `worker` have in common."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from twinwright.connectors.registry import find_connector, find_sink, load_connectors, load_sinks
from twinwright.connectors.runner import SourceRunner
from twinwright.connectors.sink_runner import SinkRunner
from twinwright.errors import TwinwrightError
from twinwright.governance.principals import SYSTEM
from twinwright.observability import logs
from twinwright.platform.session import Session
from twinwright.platform.webhooks import webhook
from twinwright.workspace.load import bindings
from twinwright.workspace.settings import ConnectorSettings, SinkSettings

_log = logs.get_logger("up")
_EVERY_SECONDS = 600.0


def until_told() -> Callable[[], None]:
    """From now on a signal does not end the process, but what this returns: it waits for one."""
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    # The interpreter writes to the pipe the moment a signal arrives. A handler in Python would be too late for one that arrives between its
    # last look for signals and the wait: it would run when the wait is over.
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        os.read(told, 1)
        _log.info("stopping")

    return wait


@contextlib.contextmanager
def sources(session: Session, connectors: Callable[[], Mapping[str, ConnectorSettings]]) -> Iterator[None]:
    """Some connectors of the workspace; an apply starts them anew under what it changed."""
    changing = threading.Lock()

    def stop() -> None:
        for runner in session.sources:
            runner.stop()
        session.sources.clear()

    def restart() -> None:
        with changing:
            stop()
            session.sources += _runners(session, connectors())
            for runner in session.sources:
                runner.start()

    restart()
    session.on_apply.append(restart)
    try:
        yield
    finally:
        session.on_apply.remove(restart)
        with changing:
            stop()


def _runners(session: Session, connectors: Mapping[str, ConnectorSettings]) -> Iterator[SourceRunner]:
    kinds = load_connectors()

    def position(contract: str, stream: str) -> int:
        return session.store.position(SYSTEM, contract, stream)

    for name, connector in connectors.items():
        bound = bindings(connector, name, session.served.applied.contracts)
        if not bound:
            _log.warning("a connector without a contract", connector=name, remedy=f"Name it in a contract: source: {{connector: {name}}}")
            continue
        kind = find_connector(connector.type, kinds)
        source = kind(name, kind.Settings.model_validate(connector.options), bound)
        yield SourceRunner(source, name, bound, session.pipeline, position, session.metrics, session.clock)


@contextlib.contextmanager
def sinks(session: Session) -> Iterator[None]:
    """What is committed goes to the sinks and webhooks of the workspace; an apply starts those anew whose settings it changed."""
    changing = threading.Lock()
    running: dict[tuple[str, str], tuple[object, SinkRunner[Any]]] = {}

    def renew() -> None:
        with changing:
            wanted = _sinks_wanted(session)
            _stop([running.pop(key)[1] for key in list(running) if key not in wanted or running[key][0] != wanted[key][0]])
            fresh = {key: (said, make()) for key, (said, make) in wanted.items() if key not in running}
            running.update(fresh)
            session.sinks = [runner for _, runner in running.values()]
            for _, runner in fresh.values():
                runner.start()

    def renew_if_sound() -> None:
        try:
            renew()
        except TwinwrightError as error:  # what was applied is applied: those that ran as they were go on
            _log.error("sinks and webhooks are not as they are set", error=str(error))

    renew()
    session.on_apply.append(renew_if_sound)
    try:
        yield
    finally:
        session.on_apply.remove(renew_if_sound)
        with changing:
            _stop([runner for _, runner in running.values()])


def _stop(runners: list[SinkRunner[Any]]) -> None:
    for runner in runners:
        runner.leave_off()
    for runner in runners:
        runner.stop()


def _sinks_wanted(session: Session) -> dict[tuple[str, str], tuple[object, Callable[[], SinkRunner[Any]]]]:
    """By kind and name: what its settings say, its secret too, and what makes it. Raises UsageError."""
    settings, kinds = session.workspace.settings, load_sinks()
    found: dict[tuple[str, str], tuple[object, Callable[[], SinkRunner[Any]]]] = {}
    for name, given in settings.sinks.items():
        found["sink", name] = given, functools.partial(_sink, session, name, given, kinds)
    for name, hook in settings.webhooks.items():
        found["webhook", name] = (hook, hook.keys(name, session.folder)), functools.partial(webhook, session, name)
    return found


def _sink(session: Session, name: str, given: SinkSettings, kinds: Mapping[str, Any]) -> SinkRunner[Any]:
    kind = find_sink(given.type, kinds)
    sink = kind(name, kind.Settings.model_validate(given.options))
    return SinkRunner(sink, name, session.store, lambda: session.served.changes, given.lanes, given.start, session.metrics, session.clock)


@contextlib.contextmanager
def regularly(what: str, work: Callable[[threading.Event], object], every: float = _EVERY_SECONDS) -> Iterator[None]:
    """Something that is done every ten minutes (or so many seconds) in a thread of its own, and is told when to leave off."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every):
            try:
                work(stop)
            except TwinwrightError as error:
                _log.warning(f"{what} failed", error=str(error))

    thread = threading.Thread(target=run, name=f"twinwright-{what}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
