"""Twins and relationships made of rows by a template: the rows of a query, of a table, or of a table joined with those of a query.

All documents are checked together before any is written. Then they are written in pieces: twins first, since relationships may lead to
them. The records say who made what, by which query and template, of which values.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

import msgspec

from twinwright.errors import Problem, TooLargeError, TwinwrightError, UsageError, problems_of
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.platform import piecewise
from twinwright.platform.piecewise import Body
from twinwright.platform.session import Session
from twinwright.twins.graph.diff import compared
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.json_patch import same
from twinwright.twins.graph.templated import Put, put
from twinwright.twins.graph.templates import Kind, Template, UnfilledError, column_of, template_of, text_of

MOST_ROWS: Final = 100_000  # of a query, of a table, and of both joined
MOST_DOCUMENTS: Final = 200_000
MOST_BYTES: Final = 32 * 1024 * 1024  # of the values that are kept for the audit, and to go on with
PIECE: Final = 1_000  # documents of one commit
RECORDS: Final = piecewise.Records("import by query", "query-import", "query-import-progress")
_TOLD: Final = 100
_SHOWN: Final = 20
_COUNTED: Final = ("twins_created", "twins_changed", "relationships_created", "relationships_changed", "unchanged", "refused")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """Where rows come from: a query, a table, or both where the columns `on` are the same as text."""

    query: str | None
    table: Sequence[Row]
    on: Sequence[str]

    def require_sound(self) -> None:
        """Raises UsageError."""
        if self.query is None and not self.table:
            raise UsageError("there is nothing to make twins of", where="query", remedy="Give a query, rows, or both")
        if (self.query is not None and bool(self.table)) != bool(self.on):
            what = "the rows are joined with the query's by no column" if self.table and self.query else "there is nothing to join"
            raise UsageError(what, where="on", remedy="Name the columns that both have, where both are given")
        if len(self.table) > MOST_ROWS:
            raise TooLargeError(f"more than {MOST_ROWS} rows", where="rows", remedy="Split them")
        if not all(isinstance(row, Mapping) for row in self.table):
            raise UsageError("a row is no object", where="rows", remedy='Give {"column": value}')


class _Item(NamedTuple):
    """A document, and the first row that it is of (from 1)."""

    kind: Kind
    row: int
    place: str
    document: dict[str, Any]


@dataclass(slots=True)
class _Checked:
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTED, 0))
    problems: list[Body] = field(default_factory=list)
    preview: list[Body] = field(default_factory=list)

    def refuse(self, problems: Sequence[Body]) -> None:
        self.counts["refused"] += 1
        self.problems += problems[: _TOLD - len(self.problems)]


def import_query(
    session: Session, principal: Principal, asked: Asked, template: Any, commit_of: Callable[[str], int], *, dry_run: bool
) -> Body:
    """Raises QueryError, UsageError, TooLargeError, BusyError; InvalidTwinError, with nothing written, where any document does not fit."""
    principal.require_write()
    asked.require_sound()
    made = template_of(template)
    columns, rows, unmatched = _rows(session, principal, asked, commit_of)
    values = _values(made, columns, rows)
    checked = _Checked()
    items = _items(made, values, checked)
    _check(session, items, checked)
    counted = {"rows": len(rows), "unmatched": unmatched, **checked.counts}
    if dry_run or not items:
        shown = {"id": None, "dry_run": dry_run, **counted, "commits": 0, "token": session.store.last_commit(SYSTEM)}
        return {**shown, "problems": checked.problems, "preview": checked.preview}
    if checked.problems:
        raise piecewise.refusal(checked.problems, checked.counts["refused"])
    body = {"id": uuid.uuid4().hex, "query": asked.query, "on": list(asked.on), "template": template, "values": values}
    if len(msgspec.json.encode(values)) > MOST_BYTES:
        raise TooLargeError(
            f"values of more than {MOST_BYTES} bytes", where="query", remedy="Select fewer rows, or use fewer columns of them"
        )
    progress = piecewise.begun(body["id"], rows=len(rows), unmatched=unmatched, **dict.fromkeys(_COUNTED, 0))
    return _carried_out(session, principal, body, progress, items)


def resumed(session: Session, principal: Principal) -> list[Body]:
    """Every import by query that was interrupted, carried out to its end. Raises BusyError while one is running."""
    principal.require_write()
    found = []
    for body, progress in piecewise.unfinished(session, principal, RECORDS):
        items = _items(template_of(body["template"]), body["values"], _Checked())
        found.append(_carried_out(session, principal, body, progress, items))
    return found


# --- rows ------------------------------------------------------------------------------------------------------------


def _rows(session: Session, principal: Principal, asked: Asked, commit_of: Callable[[str], int]) -> tuple[set[str], Sequence[Row], int]:
    """The columns that rows may have, the rows, and how many of the table's go with no row of the query."""
    held = {name for row in asked.table for name in row}
    if asked.query is None:
        return held, asked.table, 0
    query = asked.query
    named, found = session.read(lambda served: served.queries.rows(principal, query, MOST_ROWS, commit_of))
    columns = set(named) or {name for row in found for name in row}
    if not asked.table:
        return columns, found, 0
    for name in asked.on:
        for whose, known in (("the query", columns), ("the table", held)):
            if name not in known and (found or whose == "the table"):
                raise _no_column(name, known, whose, "on")
    twice = sorted((columns & held) - set(asked.on))
    if twice:
        raise UsageError(f"the query and the table have a column '{twice[0]}' each", where="on", remedy="Rename one: SELECT ... AS name")
    rows, unmatched = _joined(found, asked.table, asked.on)
    return columns | held, rows, unmatched


