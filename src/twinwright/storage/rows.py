"""Rows of SQL tables as the logical types, and back; the same for every engine."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from twinwright.errors import NotFoundError
from twinwright.storage.layout import Counts, DeadLetter, ReadingColumn, ReadingTable, Relationship
from twinwright.storage.records import Record

COUNTS: Final = "received, accepted, duplicate, dead_lettered, late, conflict"
LETTER: Final = "contract, source, revision, reason, detail, payload, captures, position, id, origin, made_at, status"
RECORD: Final = "kind, id, body, commit, made_at, principal"
LIFETIME: Final = "number, twin, interface, since, until, changed_at, commit"
RELATIONSHIP: Final = "source, id, name, target, properties, removed, changed_at, commit"
RELATIONSHIP_ROW: Final = "source, id, name, target, properties, changed_at, commit"


def counts_row(counts: Counts) -> list[int]:
    """In the order of `COUNTS`."""
    return [counts.received, counts.accepted, counts.duplicate, counts.dead_lettered, counts.late, counts.conflict]


def letter(row: tuple[Any, ...]) -> DeadLetter:
    """From the columns `LETTER`."""
    contract, source, revision, reason, detail, payload, captures, *rest = row
    return DeadLetter(contract, source, revision, reason, detail, bytes(payload), json.loads(captures), *rest)


def relationship(row: tuple[Any, ...]) -> Relationship:
    """From the columns `RELATIONSHIP`."""
    source, id, name, target, properties, *rest = row
    return Relationship(source, id, name, target, json.loads(properties), *rest)


def the_letter(rows: Sequence[tuple[Any, ...]], id: int) -> DeadLetter:
    """The one that was asked for by its id. Raises NotFoundError."""
    if not rows:
        raise NotFoundError(f"there is no dead letter {id}", remedy="List them with: twinwright dead-letters list")
    return letter(rows[0])


def letters_table(letters: Sequence[DeadLetter], first: int, commit: int, at: int) -> pa.Table:
    """Open letters as rows of `dead_letters`, numbered from `first`."""
    return pa.table(
        {
            "id": pa.array(range(first, first + len(letters)), pa.int64()),
            "origin": pa.array([letter.origin or commit for letter in letters], pa.int64()),
            "contract": pa.array([letter.contract for letter in letters]),
            "source": pa.array([letter.source for letter in letters]),
            "revision": pa.array([letter.revision for letter in letters], pa.int32()),
            "reason": pa.array([letter.reason for letter in letters]),
            "detail": pa.array([letter.detail for letter in letters]),
            "payload": pa.array([letter.payload for letter in letters], pa.binary()),
            "captures": pa.array([json.dumps(dict(letter.captures), sort_keys=True) for letter in letters]),
            "position": pa.array([letter.position for letter in letters]),
            "at": pa.array([at] * len(letters), pa.int64()),
            "status": pa.array(["open"] * len(letters)),
            "closed": pa.nulls(len(letters), pa.int64()),
        }
    )


def record(row: tuple[Any, ...]) -> Record:
    """From the columns `RECORD`."""
    kind, id, body, commit, at, principal = row
    parsed: Mapping[str, Any] = json.loads(body)
    return Record(kind, id, dict(parsed), commit, at, principal)


def the_record(rows: Sequence[tuple[Any, ...]], kind: str, id: str) -> Record:
    """Of the records that begin with `id` the one that is meant: it, or the only one. Raises NotFoundError."""
    exact = [row for row in rows if row[1] == id]
    if exact or (len(rows) == 1 and id):
        return record((exact or rows)[0])
    if not rows or not id:
        raise NotFoundError(f"there is no {kind} '{id}'", remedy="Check the id; a unique beginning of it is enough")
    names = ", ".join(row[1][:12] for row in rows)
    raise NotFoundError(f"several of kind {kind} begin with '{id}'", remedy=f"Give more of it: {names}")


def reading_tables(rows: Iterable[tuple[Any, ...]]) -> list[ReadingTable]:
    """From the table of that name."""
    return [ReadingTable(number, contract, source, revision, _columns(text)) for number, contract, source, revision, text in rows]


@functools.lru_cache(maxsize=1_000)
def _columns(text: str) -> tuple[ReadingColumn, ...]:
    return tuple(ReadingColumn(**column) for column in json.loads(text))
