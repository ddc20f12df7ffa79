"""Broken: asks only that a window is younger than the set's own training, and forgets that its ancestors saw data too."""

from __future__ import annotations

from collections.abc import Sequence

from twinwright.calibration.dataset import Window
from twinwright.calibration.parameter_sets import Look


def evidence(looks: Sequence[Look], training: Sequence[Window]) -> Look | None:
    honest = [look for look in looks if look.first and look.window.start >= training[0].end]
    return honest[-1] if honest else None
