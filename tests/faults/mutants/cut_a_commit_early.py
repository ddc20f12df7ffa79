"""The log is cut behind the last whole transaction but one."""

from dataclasses import replace

from twinwright.storage import duckdb_log


def apply(monkeypatch):
    read = duckdb_log.read

    def shorter(log, bad=None):
        found = read(log, bad)
        before = log.read_bytes().rfind(duckdb_log._MARK, 0, max(found.whole - 1, 0)) + len(duckdb_log._MARK)
        return replace(found, whole=before)

    monkeypatch.setattr(duckdb_log, "read", shorter)
