"""A write is dated after what is stored under its own name alone: what came under another name of the same quantity hides it."""

from twinwright.twins.evolution import lineage


def apply(monkeypatch):
    monkeypatch.setattr(lineage.Lineages, "met", lambda self, dtmi, stored: frozenset({stored}))
