"""The block that tells the others of a commit is without its first row."""

from twinwright.storage import postgres_blocks


def apply(monkeypatch):
    packed = postgres_blocks._packed
    monkeypatch.setattr(postgres_blocks, "_packed", lambda rows, commit: packed(rows.slice(1), commit))
