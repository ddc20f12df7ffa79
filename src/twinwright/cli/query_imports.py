"""`import query`: twins and relationships made of the rows of a query, or of a table, by a template."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, After, Json, Workspace, opened
from twinwright.cli.graph_imports import DryRun
from twinwright.cli.imports import imports
from twinwright.errors import InvalidTwinError, UsageError

_MOST_BYTES = 64 * 1024 * 1024
_NO_VALUE = "(none)"


@imports.command("query")
def import_query(
    query: Annotated[str | None, typer.Argument(metavar="[QUERY]", help='"SELECT R.$dtId AS room FROM DIGITALTWINS R WHERE ..."')] = None,
    template: Annotated[
        Path | None, typer.Option("--template", metavar="FILE", help="Twins and relationships with {column}, as YAML.")
    ] = None,
    rows: Annotated[Path | None, typer.Option("--rows", metavar="FILE", help="A table: CSV with a header, or an object a line.")] = None,
    on: Annotated[list[str] | None, typer.Option("--on", metavar="COLUMN", help="What table and query have in common.")] = None,
    dry_run: DryRun = False,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Go on with imports by query that were interrupted.")] = False,
    after: After = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Make twins and relationships of each row of a query. All are checked before any is written; exit code 1 where some were refused."""
    if unfinished == (template is not None):
        raise UsageError("there is no template", where="--template", remedy="Give one, or --unfinished alone")
    with opened(workspace) as platform:
        if template is None:
            found = platform.resume_query_imports()
            output.finish(found, as_json, _show, good=not any(one["refused"] for one in found))
            return
        options: dict[str, Any] = {"rows": [] if rows is None else list(_rows(rows)), "on": on or [], "dry_run": dry_run, "after": after}
        result = platform.import_query(query, template=_template(template), **options)
    output.finish(result, as_json, lambda r: _show([r]), good=not result["refused"])


def _template(file: Path) -> Any:
    """Raises UsageError for no such file, InvalidTwinError for what is no YAML."""
    from twinwright.documents import Problems, load

    problems = Problems()
    document = load(file, problems)
    if document is None:
        raise InvalidTwinError(problems.items)
    return document.data


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    """Of CSV all cells are text: what a value is for says what it is. Raises UsageError."""
    if not file.is_file():
        raise UsageError("there is no such file", where=str(file), remedy="Name a file that is there")
    if file.stat().st_size > _MOST_BYTES:
        raise UsageError(f"more than {_MOST_BYTES} bytes", where=str(file), remedy="Split it")
    with file.open(encoding="utf-8-sig", newline="") as opened_file:
        try:
            yield from _objects(file, opened_file) if file.suffix in (".ndjson", ".jsonl", ".json") else _cells(file, opened_file)
        except (csv.Error, UnicodeDecodeError) as error:
            raise UsageError(f"not a table in UTF-8: {error}", where=str(file), remedy="Save it as CSV in UTF-8") from None


def _cells(file: Path, lines: Any) -> Iterator[dict[str, Any]]:
    reader = csv.reader(lines, strict=True)
    header = next(reader, [])
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UsageError(f"two columns are called '{twice[0]}'", where=f"{file}:1", remedy="Rename one of them")
    for row in reader:
        if row and len(row) != len(header):
            what = f"{len(row)} cells under {len(header)} columns"
            raise UsageError(what, where=f"{file}:{reader.line_num}", remedy="Quote cells with commas")
        if any(cell.strip() for cell in row):
            yield dict(zip(header, row, strict=True))


def _objects(file: Path, lines: Any) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"not JSON: {error}", where=f"{file}:{number}", remedy="One whole object a line") from None
        if not isinstance(row, dict):
            raise UsageError("not an object", where=f"{file}:{number}", remedy="One whole object a line")
        yield row


def _show(found: list[dict[str, Any]]) -> None:
    for result in found:
        shown = [
            [one["row"], f"{one['source']} -> {one['id']}" if "source" in one else one["id"], name]
            + [sides.get(side, _NO_VALUE) for side in ("before", "after")]
            for one in result.get("preview", [])
            for name, sides in one["properties"].items()
        ]
        if shown:
            output.table(["row", "twin or relationship", "property", "before", "after"], shown, empty="")
        for problem in result["problems"]:
            where = f" at {problem['path']}" if problem["path"] else ""
            typer.echo(f"refused: {problem['message']}{where}. {problem['remedy']}")
        made = ("twins_created", "twins_changed", "relationships_created", "relationships_changed")
        names = ("rows", "unmatched", *made, "unchanged", "refused")
        typer.echo(", ".join(f"{name.replace('_', ' ')} {result[name]}" for name in names))
        typer.echo("dry run: nothing was written" if result.get("dry_run") else f"commits {result['commits']}, token {result['token']}")
    if not found:
        typer.echo("no import by query was interrupted")
