"""Of two versions of a record the greater value wins, whatever was corrected."""

from twinwright.storage import duckdb_sql


def apply(monkeypatch):
    monkeypatch.setattr(duckdb_sql, "_VERSION", "num DESC, correction DESC, revision DESC, kind DESC, int DESC, txt DESC, commit")
