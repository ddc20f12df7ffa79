"""A retraction leaves the cached winners that it took away."""

from twinwright.twins.state import StateCache


def apply(monkeypatch):
    monkeypatch.setattr(StateCache, "recompute", lambda self, contract, commit=None, remaining=None: None)
    monkeypatch.setattr(StateCache, "_from_history", lambda self, contract, known_at=None, without=None: self._load(contract))
