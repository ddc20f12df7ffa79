"""A read known at a commit takes in what was committed later, as long as it was true by then."""

from dataclasses import replace

from twinwright.storage import duckdb_sql


def apply(monkeypatch):
    history, latest = duckdb_sql.history, duckdb_sql.latest
    monkeypatch.setattr(duckdb_sql, "history", lambda selection, *rest: history(replace(selection, known_at=None), *rest))
    monkeypatch.setattr(duckdb_sql, "latest", lambda selection, *rest: latest(replace(selection, known_at=None), *rest))
