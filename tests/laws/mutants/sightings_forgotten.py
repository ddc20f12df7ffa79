"""A duplicate is counted but not kept, so that retracting the first sighting loses the reading."""

from twinwright.storage import duckdb_sql


def apply(monkeypatch):
    monkeypatch.setattr(duckdb_sql, "sightings_matter", lambda table, tables, retractions: False)
