"""The sources of a workspace in this process, and the signals that end it: what `up` and `worker` have in common."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping

from twinwright.connectors.registry import find_connector, find_sink, load_connectors, load_sinks
from twinwright.connectors.runner import SourceRunner
from twinwright.connectors.sink_runner import SinkRunner
from twinwright.errors import TwinwrightError
from twinwright.governance.principals import SYSTEM
from twinwright.observability import logs
from twinwright.platform.session import Session
from twinwright.platform.webhooks import webhooks
from twinwright.workspace.load import bindings
from twinwright.workspace.settings import ConnectorSettings

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
    """What is committed goes to the sinks of the workspace."""
    kinds = load_sinks()
    for name, given in session.workspace.settings.sinks.items():
        kind = find_sink(given.type, kinds)
        sink = kind(name, kind.Settings.model_validate(given.options))
        session.sinks.append(
            SinkRunner(sink, name, session.store, lambda: session.served.changes, given.lanes, given.start, session.metrics, session.clock)
        )
    session.sinks += webhooks(session)
    for runner in session.sinks:
        runner.start()
    try:
        yield
    finally:
        for runner in session.sinks:
            runner.leave_off()
        for runner in session.sinks:
            runner.stop()


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
