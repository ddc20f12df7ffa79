"""Rows of the PostgreSQL engine as the logical types, and what the store knows of itself read from the tables."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from twinwright.storage.layout import DeadLetter, ReadingColumn, ReadingTable, Retraction
from twinwright.storage.postgres_connections import Connection
from twinwright.storage.postgres_copy import unpacked
from twinwright.storage.postgres_sql import Query
from twinwright.storage.postgres_transaction import Catalogue
from twinwright.storage.records import Record

LETTER = "contract, source, revision, reason, detail, payload, captures, position, id, origin, made_at, status"
RECORD = "kind, id, body, commit, made_at, principal"
NEWEST_RECORD = f"SELECT DISTINCT ON (id) {RECORD} FROM records"
OF_EACH = "ORDER BY id, commit DESC"


def fetch(connection: Connection, query: str, *values: Any) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), values).fetchall()


def copied(connection: Connection, query: Query, schema: pa.Schema) -> pa.Table:
    """What a query yields, by columns. COPY takes no parameters: libpq quotes the values of this one."""
    statement = f"COPY ({query.text}) TO STDOUT (FORMAT BINARY)".encode()
    with connection.cursor() as cursor, cursor.copy(statement, query.values) as copy:
        return unpacked(copy, schema)


def catalogue(connection: Connection) -> Catalogue:
    return Catalogue(tables(connection), retractions(connection))


def tables(connection: Connection) -> list[ReadingTable]:
    rows = fetch(connection, "SELECT number, contract, source, revision, columns FROM reading_tables ORDER BY number")
    return [ReadingTable(number, contract, source, revision, _columns(columns)) for number, contract, source, revision, columns in rows]


@functools.lru_cache(maxsize=1_000)
def _columns(text: str) -> tuple[ReadingColumn, ...]:
    return tuple(ReadingColumn(**column) for column in json.loads(text))


def retractions(connection: Connection) -> list[Retraction]:
    return [Retraction(*row) for row in fetch(connection, "SELECT commit, contract, first, last, below FROM retractions ORDER BY commit")]


def letter(row: tuple[Any, ...]) -> DeadLetter:
    contract, source, revision, reason, detail, payload, captures, *rest = row
    return DeadLetter(contract, source, revision, reason, detail, bytes(payload), json.loads(captures), *rest)


def record(row: tuple[Any, ...]) -> Record:
    kind, id, body, commit, at, principal = row
    parsed: Mapping[str, Any] = json.loads(body)
    return Record(kind, id, dict(parsed), commit, at, principal)
