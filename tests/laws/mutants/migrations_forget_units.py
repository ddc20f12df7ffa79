"""An expression takes numbers as they are stored, whatever their unit."""

import polars as pl

from twinwright.twins.evolution import view


def apply(monkeypatch):
    monkeypatch.setattr(view, "_operand", lambda rows, kind, unit: rows.select(pl.coalesce("num", "int")).to_series())
