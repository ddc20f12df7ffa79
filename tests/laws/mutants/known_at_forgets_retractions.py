"""A read of the past knows of retractions that were made only later."""

from dataclasses import replace

from twinwright.storage import duckdb_sql


def apply(monkeypatch):
    visible = duckdb_sql.visible

    def always_retracted(table, retractions, known_at, query):
        visible(table, [replace(one, commit=0) for one in retractions], known_at, query)

    monkeypatch.setattr(duckdb_sql, "visible", always_retracted)
