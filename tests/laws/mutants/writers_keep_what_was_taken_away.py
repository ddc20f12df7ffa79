"""A replay by another process takes nothing away from what is remembered here."""

from twinwright.twins.state import StateCache


def apply(monkeypatch):
    monkeypatch.setattr(StateCache, "_taken_away", lambda self, contract: None)
