"""The commands about scenario and model files; they need no store."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Json, Workspace, app

scenarios = typer.Typer(help="Scenario files.", no_args_is_help=True)
app.add_typer(scenarios, name="scenarios")


@scenarios.command("check")
def scenarios_check(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Judge the scenarios of a workspace against its models and twins: every problem at once. Exit code 1 when there is one."""
    from twinwright.errors import WorkspaceError
    from twinwright.workspace import load_workspace

    names: list[str] = []
    errors: list[dict[str, Any]] = []
    try:
        names = sorted(load_workspace(workspace).scenarios)
    except WorkspaceError as error:
        errors = [problem.as_json() for problem in error.problems]

    def show(r: dict[str, Any]) -> None:
        for e in r["errors"]:
            line = f":{e['line']}" if e["line"] else ""
            typer.echo(f"{e['file']}{line}: {e['message']} ({e['code']}, {e['path']}). {e['remedy']}")
        typer.echo(f"{len(names)} in order" if r["valid"] else f"{len(r['errors'])} problem{'s' if len(r['errors']) > 1 else ''}")

    output.finish({"valid": not errors, "scenarios": names, "errors": errors}, as_json, show, good=not errors)


@scenarios.command("schema")
def scenarios_schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    import json

    from twinwright.simulation.scenario import ScenarioSpec

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **ScenarioSpec.model_json_schema(by_alias=True)}
    typer.echo(json.dumps(schema, indent=1))


models = typer.Typer(help="Model files.", no_args_is_help=True)
app.add_typer(models, name="models")


@models.command("schema")
def models_schema(kind: Annotated[str, typer.Argument(metavar="KIND", help="A kind of model, such as composite.")]) -> None:
    """Print the JSON Schema of model files of one kind, for editors."""
    import json

    from twinwright.errors import UsageError
    from twinwright.simulation.registry import kinds

    if kind not in kinds():
        raise UsageError(f"'{kind}' is not a kind of model", remedy=f"Installed kinds: {', '.join(sorted(kinds()))}")
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **kinds()[kind].Spec.model_json_schema(by_alias=True)}
    typer.echo(json.dumps(schema, indent=1))
