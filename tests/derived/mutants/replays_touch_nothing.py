"""What a replay hid is not looked at."""

from twinwright.storage import duckdb_sql


def apply(monkeypatch):
    whole = duckdb_sql.touched
    monkeypatch.setattr(duckdb_sql, "touched", lambda after, through, tables, retractions: whole(after, through, tables, ()))
