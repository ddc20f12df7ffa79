"""`import adt` and `import csv`: twins and relationships, with their interfaces, from files of other systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Json, Workspace, opened
from twinwright.cli.imports import imports
from twinwright.errors import UsageError

DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and count; write nothing. Exit code 1 where something is refused.")]


@imports.command("adt")
def import_adt(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="NDJSON, a graph of the Explorer, DTDL, or folders of them.")],
    dry_run: DryRun = False,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Take in models, twins and relationships of Azure Digital Twins. All of it is checked before any is written."""
    with opened(workspace) as platform, output.progress("importing", not as_json) as bar:
        result = platform.import_graph([str(file) for file in files], dry_run=dry_run, progress=bar)
    output.finish(result, as_json, _show, good=not result["problems"])


@imports.command("csv")
def import_csv(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tables in UTF-8 with a header; each row is a twin.")],
    interface: Annotated[str, typer.Option("--interface", metavar="DTMI", help="What the twins are.")],
    id: Annotated[str, typer.Option("--id", help="The column with the ids.")] = "$dtId",
    map: Annotated[
        list[str] | None, typer.Option("--map", metavar="COLUMN=PATH", help="'Pressure (bar)=pressure [bar]'; an empty path leaves it out.")
    ] = None,
    delimiter: Annotated[str, typer.Option("--delimiter", help="Between cells.")] = ",",
    dry_run: DryRun = False,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Take in twins of one interface from tables. All of it is checked before any is written."""
    with opened(workspace) as platform, output.progress("importing", not as_json) as bar:
        options: dict[str, Any] = {"id": id, "map": _mapped(map or []), "delimiter": delimiter, "dry_run": dry_run}
        result = platform.import_table([str(file) for file in files], interface, **options, progress=bar)
    output.finish(result, as_json, _show, good=not result["problems"])


def _mapped(pairs: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        column, sign, path = pair.rpartition("=")
        if not sign or not column:
            raise UsageError(f"'{pair[:60]}' is no COLUMN=PATH", where="--map", remedy="Write --map 'Line pressure=pressure [bar]'")
        found[column.strip()] = path.strip()
    return found


def _show(result: dict[str, Any]) -> None:
    for one in result["problems"]:
        place = ":".join(str(part) for part in (one["file"], one["line"]) if part is not None)
        where = f" at {one['path']}" if one["path"] else ""
        typer.echo(f"refused: {place}: {one['message']}{where}. {one['remedy']}")
    names = ("models", "twins", "relationships", "unchanged", "refused")
    typer.echo(", ".join(f"{name} {result[name]}" for name in names))
    typer.echo("dry run: nothing was written" if result["dry_run"] else f"commits {result['commits']}, token {result['token']}")
