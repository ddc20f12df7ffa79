"""`graph`: what is different between the graph of one instant and that of another."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Json, Workspace, app, opened

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
