"""`graph`: what is different between the graph of one instant and that of another. `update`: many twins changed at once."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, After, Json, Version, Workspace, app, opened
from twinwright.errors import UsageError

_NO_VALUE = "(none)"

graphs = typer.Typer(help="The graph of twins and relationships through time.", no_args_is_help=True)
app.add_typer(graphs, name="graph")


@graphs.command("diff")
def graph_diff(
    start: Annotated[str, typer.Option("--from", help="A commit number, or a time: what was known then.")],
    end: Annotated[str | None, typer.Option("--to", help="A commit number, or a time (default: now).")] = None,
    event_time: Annotated[bool, typer.Option("--event-time", help="--from and --to are times of the world instead.")] = False,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Of the world at this time, at both commits.")] = None,
    known_at: Annotated[str | None, typer.Option("--known-at", help="With --event-time: as known at a commit or time.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only interface, twin or relationship.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Show no more than so many.")] = 1_000,
    continuation: Annotated[str | None, typer.Option("--continuation", help="The continuationToken of the page before.")] = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """List twins, relationships and interfaces that were added, removed or changed."""
    with opened(workspace) as platform:
        options: dict[str, Any] = {"event_time": event_time, "as_of": as_of, "known_at": known_at, "kind": kind}
        result = platform.graph_diff(start, end, **options, continuation=continuation, max_items=limit)
    output.finish(result, as_json, _show_differences)


def _show_differences(result: dict[str, Any]) -> None:
    rows: list[list[Any]] = []
    for one in result["value"]:
        named = f"{one['source']} -{one['name']}-> {one['id']}" if one["kind"] == "relationship" else one["id"]
        for name, sides in one["properties"].items():
            rows.append([one["kind"], one["change"], named, name, *(sides.get(side, _NO_VALUE) for side in ("before", "after"))])
        if not one["properties"]:
            rows.append([one["kind"], one["change"], named, None, None, None])
    output.table(["what", "change", "id", "property", "before", "after"], rows, empty="no differences")
    counts = [f"{kind} {', '.join(f'{n} {what}' for what, n in these.items())}" for kind, these in result["counts"].items()]
    typer.echo("; ".join(counts))
    if result["continuationToken"]:
        typer.echo(f"there are more: --continuation {result['continuationToken']}")


@app.command()
def update(
    query: Annotated[str | None, typer.Argument(metavar="[QUERY]", help="\"SELECT T FROM DIGITALTWINS T WHERE T.site = 'north'\"")] = None,
    set: Annotated[list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="pressure='3 bar', motor/mode=auto.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="PATH", help="Is to have no value.")] = None,
    patch: Annotated[str | None, typer.Option("--patch", metavar="JSON", help="Further steps, as JSON Patch (RFC 6902).")] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the twins.")] = False,
    with_relationships: Annotated[bool, typer.Option("--with-relationships", help="And the relationships they have.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, count and show what would change; write nothing.")] = False,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Go on with updates that were interrupted.")] = False,
    after: After = None,
    interface: Version = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Change every twin that a query selects. All are checked before any is written; exit code 1 where some were refused."""
    if unfinished == (query is not None):
        raise UsageError("there is no query", where="QUERY", remedy="Give one, or --unfinished alone")
    with opened(workspace) as platform:
        if query is None:
            found = platform.resume_updates()
            output.finish(found, as_json, _show_updates, good=not any(one["refused"] for one in found))
            return
        options: dict[str, Any] = {"set": _given(set or []), "remove": remove or [], "patch": _steps(patch)}
        options |= {"delete": delete, "with_relationships": with_relationships, "dry_run": dry_run, "after": after, "interface": interface}
        result = platform.update(query, **options)
    output.finish(result, as_json, lambda r: _show_updates([r]), good=not result["refused"])


def _given(pairs: list[str]) -> dict[str, Any]:
    """`PATH=VALUE`, with values as JSON; what is none is text. Raises UsageError."""
    found: dict[str, Any] = {}
    for pair in pairs:
        path, sign, text = pair.partition("=")
        if not sign or not path or path in found:
            what = "is given twice" if path in found else "is no PATH=VALUE"
            raise UsageError(f"'{pair[:60]}' {what}", where="--set", remedy="Write --set pressure='3 bar'")
        try:
            found[path] = json.loads(text)
        except ValueError:
            found[path] = text
    return found


def _steps(patch: str | None) -> list[Any]:
    try:
        steps = [] if patch is None else json.loads(patch)
    except ValueError as error:
        raise UsageError(f"it is not JSON: {error}", where="--patch", remedy='Write [{"op": "add", "path": "/name", "value": 1}]') from None
    return steps if isinstance(steps, list) else [steps]


def _show_updates(found: list[dict[str, Any]]) -> None:
    for result in found:
        rows = [
            [one["id"], name, *(sides.get(side, _NO_VALUE) for side in ("before", "after"))]
            for one in result.get("preview", [])
            for name, sides in one["properties"].items()
        ]
        if rows:
            output.table(["twin", "property", "before", "after"], rows, empty="")
        for problem in result["problems"]:
            where = f" at {problem['path']}" if problem["path"] else ""
            typer.echo(f"refused: {problem['message']}{where}. {problem['remedy']}")
        names = ("matched", "changed", "unchanged", "deleted", "relationships", "refused", "missing")
        typer.echo(", ".join(f"{name} {result[name]}" for name in names))
        typer.echo("dry run: nothing was changed" if result.get("dry_run") else f"commits {result['commits']}, token {result['token']}")
    if not found:
        typer.echo("no update was interrupted")
