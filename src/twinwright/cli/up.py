"""`up`: the sources, the socket, the API and the console of one workspace, started together and stopped in good order."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import typer

from twinwright.api.app import Extension, create_app
from twinwright.api.server import Server
from twinwright.api.tokens import TokenAuthority
from twinwright.connectors.registry import find_connector, find_sink, load_connectors, load_sinks
from twinwright.connectors.runner import SourceRunner
from twinwright.connectors.sink_runner import SinkRunner
from twinwright.errors import MissingExtraError, PlatformError, TwinwrightError
from twinwright.governance.principals import LOCAL_ADMIN, SYSTEM
from twinwright.observability import logs
from twinwright.platform.local import LocalPlatform
from twinwright.platform.remote import running_platform
from twinwright.platform.sealing import seal
from twinwright.platform.server import CommandServer, socket_path
from twinwright.platform.session import Session
from twinwright.workspace.load import bindings
from twinwright.workspace.settings import Settings

_log = logs.get_logger("up")
_HOUSEKEEPING_SECONDS = 600.0


def run(folder: Path, *, host: str | None, port: int | None, as_json: bool) -> None:
    """Until a signal says stop. Raises WorkspaceError before anything starts, PlatformError when one is running already."""
    logs.configure()
    if running_platform(folder):
        raise PlatformError("the platform of this workspace is running already", where=str(folder.resolve()), remedy="Stop that one first")
    stop = threading.Event()
    told, tell = os.pipe()  # not the event: a handler that takes its lock, while this thread is about to wait for it, waits for ever
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os.write(tell, b"."))
    session = Session(folder)
    with contextlib.closing(session):
        settings = session.workspace.settings  # loads and checks the folder whole
        session.apply_first(LOCAL_ADMIN)
        _warn_of_changes(session)
        platform = LocalPlatform(session)
        with (
            _commands(platform, session),
            _server(platform, session, settings, host, port) as (server, tokens),
            _deriving(session),
            _sinks(session),
            _sources(session),
        ):
            login = f"{server.url}/login?code={tokens.new_code()}"
            typer.echo(json.dumps({"url": server.url, "login": login}) if as_json else login)
            threading.Thread(target=_housekeeping, args=(session, stop), name="twinwright-housekeeping", daemon=True).start()
            sealing = threading.Thread(target=_sealing, args=(session, stop), name="twinwright-sealing", daemon=True)
            sealing.start()
            os.read(told, 1)
            stop.set()
            sealing.join()
            _log.info("stopping")


def _warn_of_changes(session: Session) -> None:
    applied, workspace = session.served.applied, session.workspace
    if applied.digest != workspace.digest or applied.models != {name: one.content_digest for name, one in workspace.models.items()}:
        _log.warning("the folder differs from what is applied", remedy="Run `twinwright plan`, then `twinwright apply`")


@contextlib.contextmanager
def _commands(platform: LocalPlatform, session: Session) -> Iterator[None]:
    server = CommandServer(platform, socket_path(session.private))
    try:
        yield
    finally:
        server.stop()


@contextlib.contextmanager
def _server(
    platform: LocalPlatform, session: Session, settings: Settings, host: str | None, port: int | None
) -> Iterator[tuple[Server, TokenAuthority]]:
    api = settings.api
    tokens = TokenAuthority.of_workspace(session.private, clock=session.clock)
    app = create_app(
        platform, tokens=tokens, metrics=session.metrics, allowed_hosts=api.allowed_hosts, console=_console() if api.console else None
    )
    certificate, key = (session.folder / name if name else None for name in (api.tls_certificate, api.tls_key))
    server = Server(app, host or api.host, api.port if port is None else port, ssl_certificate=certificate, ssl_key=key)
    with server:
        yield server, tokens


def _console() -> Extension | None:
    """The console, where its extra is installed; without it the API is served alone."""
    try:
        from twinwright.console import mount
    except (ImportError, MissingExtraError):
        _log.warning("no console", remedy="Install it with: pip install 'twinwright[console]'")
        return None
    return mount


@contextlib.contextmanager
def _deriving(session: Session) -> Iterator[None]:
    """What is derived follows what is committed."""
    session.derived.start()
    try:
        yield
    finally:
        session.derived.stop()


@contextlib.contextmanager
def _sinks(session: Session) -> Iterator[None]:
    """What is committed goes to the sinks of the workspace."""
    kinds = load_sinks()
    for name, given in session.workspace.settings.sinks.items():
        kind = find_sink(given.type, kinds)
        sink = kind(name, kind.Settings.model_validate(given.options))
        session.sinks.append(
            SinkRunner(sink, name, session.store, lambda: session.served.changes, given.lanes, given.start, session.metrics, session.clock)
        )
    for runner in session.sinks:
        runner.start()
    try:
        yield
    finally:
        for runner in session.sinks:
            runner.stop()


@contextlib.contextmanager
def _sources(session: Session) -> Iterator[None]:
    """The connectors of the workspace; an apply starts them anew under what it changed."""
    changing = threading.Lock()

    def stop() -> None:
        for runner in session.sources:
            runner.stop()
        session.sources.clear()

    def restart() -> None:
        with changing:
            stop()
            session.sources += _runners(session)
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


def _runners(session: Session) -> Iterator[SourceRunner]:
    kinds = load_connectors()

    def position(contract: str, stream: str) -> int:
        return session.store.position(SYSTEM, contract, stream)

    for name, connector in session.workspace.settings.connectors.items():
        bound = bindings(connector, name, session.served.applied.contracts)
        if not bound:
            _log.warning("a connector without a contract", connector=name, remedy=f"Name it in a contract: source: {{connector: {name}}}")
            continue
        kind = find_connector(connector.type, kinds)
        source = kind(name, kind.Settings.model_validate(connector.options), bound)
        yield SourceRunner(source, name, bound, session.pipeline, position, session.metrics, session.clock)


def _housekeeping(session: Session, stop: threading.Event) -> None:
    while not stop.wait(_HOUSEKEEPING_SECONDS):
        try:
            session.remember_clock()
            session.expire()
        except TwinwrightError as error:
            _log.warning("housekeeping failed", error=str(error))


def _sealing(session: Session, stop: threading.Event) -> None:
    while not stop.wait(_HOUSEKEEPING_SECONDS):
        try:
            seal(session, stop)
        except TwinwrightError as error:
            _log.warning("sealing failed", error=str(error))
