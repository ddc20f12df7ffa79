"""The commands of telemetry: taking files in, and reading the journal again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Fork, From, Json, To, Workspace, app, opened


@app.command()
def ingest(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of the contract's format.")],
    contract: Annotated[str, typer.Option("--contract", help="The contract that reads them.")],
    fork: Fork = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Load files; an interrupted load resumes."""
    with opened(workspace, fork) as platform, output.progress("ingesting", not as_json) as bar:
        result = platform.ingest([str(file) for file in files], contract, progress=bar)
    output.finish(result, as_json, output.receipt)


@app.command()
def replay(
    start: From = None,
    end: To = None,
    contract: Annotated[str | None, typer.Option("--contract", help="Only this contract's payloads.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and change nothing.")] = False,
    rate: Annotated[float | None, typer.Option("--rate", metavar="N", help="Read at most so many readings a second.")] = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Read the journal again, by receive time, under the applied contracts."""
    asked: dict[str, Any] = {"start": start, "end": end, "contract": contract, "rate": rate}
    with opened(workspace) as platform:
        if dry_run or not as_json:
            costs = platform.replay(**asked, dry_run=True)
            if dry_run:
                output.finish(costs, as_json, _show_cost)
                return
            _show_cost(costs)
        result = platform.replay(**asked)
    output.finish(result, as_json, output.receipt)


def _show_cost(result: dict[str, Any]) -> None:
    cost = result["cost"]
    typer.echo(
        f"{cost['rows']} readings to read again from {cost['journal_bytes'] / 1e6:.3g} MB of journal: about {cost['seconds']:.2g} s, "
        f"for {cost['pause_seconds']:.2g} s of which ingestion waits, and at most {cost['bytes'] / 1e6:.3g} MB"
    )
