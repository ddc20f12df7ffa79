"""The commands of dead letters: what was refused, kept whole."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Json, Workspace, app, opened

letters = typer.Typer(help="Readings and payloads that were refused, kept whole.", no_args_is_help=True)
app.add_typer(letters, name="dead-letters")


@letters.command("list")
def letters_list(
    contract: Annotated[str | None, typer.Option("--contract", help="Only those of this contract.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Only those refused for this reason.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Show no more than so many.")] = 100,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """List the open ones."""
    with opened(workspace) as platform:
        result = platform.dead_letters(contract=contract, reason=reason, limit=limit)

    def show(r: dict[str, Any]) -> None:
        rows = [[i["id"], i["reason"], i["contract"], i["detail"], i["position"], i["payload"][:60]] for i in r["items"]]
        output.table(["id", "reason", "contract", "detail", "position", "payload"], rows, empty="no dead letters")
        if rows:
            groups = [[g["count"], g["reason"], g["contract"], g["source"], g["oldest"], g["newest"]] for g in r["groups"]]
            output.table(["count", "reason", "contract", "source", "oldest", "newest"], groups, empty="")
            typer.echo(f"{r['total']} open: " + ", ".join(f"{count} {name}" for name, count in r["by_reason"].items()))

        if r["expired"]:
            typer.echo(f"{r['expired']} expired")

    output.finish(result, as_json, show)


@letters.command("show")
def letters_show(
    id: Annotated[int, typer.Argument(metavar="ID", help="As `list` shows it.")], workspace: Workspace = HERE, as_json: Json = False
) -> None:
    """Show one with its whole payload."""
    with opened(workspace) as platform:
        result = platform.dead_letter(id)
    output.finish(result, as_json, output.fields)


@letters.command("retry")
def letters_retry(
    ids: Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="All open ones when none is given.")] = None,
    contract: Annotated[str | None, typer.Option("--contract", help="Only those of this contract.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would become of them, and change nothing.")] = False,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Read them again under the applied contracts."""
    with opened(workspace) as platform:
        result = platform.retry_dead_letters(ids or None, contract=contract, dry_run=dry_run)

    def show(r: dict[str, Any]) -> None:
        if dry_run:
            typer.echo("dry run: nothing was changed")
        output.receipt(r)

    output.finish(result, as_json, show)


@letters.command("expire")
def letters_expire(
    older_than: Annotated[str | None, typer.Option("--older-than", help="P90D (default: dead_letters in [retention]).")] = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Let go of the payloads of old ones; they stay counted."""
    with opened(workspace) as platform:
        result = platform.expire_dead_letters(older_than=older_than)
    output.finish(result, as_json, output.fields)
