"""The commands of shadow runs: models that follow their twins."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Fork, Json, Workspace, app, opened
from twinwright.cli.plot import plotted

shadow = typer.Typer(help="Models that follow their twins.", no_args_is_help=True)
app.add_typer(shadow, name="shadow")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The shadow's name.")]


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


@shadow.command("show")
def shadow_show(
    name: Name,
    limit: Annotated[int, typer.Option("--limit", help="How many twins to list.")] = 100,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """One shadow and its twins: those that fail first, then those that are furthest behind. Exit code 1 when it fails."""
    with opened(workspace) as platform:
        found = platform.shadow(name, limit=limit)

    def show(r: dict[str, Any]) -> None:
        output.fields({key: value for key, value in r.items() if key != "items"})
        output.table(["twin", "through", "error"], [[x["twin"], x["through"], x["error"]] for x in r["items"]], empty="no twins")

    output.finish(found, as_json, show, good=not found["error"])


@shadow.command("replay")
def shadow_replay(
    name: Name,
    twin: Annotated[str | None, typer.Option("--twin", help="Of a shadow that follows many.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Default: where all inputs are observed.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Not included. Default: the newest input.")] = None,
    speed: Annotated[float | None, typer.Option("--speed", help="How many times as fast as it was; default: as fast as it goes.")] = None,
    fork: Fork = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Follow a stretch of history again, for a rehearsal: nothing is stored, but on the lanes of a fork. Ctrl-C ends it."""
    with opened(workspace, fork) as platform, output.progress("replaying", not as_json) as bar:
        result = platform.shadow_replay(name, twin=twin, start=start, end=end, speed=speed, progress=bar)

    def show(r: dict[str, Any]) -> None:
        typer.echo(plotted({**r["outputs"], **r["residuals"]}))
        output.fields({key: value for key, value in r.items() if key not in ("outputs", "residuals", "forecast")})

    output.finish(result, as_json, show)


@shadow.command("run")
def shadow_run(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Follow as fast as it goes, until nothing is left. Exit code 1 when one fails."""
    with opened(workspace) as platform:
        found = platform.shadow_run()
    _finish(found, as_json)


@shadow.command("stop")
def shadow_stop(name: Name, workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Have one follow nothing until it is started, over restarts too. It goes on later as if it had never been stopped."""
    with opened(workspace) as platform:
        result = platform.shadow_stop(name)
    output.finish(result, as_json, lambda r: typer.echo(f"{r['name']} is stopped at commit {r['commit']}"))


@shadow.command("start")
def shadow_start(name: Name, workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Have one that was stopped go on where it was."""
    with opened(workspace) as platform:
        result = platform.shadow_start(name)
    output.finish(result, as_json, lambda r: typer.echo(f"{r['name']} goes on from commit {r['commit']}"))


@shadow.command("schema")
def shadow_schema() -> None:
    """Print the JSON Schema of shadow files, for editors."""
    import json

    from twinwright.simulation.shadow.definition import ShadowSpec

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **ShadowSpec.model_json_schema(by_alias=True)}
    typer.echo(json.dumps(schema, indent=1))


def _finish(found: list[dict[str, Any]], as_json: bool) -> None:
    def show(r: dict[str, Any]) -> None:
        rows = [[x["name"], x["state"], x["through"], x["commit"], x["behind"], x["error"]] for x in r["shadows"]]
        output.table(["shadow", "state", "through", "commit", "commits behind", "error"], rows, empty="no shadows")

    output.finish({"shadows": found}, as_json, show, good=not any(one["error"] for one in found))
