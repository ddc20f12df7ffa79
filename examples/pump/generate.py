"""Write data/synthetic.csv: what a pump's data logger would have kept, by the pump's own model. SYNTHETIC, not measured.

The drive and the valve follow the lists below; the model runs with TRUTH; sensors add Gaussian noise of NOISE (standard deviation),
seeded. From FAULTS on three things are wrong, one after the other: the flow meter is stuck, the bearing's sensor gives one spike, and the
logger writes nothing for a while. The same command always writes the same bytes.
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

from pump import out, rhs  # noqa: E402 - found there

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
STEP = 10.0  # s
SAMPLES = 1020
SUBSTEPS = 5
TRUTH = (32.0, 0.035, 8.0, 0.035, 0.03, 4.0, 3.0, 0.16, 22.0, 600.0)  # h0, k, static, ..., lag: in the order and units of pump.yaml
BEGIN = (14.0, 45.0)  # flow in L/s and bearing in degC at the start
SPEEDS = (1450, 1300, 1450, 1180, 1380, 1450, 1240)  # rpm, for 420 s each
OPENINGS = (0.9, 0.6, 1.0, 0.45, 0.75)  # for 330 s each
NOISE = {"flow": 0.05, "pressure": 0.8, "bearing": 0.2, "power": 0.03}  # L/s, kPa, K, kW
STUCK = range(780, 870)  # samples with the flow meter stuck: 10:10:00 to 10:25:00
SPIKE = (930, 18.0)  # 10:35:00, K
HOLE = range(960, 990)  # samples without a record: 10:40:00 to 10:45:00
FAULTS = min(STUCK)
SEED = 20260302
COLUMNS = ("ts", "record", "speed_rpm", "valve", "ambient_C", "flow_Ls", "rise_kPa", "bearing_C", "power_kW")

Row = tuple[str, int, int, float, float, float, float, float, float]


def inputs(sample: int) -> tuple[int, float, float]:
    """Speed in rpm, opening of the valve, and temperature of the room in degC."""
    seconds = sample * STEP
    ambient = 21.0 + 2.0 * math.sin(2 * math.pi * seconds / 14400.0)
    return SPEEDS[int(seconds // 420) % len(SPEEDS)], OPENINGS[int(seconds // 330) % len(OPENINGS)], round(ambient, 2)


def advance(state: list[float], u: tuple[int, float, float]) -> list[float]:
    """Flow and bearing one sample later, by classical Runge-Kutta steps with the inputs held."""
    h = STEP / SUBSTEPS
    for _ in range(SUBSTEPS):
        a = rhs(0.0, state, u, TRUTH)
        b = rhs(0.0, [x + h / 2 * k for x, k in zip(state, a, strict=True)], u, TRUTH)
        c = rhs(0.0, [x + h / 2 * k for x, k in zip(state, b, strict=True)], u, TRUTH)
        d = rhs(0.0, [x + h * k for x, k in zip(state, c, strict=True)], u, TRUTH)
        state = [x + h / 6 * (p + 2 * q + 2 * r + s) for x, p, q, r, s in zip(state, a, b, c, d, strict=True)]
    return state


def rows() -> list[Row]:
    """The records, in the order of COLUMNS."""
    noise = random.Random(SEED)
    state, result, held = list(BEGIN), [], 0.0
    for sample in range(SAMPLES):
        u = inputs(sample)
        flow, rise, bearing, power = (
            exact + noise.gauss(0.0, spread) for exact, spread in zip(out(0.0, state, u, TRUTH), NOISE.values(), strict=True)
        )
        held = held if sample in STUCK else flow  # the last value before the fault
        if sample == SPIKE[0]:
            bearing += SPIKE[1]
        if sample not in HOLE:
            moment = (START + timedelta(seconds=sample * STEP)).strftime("%Y-%m-%dT%H:%M:%SZ")
            result.append((moment, sample, *u, round(held, 3), round(rise, 2), round(bearing, 2), round(power, 3)))
        state = advance(state, u)
    return result


def main() -> None:
    path = HERE / "data" / "synthetic.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows())


if __name__ == "__main__":
    main()
