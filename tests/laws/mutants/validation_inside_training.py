"""Broken: takes a window that begins after training began, instead of after it ended."""

from __future__ import annotations

from collections.abc import Sequence

from twinwright.calibration.dataset import Window
from twinwright.calibration.parameter_sets import Look


def evidence(looks: Sequence[Look], training: Sequence[Window]) -> Look | None:
    honest = [look for look in looks if look.first and look.window.start > max(window.start for window in training)]
    return honest[-1] if honest else None
