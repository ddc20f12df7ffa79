"""`worker`: the shareable sources of a workspace into a store that several processes write to; no API, no console, nothing derived.

Workers know nothing of each other. A Kafka group shares the partitions out among its members; the fence on positions in the store refuses
whoever was thought dead and comes back; and nobody decides anything by what it remembers before it has heard of what the others committed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import typer

from twinwright.cli.supervised import sources, until_told
from twinwright.connectors.registry import find_connector, load_connectors
from twinwright.errors import NotFoundError, UsageError
from twinwright.observability import logs
from twinwright.platform.local import LocalPlatform
from twinwright.platform.session import Session
from twinwright.workspace.settings import ConnectorSettings

_log = logs.get_logger("worker")


def run(folder: Path, *, names: Sequence[str], port: int | None, as_json: bool) -> None:
    """Until a signal says stop. Raises WorkspaceError, UsageError for a store or a connector that can't be shared."""
    logs.configure()
    session = Session(folder, worker=True)
    with contextlib.closing(session):
        if not session.served.applied.digest:
            raise UsageError("nothing is applied to the store", where=str(folder), remedy="Run `twinwright apply` or `twinwright up` first")
        chosen = _chosen(session.workspace.settings.connectors, names)
        wait = until_told()
        with _monitored(session, port) as url, sources(session, lambda: _chosen(session.workspace.settings.connectors, names)):
            text = f"working on {', '.join(sorted(chosen))}" + (f", {url}" if url else "")
            typer.echo(json.dumps({"connectors": sorted(chosen), "monitoring": url}) if as_json else text)
            wait()


def _chosen(connectors: Mapping[str, ConnectorSettings], names: Sequence[str]) -> dict[str, ConnectorSettings]:
    """The connectors that were named, or all that can be shared. Raises NotFoundError, UsageError."""
    kinds = load_connectors()
    for name in names:
        if name not in connectors:
            there = ", ".join(sorted(connectors)) or "none"
            raise NotFoundError(f"there is no connector '{name}'", where="--connector", remedy=f"twinwright.toml has: {there}")
    shareable = {name for name, one in connectors.items() if getattr(find_connector(one.type, kinds), "shareable", False)}
    for name in names:
        if name not in shareable:
            raise UsageError(
                f"two processes would both read all of '{name}'",
                where="--connector",
                remedy=f"Leave it to `twinwright up`: connectors of the type {connectors[name].type} can't be shared",
            )
    if not shareable:
        remedy = "Add one to twinwright.toml, of the type kafka say; others are read by `twinwright up` alone"
        raise UsageError("no connector of the workspace can be shared", where="twinwright.toml", remedy=remedy)
    return {name: connectors[name] for name in (names or sorted(shareable))}


@contextlib.contextmanager
def _monitored(session: Session, port: int | None) -> Iterator[str | None]:
    """Health and metrics on a port of the loopback, where one is wanted; its URL."""
    if port is None:
        yield None
        return
    from twinwright.api.app import create_monitoring
    from twinwright.api.server import Server
    from twinwright.api.tokens import TokenAuthority

    tokens = TokenAuthority.of_workspace(session.private, clock=session.clock)
    app = create_monitoring(LocalPlatform(session), tokens=tokens, metrics=session.metrics)
    with Server(app, "127.0.0.1", port) as server:
        yield server.url
