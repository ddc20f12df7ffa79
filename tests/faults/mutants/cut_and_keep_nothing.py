"""What is cut off of a log is gone."""

from twinwright.storage import duckdb_log


def apply(monkeypatch):
    monkeypatch.setattr(duckdb_log, "_keep", lambda log, found: None)
