"""`up`: the sources, the socket, the API and the console of one workspace, started together and stopped in good order."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from starlette.types import ASGIApp

from twinwright.addresses import EVERYWHERE
from twinwright.api.app import Extension, create_app
from twinwright.api.certificates import CERTIFICATE, own_certificate
from twinwright.api.server import Server
from twinwright.api.tokens import TokenAuthority
from twinwright.cli.spared import spared
from twinwright.cli.supervised import regularly, sinks, sources, until_told
from twinwright.errors import MissingExtraError, UsageError
from twinwright.governance.principals import LOCAL_ADMIN, SYSTEM
from twinwright.observability import logs
from twinwright.platform import reconciling
from twinwright.platform.local import LocalPlatform
from twinwright.platform.remote import running_platform
from twinwright.platform.retention import expire_history
from twinwright.platform.sealing import seal, split
from twinwright.platform.server import CommandServer, socket_path
from twinwright.platform.session import Session
from twinwright.platform.webhooks import expire as expire_webhook_letters
from twinwright.workspace.settings import Settings

if TYPE_CHECKING:
    from twinwright.api.rpc.server import RpcServer

_log = logs.get_logger("up")
_COMPARED_SECONDS = 30.0  # how often it is looked what is due to be compared; that is each minute at the most


def run(folder: Path, *, host: str | None, port: int | None, own_tls: bool, as_json: bool) -> None:
    """Until a signal says stop. Raises WorkspaceError before anything starts, UsageError when one is running already."""
    logs.configure()
    if running_platform(folder):
        remedy = "Commands of this workspace speak to it; stop it first to start another"
        raise UsageError("the platform of this workspace is running already", where=str(folder.resolve()), remedy=remedy)
    wait = until_told()
    session = Session(folder)
    with contextlib.closing(session):
        settings = session.workspace.settings  # loads and checks the folder whole
        session.apply_first(LOCAL_ADMIN)
        _warn_of_changes(session)
        platform = LocalPlatform(session)
        with (
            _commands(platform, session),
            _server(platform, session, settings, host, port, own_tls=own_tls) as (server, tokens, rpc),
            _deriving(session),
            sinks(session),
            sources(session, lambda: session.workspace.settings.connectors),
            regularly("housekeeping", lambda _: _keep_house(session)),
            regularly("reconciliation", lambda stop: reconciling.run_due(session, stop), _COMPARED_SECONDS),
            regularly("retention", lambda stop: _keep_history(session, stop)),
        ):
            platform.resume_jobs()
            platform.resume_runs()
            login = f"{server.url}/login?code={tokens.new_code()}"
            _tell(server, rpc, login, session.private / CERTIFICATE if own_tls else None, as_json=as_json)
            wait()


def _tell(server: Server, rpc: str | None, login: str, certificate: Path | None, *, as_json: bool) -> None:
    """The first line is where to go; the next one, what clients are to trust."""
    if as_json:
        trusted = {} if certificate is None else {"certificate": str(certificate.resolve())}
        also = {} if rpc is None else {"grpc": rpc}
        typer.echo(json.dumps({"url": server.url, "login": login, **also, **trusted}))
        return
    typer.echo(login)
    if rpc is not None:
        typer.echo(f"gRPC on {rpc}")
    if certificate is not None:
        typer.echo(f"clients trust {certificate.resolve()}")


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
    platform: LocalPlatform, session: Session, settings: Settings, host: str | None, port: int | None, *, own_tls: bool
) -> Iterator[tuple[Server, TokenAuthority, str | None]]:
    """REST, and gRPC where the settings have a port for it: its address."""
    api = settings.api
    tokens = TokenAuthority.of_workspace(session.private, clock=session.clock)
    app = create_app(
        platform, tokens=tokens, metrics=session.metrics, allowed_hosts=api.allowed_hosts, console=_console() if api.console else None
    )
    certificate, key = (session.folder / name if name else None for name in (api.tls_certificate, api.tls_key))
    if own_tls:
        named = [name.partition(":")[0] for name in api.allowed_hosts] + [host or api.host]
        certificate, key = own_certificate(session.private, [name for name in named if name not in EVERYWHERE])
    server = Server(app, host or api.host, api.port if port is None else port, ssl_certificate=certificate, ssl_key=key)
    with server:
        if api.grpc_port is None:
            yield server, tokens, None
            return
        with _rpc_server(app, host or api.host, api.grpc_port, tokens, certificate, key) as rpc:
            yield server, tokens, rpc.address


def _rpc_server(app: ASGIApp, host: str, port: int, tokens: TokenAuthority, certificate: Path | None, key: Path | None) -> RpcServer:
    """Raises MissingExtraError where its extra is not installed."""
    try:
        from twinwright.api.rpc.server import RpcServer
    except ImportError:
        raise MissingExtraError("grpc", "grpc_port of [api]") from None
    return RpcServer(app, host, port, tokens=tokens, ssl_certificate=certificate, ssl_key=key)


def _console() -> Extension | None:
    """The console, where its extra is installed; without it the API is served alone."""
    try:
        with spared("aiohttp", "requests", "tornado"):  # for clients of sockets, and other servers
            from twinwright.console import mount
    except (ImportError, MissingExtraError):
        _log.warning("no console", remedy="Install it with: pip install 'twinwright[console]'")
        return None
    return mount


@contextlib.contextmanager
def _deriving(session: Session) -> Iterator[None]:
    """What is derived, and the models that are shadows, follow what is committed."""
    session.derived.start()
    session.shadows.start()
    try:
        yield
    finally:
        session.shadows.stop()
        session.derived.stop()


def _keep_house(session: Session) -> None:
    session.remember_clock()
    session.expire()
    expire_webhook_letters(session, SYSTEM)


def _keep_history(session: Session, stop: threading.Event) -> None:
    """One after the other: all rewrite days."""
    split(session, stop)
    expire_history(session, stop)
    seal(session, stop)
