"""The commands of contracts: draft one, test it, compare revisions, write its documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Json, Workspace, app, opened
from twinwright.errors import UsageError

contracts = typer.Typer(help="Contracts: how payloads become readings.", no_args_is_help=True)
app.add_typer(contracts, name="contracts")


@contracts.command("infer")
def infer(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A sample, by its ending: JSON, NDJSON, CSV (or .csv.gz), Parquet, Arrow.")],
    name: Annotated[str | None, typer.Option("--name", help="The contract's name (default: of the file).")] = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Profile a sample and draft a contract for it, by the twins of the workspace where there are some."""
    from twinwright.workspace.drafting import draft

    result = draft(file, name, workspace)
    output.finish(result, as_json, lambda r: typer.echo(r["yaml"], nl=False))


@contracts.command("test")
def test(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="All contracts when none is given.")] = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Run the examples inside contracts of the folder. Exit code 1 when one fails."""
    from twinwright.workspace import load_workspace
    from twinwright.workspace.contracts import try_contracts

    result = try_contracts(load_workspace(workspace), names or [])

    def show(r: dict[str, Any]) -> None:
        for one in r["examples"]:
            typer.echo(f"{'passed' if one['passed'] else 'FAILED'}  {one['contract']}: {one['example']}")
            for difference in one["differences"]:
                typer.echo(f"        {difference}")
        typer.echo(f"{r['passed']} passed, {r['failed']} failed")

    output.finish(result, as_json, show, good=not result["failed"])


@contracts.command("diff")
def diff(
    old: Annotated[Path | None, typer.Argument(metavar="[OLD]", help="A contract's file; without files: what is applied.")] = None,
    new: Annotated[Path | None, typer.Argument(metavar="[NEW]", help="The same, newer; without files: the folder.")] = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Show what differs between revisions and what that does. Exit code 1 when a contract changed under one revision."""
    from twinwright.workspace.contracts import diff_files

    if old is not None and new is not None:
        result = diff_files(old, new)
    elif old is not None:
        raise UsageError("one file has nothing to be compared with", where="command line", remedy="Name two files, or none")
    else:
        with opened(workspace) as platform:
            result = platform.contract_diff()

    def show(r: dict[str, Any]) -> None:
        rows = [[c["effect"], c["contract"], c["path"], c["before"], c["after"], c["why"]] for c in r["changes"]]
        output.table(["effect", "contract", "where", "before", "after", "why"], rows, empty="no differences")
        for name in r["raise_revision"]:
            typer.echo(f"Raise the revision of '{name}': it changed.")

    output.finish(result, as_json, show, good=not result["raise_revision"])


@contracts.command("docs")
def docs(
    out: Annotated[Path, typer.Option("--out", help="The folder to write to.")] = Path("contract-docs"),
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Write the document of each contract (Markdown, HTML) and the JSON Schema of contracts for editors."""
    from twinwright.workspace import load_workspace
    from twinwright.workspace.contracts import write_documents

    result = write_documents(load_workspace(workspace), out)
    output.finish(result, as_json, lambda r: typer.echo("\n".join(r["files"])))
