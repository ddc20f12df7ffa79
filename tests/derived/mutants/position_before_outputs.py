"""How far the log is consumed is committed first, and what was derived after it."""

from twinwright.derived.consumer import DerivedConsumer


def apply(monkeypatch):
    whole = DerivedConsumer._write

    def write(self, tables, moved):
        whole(self, (), moved)
        whole(self, tables, ())

    monkeypatch.setattr(DerivedConsumer, "_write", write)
