"""The commands that read twins: their state, their history, and queries."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, After, Fork, From, Json, KnownAt, Lane, To, Version, Workspace, app, opened


@app.command()
def state(
    twin: Annotated[str | None, typer.Argument(metavar="[TWIN]", help="All twins when none is given.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="True of the world at this time.")] = None,
    known_at: KnownAt = None,
    lane: Lane = "observed",
    facts: Annotated[bool, typer.Option("--facts", help="Leave out what depends on how the data arrived.")] = False,
    after: After = None,
    interface: Version = None,
    fork: Fork = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """The state of twins: now, as of a time, as known at a commit."""
    with opened(workspace, fork) as platform:
        result = platform.state(twin, as_of=as_of, known_at=known_at, lane=lane, facts=facts, after=after, interface=interface)
    output.finish(result, as_json, lambda r: _show_state([r] if twin else r["value"]))


def _show_state(documents: list[dict[str, Any]]) -> None:
    rows: list[list[Any]] = []
    for document in documents:
        before = len(rows)
        _state_rows(document["$dtId"], "", document, rows)
        if len(rows) == before:
            rows.append([document["$dtId"], "-", None, None, None, None])
    output.table(["twin", "path", "value", "unit", "quality", "time"], rows, empty="no twins")


def _state_rows(twin: str, prefix: str, owner: dict[str, Any], rows: list[list[Any]]) -> None:
    notes = owner["$metadata"]
    for name, value in owner.items():
        if isinstance(value, dict) and "$metadata" in value:
            _state_rows(twin, f"{prefix}{name}/", value, rows)
    for name, note in notes.items():
        if isinstance(note, dict):
            rows.append([twin, prefix + name, owner.get(name), note.get("unit"), note.get("quality"), note.get("sourceTime")])


@app.command()
def query(
    text: Annotated[str, typer.Argument(metavar="QUERY", help='"SELECT * FROM DIGITALTWINS T WHERE T.temperature > 20"')],
    after: After = None,
    interface: Version = None,
    fork: Fork = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Ask the graph, its values and their history in the query language."""
    with opened(workspace, fork) as platform:
        result = platform.query(text, after=after, interface=interface)
    output.finish(result, as_json, _show_rows)


def _show_rows(result: dict[str, Any]) -> None:
    names = list(dict.fromkeys(name for row in result["value"] for name in row if name not in ("$metadata", "$etag")))
    if names == ["sql", "walked", "windows", "plan"]:
        for row in result["value"]:
            output.fields({name: row[name] for name in ("sql", "walked")})
            typer.echo(row["plan"])
        return
    rows = [[_cell(row.get(name)) for name in names] for row in result["value"]]
    output.table(names, rows, empty="no rows")
    if result["continuationToken"]:
        typer.echo(f"there are more than {len(rows)} rows: narrow the query, or begin it with SELECT TOP(n)")


def _cell(value: Any) -> Any:
    """A whole twin or relationship by its id."""
    return value.get("$dtId") or value.get("$relationshipId") or value if isinstance(value, dict) else value


@app.command()
def history(
    twin: Annotated[str, typer.Argument(metavar="TWIN", help="The twin's id.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="pressure, or motor/speed.")],
    start: From = None,
    end: To = None,
    every: Annotated[str | None, typer.Option("--every", help="Resample into windows such as PT1M.")] = None,
    agg: Annotated[str, typer.Option("--agg", help="mean, min, max, sum, count, first or last.")] = "mean",
    unit: Annotated[str | None, typer.Option("--unit", help="Convert to this unit.")] = None,
    known_at: KnownAt = None,
    lane: Lane = "observed",
    after: After = None,
    interface: Version = None,
    fork: Fork = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """A series of one path of one twin."""
    with opened(workspace, fork) as platform:
        options: dict[str, Any] = {"every": every, "agg": agg, "unit": unit, "known_at": known_at, "lane": lane, "after": after}
        options["interface"] = interface
        result = platform.history(twin, path, start=start, end=end, **options)

    def show(r: dict[str, Any]) -> None:
        rows = list(zip(r["times"], r["values"], r["quality"], r["source"], strict=True))
        head = f"{path} [{r['unit']}]" if r["unit"] else path
        output.table(["time", head, "quality", "source"], rows, empty="no observations")
        if "expired_before" in r:
            typer.echo(f"raw values before {r['expired_before']} are gone" + (": windows are of roll-ups" if r.get("rolled_up") else ""))
        if marks := [f"{name} {count}" for name, count in r["marks"].items() if count]:
            typer.echo(f"marked: {', '.join(marks)}")

    output.finish(result, as_json, show)
