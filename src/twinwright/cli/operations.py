"""The commands of operations: figures of how well the platform does, and its clock."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Json, Workspace, app, opened


@app.command()
def kpi(
    window: Annotated[str, typer.Option("--window", help="How far back shares are taken.")] = "PT1H",
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Freshness, refused and late share, simulation success."""
    with opened(workspace) as platform:
        result = platform.kpi(window=window)

    def show(r: dict[str, Any]) -> None:
        rows = [[name, k["value"], k["unit"], k["target"], k["met"]] for name, k in r.items() if name != "counts"]
        output.table(["kpi", "value", "unit", "target", "met"], rows, empty="no KPIs")
        typer.echo("since creation: " + ", ".join(f"{name.replace('_', '-')} {count}" for name, count in r["counts"].items()))

    output.finish(result, as_json, show)


clocks = typer.Typer(help="The platform's clock, and whether ingestion is paused because of it.", no_args_is_help=True)
app.add_typer(clocks, name="clock")


@clocks.command("show")
def clock_show(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Show whether it is suspect; exit code 1 when it is."""
    with opened(workspace) as platform:
        result = platform.clock()
    output.finish(result, as_json, output.fields, good=not result["suspect"])


@clocks.command("trust")
def clock_trust(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Say that it is right as it is: ingestion goes on."""
    with opened(workspace) as platform:
        result = platform.trust_clock()
    output.finish(result, as_json, output.fields)
