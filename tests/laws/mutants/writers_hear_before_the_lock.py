"""The last look at the log is before the writers' lock: what was committed while this one waited is not heard of."""

from twinwright.telemetry.pipeline import Pipeline


def apply(monkeypatch):
    monkeypatch.setattr(Pipeline, "hear", lambda self, transaction: None)
