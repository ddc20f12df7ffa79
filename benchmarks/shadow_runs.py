"""A thousand models that follow their twins, each told of a reading a second.

A tick is one second of the fleet: a reading of every twin, ingested and committed, then followed to the end: predictions and residuals
of every twin, states and the commit consumed, durable. What counts is processor time of all processes concerned (this one, and those that
the models run in).

`shadow_runs_1hz`: seconds of shadow runs for each second of one core, the ingestion of their telemetry included; the rival is what is
asked for, 1,000 twins at 1 Hz on one core. `shadow_runs_live`: how many cores they take in real time, the readings of a second in ten
commits. `shadow_runs_vs_loop`: the same without ingestion beside a plain Python loop that steps the same models, keeps predictions and
residuals in lists, and has no store.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from pathlib import Path
from time import monotonic, process_time, sleep
from typing import Any

from benchmarks._result import compared

import twinwright
from twinwright.clock import SECOND, to_iso
from twinwright.telemetry.payloads import Payload

INTERFACE = "dtmi:bench:Tank;1"
TWINS = 1_000
BEGIN = 1_772_000_000 * SECOND
SCHEMA = {
    "@context": "dtmi:dtdl:context;3",
    "@id": INTERFACE,
    "@type": "Interface",
    "contents": [{"@type": "Property", "name": name, "schema": "double"} for name in ("inflow", "level", "error")],
}
CONTRACT = """name: tanks
revision: 1
format: json
twin: "{id}"
time: {field: t, format: epoch_ms}
observations:
  - {path: inflow, field: u}
  - {path: level, field: y}
