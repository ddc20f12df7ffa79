"""The commands of a workspace: making one, and applying what its folder says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Json, Workspace, app, opened


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")],
    example: Annotated[str, typer.Option("--example", help="Which example to start from.")] = "starter",
    as_json: Json = False,
) -> None:
    """Make a workspace that runs at once."""
    from twinwright.cli.examples import commands_before, copy_example

    copy_example(example, folder)
    result = {"workspace": str(folder.resolve())}
    following = " && ".join([*commands_before(folder), f"twinwright up --workspace {folder}"])
    output.finish(result, as_json, lambda r: typer.echo(f"workspace {r['workspace']}\nNext: {following}"))


@app.command()
def plan(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Show what applying the folder would change."""
    with opened(workspace) as platform:
        result = platform.plan()
    output.finish(result, as_json, _show_changes)


@app.command()
def apply(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Apply the folder in one audited transaction."""
    with opened(workspace) as platform:
        result = platform.apply()
    output.finish(result, as_json, _show_changes)


def _show_changes(result: dict[str, Any]) -> None:
    rows = [[c["change"], c["kind"], c["id"], c["effect"], c["detail"]] for c in result["changes"]]
    output.table(["change", "what", "name", "effect", "detail"], rows, empty="nothing to change")
    if result.get("deletes", {}).get("values"):
        gone = result["deletes"]
        size = gone["bytes"] / 1e6
        typer.echo(f"Retention deletes up to {gone['values']} values of {gone['readings']} readings, about {size:.1f} MB, for good")
    if result["breaking"]:
        typer.echo("There are breaking changes: `twinwright apply` refuses them.")
    for one in result["migrations"]:
        steps = [[s["step"], s["twins"], f"{'' if s['exact'] else 'at most '}{s['observations']}", s["clients"]] for s in one["steps"]]
        typer.echo(f"{one['name']}: {one['from']} to {one['to']}")
        output.table(["step", "twins", "observations", "clients"], steps, empty="no steps: every path stays as it is")
