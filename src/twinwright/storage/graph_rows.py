"""Twins and relationships as rows of their SQL tables and in columns; the same for every engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from twinwright.storage.layout import Lifetime, Relationship
from twinwright.storage.protocol import RELATIONSHIP_SCHEMA


def lifetimes_table(lifetimes: Sequence[Lifetime], commit: int) -> pa.Table:
    """As rows of the table of that name."""
    columns = {
        "number": pa.array([one.number for one in lifetimes], pa.int32()),
        "twin": pa.array([one.twin for one in lifetimes], pa.string()),
        "interface": pa.array([one.interface for one in lifetimes], pa.string()),
        "since": pa.array([one.since for one in lifetimes], pa.int64()),
        "until": pa.array([one.until for one in lifetimes], pa.int64()),
        "commit": pa.repeat(pa.scalar(commit, pa.int64()), len(lifetimes)),
        "changed_at": pa.array([one.changed_at for one in lifetimes], pa.int64()),
    }
    return pa.table(columns)


def relationships_table(relationships: Sequence[Relationship], commit: int) -> pa.Table:
    """The same of edges."""
    found = relationship_rows(relationships)
    return _stored(found, commit, pa.array([one.removed for one in relationships], pa.bool_()))


def stored_relationships(rows: pa.Table, commit: int) -> pa.Table:
    """The same of rows of RELATIONSHIP_SCHEMA, none of them removed."""
    return _stored(rows, commit, pa.repeat(pa.scalar(False), len(rows)))


def _stored(rows: pa.Table, commit: int, removed: pa.Array) -> pa.Table:
    columns = {name: rows[name] for name in ("source", "id", "name", "target", "properties")}
    made = pa.repeat(pa.scalar(commit, pa.int64()), len(rows))
    return pa.table({**columns, "commit": made, "removed": removed, "changed_at": rows["changed_at"]})


def relationship_rows(relationships: Sequence[Relationship]) -> pa.Table:
    """In columns: RELATIONSHIP_SCHEMA."""
    columns = [
        [one.source for one in relationships],
        [one.id for one in relationships],
        [one.name for one in relationships],
        [one.target for one in relationships],
        [properties_text(one.properties) for one in relationships],
        [one.changed_at for one in relationships],
        [one.commit for one in relationships],
    ]
    return pa.table(columns, schema=RELATIONSHIP_SCHEMA)


def properties_text(properties: Mapping[str, Any]) -> str:
    """As they are stored."""
    return json.dumps(dict(properties), sort_keys=True) if properties else "{}"