"""
CODE = "def rhs(t, x, u, p):\n    return [(p[1] * u[0] - x[0]) / p[0]]\n"
MODEL = f"""name: tank
version: 1.0.0
kind: ode
artefact: tank.py:rhs
interface: {INTERFACE}
inputs: {{u: {{property: inflow, hold: zero}}}}
states: {{x: {{start: x0}}}}
outputs: {{x: {{property: level}}}}
parameters: {{tau: {{value: 30}}, gain: {{value: 2}}, x0: {{value: 1, per: run}}}}
step: PT1S
"""
SHADOW = f"name: live\nmodel: tank\ninterface: {INTERFACE}\nlateness: PT10M\nresiduals: {{x: error}}\n"


def observed(twin: int, tick: int) -> tuple[float, float]:
    """Inflow and level of a twin at a tick."""
    return 1.0 + math.sin(0.01 * tick + twin), 2.0 + math.sin(0.01 * tick + twin - 0.3)


def telemetry(tick: int, part: int = 0, parts: int = 1) -> Payload:
    """One second of the fleet, or a part of it."""
    lines = []
    for twin in range(part, TWINS, parts):
        u, y = observed(twin, tick)
        lines.append(f'{{"id":"tank-{twin}","t":{BEGIN // 1000 + 1000 * tick},"u":{u:.4f},"y":{y:.4f}}}')
    return Payload("\n".join(lines).encode())


def workspace(folder: Path) -> None:
    """A fleet and the shadow that follows all of it."""
    for part in ("schema", "models", "contracts", "shadows"):
        (folder / part).mkdir()
    (folder / "twinwright.toml").write_text("")
    (folder / "schema" / "tank.json").write_text(json.dumps(SCHEMA))
    twins = [f'  - {{$dtId: tank-{twin}, $metadata: {{$model: "{INTERFACE}"}}}}' for twin in range(TWINS)]
    (folder / "twins.yaml").write_text("\n".join(["twins:", *twins, ""]))
    (folder / "contracts" / "tanks.yaml").write_text(CONTRACT)
    (folder / "models" / "tank.py").write_text(CODE)
    (folder / "models" / "tank.yaml").write_text(MODEL)
    (folder / "shadows" / "live.yaml").write_text(SHADOW)


def spent() -> float:
    """Processor time of this process and of all that descend from it, in seconds."""
    hertz, total, waiting = os.sysconf("SC_CLK_TCK"), process_time(), [os.getpid()]
    while waiting:
        pid = waiting.pop()
        for task in Path(f"/proc/{pid}/task").iterdir():
            waiting += map(int, (task / "children").read_text("ascii").split())
        if pid != os.getpid():
            total += sum(map(int, Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[11:15])) / hertz
    return total


def followed(ticks: int, warm: int) -> tuple[float, float]:
    """Seconds of processor time that a tick took: (ingestion, following)."""
    with tempfile.TemporaryDirectory() as name:
        workspace(Path(name))
        with twinwright.open(name) as platform:
            platform.apply()
            ingestion = following = 0.0
            for tick in range(warm + ticks):
                if tick == warm:
                    ingestion = following = 0.0
                payload, began = telemetry(tick), spent()
                platform.push("tanks", [payload])
                between = spent()
                [shadow] = platform.shadow_run()
                following += spent() - between
                ingestion += between - began
                if shadow["error"] or (tick and shadow["through"] != to_iso(BEGIN + tick * SECOND)):
                    raise AssertionError(f"does not follow: {shadow}")
    return ingestion / ticks, following / ticks


def live(seconds: int) -> float:
    """How many cores it takes in real time, when the readings of a second come in ten parts and are followed as in a platform that is up.
    Raises AssertionError where it has not kept up."""
    with tempfile.TemporaryDirectory() as name:
        workspace(Path(name))
        with twinwright.open(name) as platform:
            platform.apply()
            for tick in range(3):
                platform.push("tanks", [telemetry(tick)])
            platform.shadow_run()
            runner = platform.session.shadows
            runner.start()
            made = [[telemetry(tick, part, 10) for part in range(10)] for tick in range(3, 3 + seconds)]
            began, before = monotonic(), spent()
            for number, payload in enumerate(payload for tick in made for payload in tick):
                sleep(max(0.0, began + number / 10 - monotonic()))
                platform.push("tanks", [payload])
            cores = (spent() - before) / (monotonic() - began)
            deadline = monotonic() + 5
            while platform.shadows()[0]["through"] != to_iso(BEGIN + (2 + seconds) * SECOND):
                if monotonic() > deadline:
                    raise AssertionError(f"does not keep up: {platform.shadows()}")
                sleep(0.1)
            runner.stop()
    return cores


def looped(ticks: int) -> float:
    """Seconds of processor time that a tick took a loop in Python: Runge-Kutta of the same order for each twin in turn."""
    scope: dict[str, Any] = {}
    exec(CODE, scope)  # the model of this page
    rhs, p = scope["rhs"], (30.0, 2.0)
    states, inputs = [[1.0] for _ in range(TWINS)], [0.0] * TWINS
    predicted: list[tuple[int, int, float, float]] = []
    total = 0.0
    for tick in range(ticks):
        rows = [json.loads(line) for line in telemetry(tick).body.splitlines()]
        began = process_time()
        for twin, row in enumerate(rows):
            x, u = states[twin], [inputs[twin]]
            if tick:
                k1 = rhs(tick, x, u, p)
                k2 = rhs(tick + 0.5, [a + 0.5 * b for a, b in zip(x, k1, strict=True)], u, p)
                k3 = rhs(tick + 0.5, [a + 0.5 * b for a, b in zip(x, k2, strict=True)], u, p)
                k4 = rhs(tick + 1.0, [a + b for a, b in zip(x, k3, strict=True)], u, p)
                states[twin] = [a + (b + 2 * c + 2 * d + e) / 6 for a, b, c, d, e in zip(x, k1, k2, k3, k4, strict=True)]
            inputs[twin] = row["u"]
            predicted.append((twin, tick, states[twin][0], row["y"] - states[twin][0]))
        total += process_time() - began
    return total / ticks


def measure(quick: bool) -> list[dict[str, Any]]:
    """Shadow-seconds per second of one core."""
    ingestion, following = followed(10 if quick else 200, 4 if quick else 20)
    by_hand = looped(10 if quick else 100)
    cores = live(5 if quick else 60)
    asked, ours = float(TWINS), TWINS / (ingestion + following)
    unit = "shadow-seconds/core-second"
    return [
        compared("shadow_runs_1hz", ours, asked, unit),
        compared("shadow_runs_live", cores, 1.0, "cores", "lower"),
        compared("shadow_runs_vs_loop", TWINS / following, TWINS / by_hand, unit),
    ]


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
