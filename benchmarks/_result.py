"""What a benchmark answers with: a figure of ours beside its rival's. Every one has the same fields, made here."""

from __future__ import annotations

import sys
from typing import Any, Literal

Better = Literal["higher", "lower"]


def compared(name: str, ours: float, rival: float, unit: str, better: Better = "higher") -> dict[str, Any]:
    """Both figures in `unit`, to five digits, and ours over the rival's."""
    figures = {"ours": ours, "rival": rival, "ratio": ours / rival}
    return {"name": name, **{key: float(f"{value:.5g}") for key, value in figures.items()}, "unit": unit, "better": better}


def left_out(name: str, unit: str, why: str, better: Better = "higher") -> dict[str, Any]:
    """What stands in the place of a result that can't be had on this machine; `why` goes to standard error."""
    print(f"{name}: left out, {why}", file=sys.stderr)
    return {"name": name, "ours": None, "rival": None, "ratio": None, "unit": unit, "better": better}
