"""The commands of forks: what if, beside what is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Json, Workspace, app, opened

fork = typer.Typer(help="Forks: what if, beside what is. Use one with --fork NAME.", no_args_is_help=True)
app.add_typer(fork, name="fork")
Name = Annotated[str, typer.Argument(metavar="NAME", help="The fork's name.")]


@fork.command("create")
def fork_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a-z, 0-9, - and _.")],
    at: Annotated[str | None, typer.Option("--at", help="As known at a commit number, or at a time (default: now).")] = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Fork the workspace: nothing is copied, and nothing in the fork reaches the workspace."""
    with opened(workspace) as platform:
        result = platform.create_fork(name, at=at)
    output.finish(result, as_json, lambda r: typer.echo(f"fork {r['name']} of commit {r['commit']}: use it with --fork {r['name']}"))


@fork.command("list")
def fork_list(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """The forks there are, and which commit each forks."""
    with opened(workspace) as platform:
        found = platform.forks()

    def show(r: dict[str, Any]) -> None:
        rows = [[x["name"], x["commit"], x["created"], x["by"]] for x in r["forks"]]
        output.table(["fork", "commit", "created", "by"], rows, empty="no forks")

    output.finish({"forks": found}, as_json, show)


@fork.command("diff")
def fork_diff(
    name: Name,
    against: Annotated[str, typer.Option("--against", help="base: the commit that it forks; live: the workspace now.")] = "base",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="Show no more than so many of a kind.")] = 1000,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Twins, relationships and current values in which a fork differs. Exit code 0, whether it does or not."""
    with opened(workspace) as platform:
        result = platform.fork_diff(name, against=against, limit=limit)

    def show(r: dict[str, Any]) -> None:
        rows = [[x["change"], "twin", x["twin"], x["interface"]] for x in r["twins"]]
        rows += [[x["change"], "relationship", x["twin"], x["relationship"]] for x in r["relationships"]]
        if rows:
            output.table(["change", "what", "twin", ""], rows, empty="")
        values = [[x["twin"], x["path"], x["lane"], _value(x["before"]), _value(x["fork"])] for x in r["values"]]
        output.table(["twin", "path", "lane", r["against"], "fork"], values, empty="no values differ")
        count = r["counts"]
        typer.echo(
            f"fork {r['fork']} of commit {r['base']}: {count['twins']} twins, {count['relationships']} relationships, "
            f"{count['values']} values differ; {r['readings']['accepted']} readings taken in"
        )

    output.finish(result, as_json, show)


@fork.command("drop")
def fork_drop(name: Name, workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Remove a fork with all that is in it."""
    with opened(workspace) as platform:
        result = platform.drop_fork(name)
    output.finish(result, as_json, lambda r: typer.echo(f"dropped {r['dropped']}"))


def _value(shown: dict[str, Any] | None) -> Any:
    return None if shown is None else shown["value"] if shown["quality"] == "good" else shown["quality"]
