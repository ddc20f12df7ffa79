"""With its own commit a process takes all that came before it for heard of."""

from twinwright.telemetry.pipeline import Pipeline
from twinwright.twins.state import StateCache


def apply(monkeypatch):
    monkeypatch.setattr(Pipeline, "hear", lambda self, transaction: None)
    monkeypatch.setattr(StateCache, "_made", lambda self, commit: setattr(self, "_heard", commit))
