"""Nothing is ever a duplicate."""

import numpy as np

from twinwright.telemetry.duplicates import SeenReadings
from twinwright.telemetry.seen_table import NEW


def apply(monkeypatch):
    add = SeenReadings.add
    monkeypatch.setattr(SeenReadings, "add", lambda self, *readings: np.full_like(add(self, *readings), NEW))
