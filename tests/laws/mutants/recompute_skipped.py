"""A retraction leaves the cached winners that it took away."""

from twinwright.twins.state import StateCache


def apply(monkeypatch):
    monkeypatch.setattr(StateCache, "recompute", lambda self, contract: None)
    monkeypatch.setattr(StateCache, "_from_history", StateCache._load)
