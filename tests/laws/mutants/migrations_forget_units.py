"""An expression takes numbers as they are stored, whatever their unit."""

import polars as pl

from twinwright.twins.evolution import ways


def apply(monkeypatch):
    monkeypatch.setattr(ways, "_operand", lambda rows, kind, unit: rows.select(pl.coalesce("num", "int")).to_series())
