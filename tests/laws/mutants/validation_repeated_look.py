"""Broken: lets a holdout judge again and again, so that one may fit until it happens to look good there."""

from __future__ import annotations

from collections.abc import Sequence

from twinwright.calibration.dataset import Window
from twinwright.calibration.parameter_sets import Look


def evidence(looks: Sequence[Look], training: Sequence[Window]) -> Look | None:
    youngest = max(window.end for window in training)
    honest = [look for look in looks if look.window.start >= youngest]
    return honest[-1] if honest else None
