"""A series that has too few neighbours nearby is judged by these."""

from twinwright.twins.judged import Judged


def apply(monkeypatch):
    around = Judged._around
    monkeypatch.setattr(Judged, "_around", lambda self, principal, rows, windows, *rest: around(self, principal, rows, windows[:1], *rest))
