"""`up` and `worker`: what runs until a signal says stop."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from twinwright.cli.app import HERE, Json, Workspace, app
from twinwright.cli.spared import arrow_alone


@app.command()
def up(
    workspace: Workspace = HERE,
    port: Annotated[int | None, typer.Option("--port", help="0 takes a free one (default: of twinwright.toml).")] = None,
    host: Annotated[str | None, typer.Option("--host", help="The address to listen on (default: of twinwright.toml).")] = None,
    tls: Annotated[
        Literal["auto"] | None, typer.Option("--tls", help="`auto`: TLS under a certificate of its own, whose file is printed for clients.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Start connectors, API and console; stop with Ctrl-C."""
    arrow_alone()
    from twinwright.cli.up import run

    run(workspace, host=host, port=port, own_tls=tls == "auto", as_json=as_json)


@app.command()
def worker(
    connectors: Annotated[list[str] | None, typer.Option("--connector", help="Only this one (default: all that can be shared).")] = None,
    monitoring_port: Annotated[
        int | None, typer.Option("--monitoring-port", help="Health and metrics on the loopback; 0: a free one.")
    ] = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Take in beside `up`, into a PostgreSQL store: as many as needed; stop with Ctrl-C."""
    arrow_alone()
    from twinwright.cli.worker import run

    run(workspace, names=connectors or [], port=monitoring_port, as_json=as_json)
