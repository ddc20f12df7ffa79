"""Only the newest window of each twin is derived again: late data change nothing."""

import polars as pl

from twinwright.derived.derive import Deriver


def apply(monkeypatch):
    whole = Deriver.touched
    monkeypatch.setattr(
        Deriver,
        "touched",
        lambda self, binding, touched: whole(self, binding, touched).filter(pl.col("lo") == pl.col("lo").max().over("owner")),
    )
