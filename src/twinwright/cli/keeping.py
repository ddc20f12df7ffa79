"""The commands that look after a store: backups, exports, the way back, and whether all is well."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, From, Json, To, Workspace, app, opened
from twinwright.cli.imports import imports

Folder = Annotated[Path, typer.Argument(metavar="TO", help="A folder that does not exist yet.")]


@app.command()
def backup(to: Folder, workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Copy all that the store holds at one commit, with its journal; ingestion goes on."""
    with opened(workspace) as platform:
        result = platform.backup(str(to))
    output.finish(result, as_json, _show)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="The folder that `backup` wrote.")],
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Take a backup into a workspace whose store is empty; where there is no workspace, make it of the backup's documents."""
    from twinwright.platform.keeping import put_documents

    put_documents(source, workspace)
    with opened(workspace) as platform:
        result = platform.restore(str(source))
    output.finish(result, as_json, _show)


@app.command()
def export(
    to: Annotated[Path, typer.Argument(metavar="TO", help="A folder that does not exist yet; a file, where something is selected.")],
    journal: Annotated[bool, typer.Option("--journal", help="With the payloads as they were received.")] = False,
    twins: Annotated[list[str] | None, typer.Option("--twin", help="Only series of this twin; may be given again.")] = None,
    paths: Annotated[list[str] | None, typer.Option("--path", help="Only series of this path; may be given again.")] = None,
    start: From = None,
    end: To = None,
    format: Annotated[str | None, typer.Option("--format", help="csv, parquet or arrow (default: the file's ending).")] = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Write everything as Parquet and JSON; or chosen series as one file."""
    with opened(workspace) as platform:
        result = platform.export(str(to), journal=journal, twins=twins, paths=paths, start=start, end=end, format=format)
    output.finish(result, as_json, _show if "tables" in result else output.fields)


@app.command()
def doctor(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Look whether workspace, store, clock, disk, permissions and kernel are fit. Exit code 1 when something has to be mended."""
    from twinwright.platform.doctor import examine

    result = examine(workspace)

    def show(r: dict[str, Any]) -> None:
        output.table(
            ["check", "state", "found", "remedy"],
            [[one[name] for name in ("name", "state", "found", "remedy")] for one in r["checks"]],
            empty="",
        )

    output.finish(result, as_json, show, good=result["healthy"])


@imports.command("data")
def import_data(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="The folder that `export` wrote, from whatever engine.")],
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Take an export into a workspace whose store is empty. `twinwright import FROM` does the same."""
    with opened(workspace) as platform:
        result = platform.import_(str(source))
    output.finish(result, as_json, _show)


def _show(result: dict[str, Any]) -> None:
    rows = [[name, count] for name, count in result["tables"].items() if count]
    output.table(["table", "rows"], rows, empty="nothing")
    size = result["bytes"] / 1e6
    typer.echo(f"{result['kind']} {result['path']}: commit {result['commit']} of {result['at']}, {size:.1f} MB, {result['seconds']:.2f} s")
