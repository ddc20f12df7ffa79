"""A retraction hides everything that its contract said until then, not only what lies in its window."""

from dataclasses import replace

from twinwright.storage import duckdb_sql


def apply(monkeypatch):
    visible = duckdb_sql.visible

    def everything(table, retractions, known_at, query):
        visible(table, [replace(one, first=0, last=one.commit) for one in retractions], known_at, query)

    monkeypatch.setattr(duckdb_sql, "visible", everything)
