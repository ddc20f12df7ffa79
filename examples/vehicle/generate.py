"""Write data/synthetic.csv: the log of a drive of half an hour. SYNTHETIC, not measured.

A car in town, on a road and on a motorway, with the speeds of LEGS. Its battery is computed here from the speeds, apart from the
workspace's model: in steps of a second, with no driver in between, and with the car TRUTH, which is a little heavier and has a
little more resistance than the model says. The sensors add Gaussian noise with the standard deviations NOISE, seeded; a car that
stands shows no speed. The same command always writes the same bytes.
"""

from __future__ import annotations

import csv
import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 7, 1, 8, tzinfo=UTC)
SECONDS = 30 * 60
SEED = 20260701
NOISE = {"speed": 0.3, "voltage": 0.4, "current": 0.8, "cell": 0.1, "outside": 0.1}  # km/h, V, A, K, K
OUTSIDE, CELLS_AT_START, CHARGE_AT_START = 30.0, 31.0, 0.85  # degC, degC, of 1
# (speed in km/h, how long until the next in s): town, road, motorway, and the way into a parking place
TOWN = [(50, 45), (0, 20), (30, 30), (50, 60), (0, 25)]
LEGS = [(0, 15), *TOWN, *TOWN, *TOWN, (80, 140), (60, 40), (90, 160), (0, 20), (120, 440), (80, 60), (130, 225), (50, 35), (0, 125)]
FASTER, SLOWER = 1.0, 1.5  # m/s2


@dataclass(frozen=True)
class Car:
    """SI units; the battery is `cells` in series of open voltage 3.3 V + 0.8 V * charge."""

    mass: float = 1850.0
    drag: float = 0.62  # m2
    rolling: float = 0.010
    efficiency: float = 0.90
    auxiliary: float = 600.0  # W
    recovery: float = 60e3  # W, most that the motor takes from the wheels
    cells: int = 96
    resistance: float = 0.094  # Ohm, at 25 degC
    capacity: float = 540e3  # C
    heat_capacity: float = 330e3  # J/K
    cooling: float = 60.0  # W/K


TRUTH = Car()


def speeds() -> list[float]:
    """m/s, second by second."""
    wanted = [speed / 3.6 for speed, seconds in LEGS for _ in range(seconds)]
    found = [0.0]
    for target in wanted[:SECONDS]:
        found.append(min(max(target, found[-1] - SLOWER), found[-1] + FASTER))
    return found


def battery(cycle: list[float], car: Car) -> list[tuple[float, float, float, float]]:
    """Voltage in V, current in A, temperature of the cells in degC and state of charge, at each second of the cycle."""
    charge, cell, found = CHARGE_AT_START, CELLS_AT_START, []
    for index, speed in enumerate(cycle):
        gained = (cycle[min(index + 1, len(cycle) - 1)] - cycle[max(index - 1, 0)]) / 2  # m/s2
        road = 0.5 * 1.2 * car.drag * speed**2 + (car.mass * 9.80665 * car.rolling if speed > 0.0 else 0.0)
        wheels = max((car.mass * gained + road) * speed, -car.recovery)
        power = (wheels / car.efficiency if wheels > 0.0 else wheels * car.efficiency) + car.auxiliary
        opened = car.cells * (3.3 + 0.8 * charge)
        resistance = car.resistance * math.exp(1500.0 * (1.0 / (cell + 273.15) - 1.0 / 298.15))
        current = (opened - math.sqrt(opened**2 - 4.0 * resistance * power)) / (2.0 * resistance)
        found.append((opened - resistance * current, current, cell, charge))
        charge -= current / car.capacity
        cell += (resistance * current**2 - car.cooling * (cell - OUTSIDE)) / car.heat_capacity
    return found


def rows() -> list[tuple[str, float, float, float, float, float]]:
    """Time, speed in km/h, voltage in V, current in A, temperatures of cells and air in degC, as the sensors show them."""
    draw = random.Random(SEED)
    cycle, found = speeds(), []
    for second, (speed, (voltage, current, cell, _)) in enumerate(zip(cycle, battery(cycle, TRUTH), strict=True)):
        noise = {name: draw.gauss(0.0, size) for name, size in NOISE.items()}
        shown = max(speed * 3.6 + noise["speed"], 0.0) if speed > 0.0 else 0.0
        moment = (START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")
        values = (shown, voltage + noise["voltage"], current + noise["current"], cell + noise["cell"], OUTSIDE + noise["outside"])
        found.append((moment, *(round(value, 1) + 0.0 for value in values)))
    return found


def main() -> None:
    path = Path(__file__).resolve().parent / "data" / "synthetic.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ts", "speed_kmh", "voltage_V", "current_A", "cell_degC", "outside_degC"))
        writer.writerows(rows())


if __name__ == "__main__":
    main()