def _joined(found: Sequence[Row], table: Sequence[Row], on: Sequence[str]) -> tuple[list[Row], int]:
    """Every row of the query with every row of the table that has the same in the columns `on`, in the order of the query."""
    by_key: dict[tuple[str, ...], list[int]] = {}
    for number, row in enumerate(table):
        key = _key(row, on)
        if key is not None:
            by_key.setdefault(key, []).append(number)
    rows: list[Row] = []
    met: set[int] = set()
    for row in found:
        key = _key(row, on)
        for number in by_key.get(key, ()) if key is not None else ():
            met.add(number)
            rows.append({**table[number], **row})
            if len(rows) > MOST_ROWS:
                raise TooLargeError(f"more than {MOST_ROWS} rows are joined", where="on", remedy="Join on more columns, or select fewer")
    return rows, len(table) - len(met)


def _key(row: Row, on: Sequence[str]) -> tuple[str, ...] | None:
    """None where a column is empty: that is the same as nothing."""
    values = [column_of(row, name) for name in on]
    return None if any(value is None or value == "" for value in values) else tuple(text_of(value) for value in values)


def _values(template: Template, columns: set[str], rows: Sequence[Row]) -> list[list[Any]]:
    """What each row has of the columns of the template; an empty text is nothing. Raises UsageError for a column that there is not."""
    for name in template.columns:
        if rows and name not in columns and name.partition(".")[0] not in columns:
            raise _no_column(name, columns, "the row", "template")
    return [[None if (value := column_of(row, name)) == "" else value for name in template.columns] for row in rows]


def _no_column(name: str, known: set[str], whose: str, where: str) -> UsageError:
    near = get_close_matches(name, sorted(known), 1)
    remedy = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(sorted(known))[:200] or 'none'}"
    return UsageError(f"{whose} has no column '{name[:60]}'", where=where, remedy=remedy)


# --- documents -------------------------------------------------------------------------------------------------------


def _items(template: Template, values: Sequence[Sequence[Any]], checked: _Checked) -> list[_Item]:
    """The documents of all rows, each once: twins, then relationships. Raises TooLargeError."""
    made: dict[tuple[str, ...], _Item] = {}
    for number, one in enumerate(values, 1):
        row = dict(zip(template.columns, one, strict=True))
        for part in template.parts:
            try:
                document = part.filled(row)
            except UnfilledError as error:
                remedy = "Select rows that have one, or leave it out of the template"
                checked.refuse([_told(f"row {number} has no value in '{error.column}'", remedy, error.place)])
                continue
            names = ("$dtId",) if part.kind == "twin" else ("$sourceId", "$relationshipId")
            key = (part.kind, *(document[name] for name in names))
            held = made.setdefault(key, _Item(part.kind, number, part.place, document))
            if not same(held.document, document):
                what = f"row {number} says otherwise of {part.kind} '{key[-1][:128]}' than row {held.row}"
                checked.refuse([_told(what, "Put a column in its id that tells them apart", part.place)])
        if len(made) > MOST_DOCUMENTS:
            raise TooLargeError(f"more than {MOST_DOCUMENTS} twins and relationships", where="template", remedy="Select fewer rows")
    return sorted(made.values(), key=lambda item: item.kind == "relationship")


def _told(message: str, remedy: str, path: str, code: str = "invalid") -> Body:
    return asdict(Problem(message, remedy, path=path, code=code))


def _check(session: Session, items: Sequence[_Item], checked: _Checked) -> None:
    """What would become of them, in one draft that is never written: relationships lead to twins of the same template."""
    with session.state.lock:
        draft = session.trial()
    for first in range(0, len(items), PIECE):
        with session.state.lock:  # let go in between: telemetry goes on
            for item in items[first : first + PIECE]:
                done = _put(draft, item, checked)
                if done is not None and done.what != "unchanged" and len(checked.preview) < _SHOWN:
                    checked.preview += _shown(item, done)


def _put(draft: Draft, item: _Item, checked: _Checked) -> Put | None:
    """One document into a draft, and counted; None where it was refused."""
    try:
        done = put(draft, item.kind, item.document)
    except TwinwrightError as error:
        named = f"row {item.row}: {item.kind} '{item.document['$dtId' if item.kind == 'twin' else '$relationshipId'][:128]}'"
        checked.refuse([_told(f"{named}: {one.message}", one.remedy, _inside(item, one), one.code) for one in problems_of(error)])
        return None
    checked.counts["unchanged" if done.what == "unchanged" else f"{item.kind}s_{done.what}"] += 1
    return done


def _inside(item: _Item, problem: Problem) -> str:
    return item.place + (problem.path or "$").removeprefix("$") if (problem.path or "$").startswith("$") else f"{item.place}.{problem.path}"


def _shown(item: _Item, done: Put) -> Iterator[Body]:
    document = item.document
    named = {"id": document["$dtId"]} if item.kind == "twin" else {"id": document["$relationshipId"], "source": document["$sourceId"]}
    difference = compared(item.kind, done.before, done.after, **named)
    if difference is not None:
        yield {"row": item.row, "kind": item.kind, "change": done.what, **named, "properties": difference.as_json()["properties"]}


# --- writing ---------------------------------------------------------------------------------------------------------


def _carried_out(session: Session, principal: Principal, body: Body, progress: Body, items: Sequence[_Item]) -> Body:
    def piece(draft: Draft, first: int, last: int, progress: Body) -> None:
        checked = _Checked({name: progress[name] for name in _COUNTED}, progress["problems"])
        for item in items[first:last]:
            _put(draft, item, checked)
        progress |= checked.counts

    return piecewise.carried_out(session, principal, RECORDS, body, progress, total=len(items), size=PIECE, piece=piece)
