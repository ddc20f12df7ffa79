"""Rows of the PostgreSQL engine as the logical types, and what the store knows of itself read from the tables."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from twinwright.storage.layout import ReadingTable, Retraction
from twinwright.storage.postgres_connections import Connection
from twinwright.storage.postgres_copy import unpacked
from twinwright.storage.postgres_transaction import Catalogue
from twinwright.storage.query import Query
from twinwright.storage.rows import RECORD, reading_tables

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
    return reading_tables(fetch(connection, "SELECT number, contract, source, revision, columns FROM reading_tables ORDER BY number"))


def retractions(connection: Connection) -> list[Retraction]:
    return [Retraction(*row) for row in fetch(connection, "SELECT commit, contract, first, last, below FROM retractions ORDER BY commit")]
