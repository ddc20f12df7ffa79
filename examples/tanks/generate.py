"""Write data/synthetic.csv: what the two tanks would have shown, by their own model. SYNTHETIC, not measured.

The pump follows a sum of three sines with the amplitudes, periods and phases below; the model runs with TRUTH; the level
sensor adds Gaussian noise of NOISE volts (standard deviation), seeded, and is cut to what the sensor can say. The same
command always writes the same bytes.
"""

from __future__ import annotations

import csv
import math
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "models"))

from tanks import RIM, out, rhs  # noqa: E402 - found there

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
STEP = 4.0  # s
SAMPLES = 1024
SUBSTEPS = 4
TRUTH = (0.020, 0.021, 0.045, 0.040, 0.6, 0.3, 0.2, 0.7)  # k1, k2, k3, k4, dead, laminar, weir, spill, in the units of tanks.yaml
LEVELS = (6.0, 5.2)  # V, upper and lower at the start
PUMP = 3.2  # V, around which it moves
SINES = ((1.4, 1900.0, 0.3), (0.9, 610.0, 1.1), (0.5, 233.0, 2.0))  # amplitude in V, period in s, phase
NOISE = 0.05  # V
SEED = 20260301


def pump(seconds: float) -> float:
    """The pump voltage in V."""
    wave = sum(size * math.sin(2 * math.pi * seconds / period + phase) for size, period, phase in SINES)
    return round(max(0.0, PUMP + wave), 4)


def advance(levels: list[float], voltage: float) -> list[float]:
    """The levels one sample later, by classical Runge-Kutta steps with the pump held."""
    h = STEP / SUBSTEPS
    for _ in range(SUBSTEPS):
        a = rhs(0.0, levels, [voltage], TRUTH)
        b = rhs(0.0, [x + h / 2 * k for x, k in zip(levels, a, strict=True)], [voltage], TRUTH)
        c = rhs(0.0, [x + h / 2 * k for x, k in zip(levels, b, strict=True)], [voltage], TRUTH)
        d = rhs(0.0, [x + h * k for x, k in zip(levels, c, strict=True)], [voltage], TRUTH)
        levels = [x + h / 6 * (p + 2 * q + 2 * r + s) for x, p, q, r, s in zip(levels, a, b, c, d, strict=True)]
    return levels


def rows(samples: int = SAMPLES) -> list[tuple[str, float, float]]:
    """(time, pump voltage, level) of each sample; voltages in V."""
    noise = random.Random(SEED)
    levels = list(LEVELS)
    result = []
    for index in range(samples):
        moment = START + timedelta(seconds=index * STEP)
        voltage = pump(index * STEP)
        level = out(0.0, levels, [voltage], TRUTH)[0] + noise.gauss(0.0, NOISE)
        result.append((moment.strftime("%Y-%m-%dT%H:%M:%SZ"), voltage, round(min(max(level, 0.0), RIM), 4)))
        levels = advance(levels, voltage)
    return result


def main() -> None:
    path = HERE / "data" / "synthetic.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ts", "pump_V", "level_V"))
        writer.writerows(rows())


if __name__ == "__main__":
    main()
