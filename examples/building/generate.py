"""Write data/synthetic.csv: a week of two zones every ten minutes, by a model of its own. SYNTHETIC, not measured.

Outside it is as cold as OUTDOOR says, with a daily wave and a slow random walk that is drawn back; the sun is half a sine by day,
times a cloudiness that wanders. From Monday to Friday the setpoint is drawn anew every four hours, as in a test for identification;
at the weekend it is SETPOINT. A proportional thermostat sets the power of each ten minutes from what its sensor says. Air and walls
follow TRUTH (2R2C). The sensor adds Gaussian noise of NOISE kelvin (standard deviation); nothing else is noisy but by rounding: the
weather and the power are as recorded. Seeded: the same command always writes the same bytes.
"""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 1, 12, tzinfo=UTC)  # a Monday
STEP = 600.0  # s
SAMPLES = 7 * 144
SUBSTEPS = 10
TRUTH = {  # r_in, r_out in K/kW, c_air, c_wall in MJ/K, aperture in m2
    "south": (4.0, 12.0, 0.6, 9.0, 2.0),
    "north": (4.5, 10.0, 0.5, 8.0, 0.5),
}
BEGIN = (20.0, 17.0)  # degC: air and walls
OUTDOOR = 3.0  # degC, the mean
SETPOINT = 22.0  # degC
GAIN = 1.0  # kW/K, of the thermostat
MOST = 1.5  # kW, of the heater
NOISE = 0.05  # K
SEED = 20260112
Sky = tuple[float, int]  # outdoor temperature in degC, irradiance in W/m2
Row = tuple[str, str, float, float, int, int, int, float]


def weather() -> Iterator[Sky]:
    """The weather of each sample, rounded as recorded."""
    draw = random.Random(SEED)
    drift, cloud = 0.0, 0.5
    for index in range(SAMPLES + 1):
        hour = index / 6 % 24
        drift = 0.995 * drift + draw.gauss(0.0, 0.2)
        cloud = min(max(cloud + 0.02 * (0.5 - cloud) + draw.gauss(0.0, 0.07), 0.0), 1.0)
        outdoor = OUTDOOR + drift - 3.0 * math.cos(2 * math.pi * (hour - 3.0) / 24)
        sun = max(0.0, math.sin(math.pi * (hour - 8.0) / 8.5)) if 8.0 < hour < 16.5 else 0.0
        yield round(outdoor, 2), round(500.0 * sun * (1.0 - 0.9 * cloud))


def slopes(air: float, wall: float, outdoor: float, gain: float, truth: tuple[float, ...]) -> tuple[float, float]:
    """K/s of air and walls, with `gain` (kW) given to the air by sun and heater."""
    r_in, r_out, c_air, c_wall, _ = truth
    through = (air - wall) / r_in
    return (gain - through) / c_air / 1000, (through - (wall - outdoor) / r_out) / c_wall / 1000


def advance(air: float, wall: float, now: Sky, then: Sky, heat: float, truth: tuple[float, ...]) -> tuple[float, float]:
    """Ten minutes by the midpoint rule; the weather goes straight from `now` to `then`, `heat` (kW) is held."""
    h = STEP / SUBSTEPS

    def at(share: float) -> tuple[float, float]:
        outdoor, sun = (a + share * (b - a) for a, b in zip(now, then, strict=True))
        return outdoor, truth[4] * sun / 1000 + heat

    for index in range(SUBSTEPS):
        first = slopes(air, wall, *at(index / SUBSTEPS), truth)
        middle = slopes(air + h / 2 * first[0], wall + h / 2 * first[1], *at((index + 0.5) / SUBSTEPS), truth)
        air, wall = air + h * middle[0], wall + h * middle[1]
    return air, wall


def zone(name: str, sky: list[Sky]) -> Iterator[Row]:
    """What is recorded of one zone: time, zone, air and outdoor in degC, irradiance in W/m2, power in W, night, limit in degC."""
    truth = TRUTH[name]
    draw = random.Random(f"{SEED} {name}")
    air, wall = BEGIN
    wanted = SETPOINT
    for index in range(SAMPLES):
        moment = START + timedelta(seconds=index * STEP)
        if index % 24 == 0:
            wanted = draw.uniform(17.0, 24.0) if index < 5 * 144 else SETPOINT
        measured = round(air + draw.gauss(0.0, NOISE), 2)
        watts = round(1000 * min(max(GAIN * (wanted - measured), 0.0), MOST))
        night = int(not 5 <= moment.hour < 22)
        limit = 20.0 if 7 <= moment.hour < 22 else 15.0
        yield moment.strftime("%Y-%m-%dT%H:%M:%SZ"), name, measured, *sky[index], watts, night, limit
        air, wall = advance(air, wall, sky[index], sky[index + 1], watts / 1000, truth)


def rows() -> Iterator[Row]:
    """Both zones, in the order of time."""
    sky = list(weather())
    for one in zip(*(zone(name, sky) for name in TRUTH), strict=True):
        yield from one


def main() -> None:
    with (Path(__file__).parent / "data" / "synthetic.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ts", "zone", "air_C", "outdoor_C", "sun_W_m2", "heat_W", "night", "limit_C"))
        writer.writerows(rows())


if __name__ == "__main__":
    main()
