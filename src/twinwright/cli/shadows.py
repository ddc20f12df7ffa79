"""The commands of shadow runs: models that follow their twins."""

from __future__ import annotations

from typing import Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Json, Workspace, app, opened

shadow = typer.Typer(help="Models that follow their twins.", no_args_is_help=True)
app.add_typer(shadow, name="shadow")


@shadow.command("list")
def shadow_list(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """The applied shadows: which model follows how many twins."""
    with opened(workspace) as platform:
        found = platform.shadows()

    def show(r: dict[str, Any]) -> None:
        rows = [[x["name"], x["model"], x["model_version"], x["twins"]] for x in r["shadows"]]
        output.table(["shadow", "model", "version", "twins"], rows, empty="no shadows")

    output.finish({"shadows": found}, as_json, show)


@shadow.command("status")
def shadow_status(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """How far each has followed. Exit code 1 when one fails."""
    with opened(workspace) as platform:
        found = platform.shadows()
    _finish(found, as_json)


@shadow.command("run")
def shadow_run(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Follow as fast as it goes, until nothing is left. Exit code 1 when one fails."""
    with opened(workspace) as platform:
        found = platform.shadow_run()
    _finish(found, as_json)


@shadow.command("schema")
def shadow_schema() -> None:
    """Print the JSON Schema of shadow files, for editors."""
    import json

    from twinwright.simulation.shadow.definition import ShadowSpec

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **ShadowSpec.model_json_schema(by_alias=True)}
    typer.echo(json.dumps(schema, indent=1))


def _finish(found: list[dict[str, Any]], as_json: bool) -> None:
    def show(r: dict[str, Any]) -> None:
        rows = [[x["name"], x["through"], x["commit"], x["behind"], x["error"]] for x in r["shadows"]]
        output.table(["shadow", "through", "commit", "commits behind", "error"], rows, empty="no shadows")

    output.finish({"shadows": found}, as_json, show, good=not any(one["error"] for one in found))
