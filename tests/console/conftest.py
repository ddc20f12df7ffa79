"""A pumping station on the real platform with an hour of history, refused readings, runs and a calibration; served with its console."""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

sys.path.append(str(Path(__file__).parents[2]))  # helpers are imported by their path from the root

from tests.console.visitor import Visitor

from twinwright.api.app import create_app
from twinwright.api.server import Server
from twinwright.api.tokens import TokenAuthority
from twinwright.clock import SECOND, SystemClock, to_iso
from twinwright.platform.local import LocalPlatform
from twinwright.telemetry.payloads import Payload

TOKEN = "a-token-of-tests-that-is-long-enough"
expect.set_options(timeout=60_000)  # milliseconds; it ends as soon as the page is as expected
MINUTES = 55
STEP = 5
FILES = {
    "twinwright.toml": "",
    "twins.yaml": """
twins:
  - {$dtId: pump-1, $metadata: {$model: "dtmi:station:Pump;1"}}
  - {$dtId: pump-2, $metadata: {$model: "dtmi:station:Pump;1"}}
  - {$dtId: pump-3, $metadata: {$model: "dtmi:station:Pump;1"}}
  - {$dtId: pump-4, $metadata: {$model: "dtmi:station:Pump;1"}}
  - {$dtId: pump-5, $metadata: {$model: "dtmi:station:Pump;1"}}
  - {$dtId: reservoir, $metadata: {$model: "dtmi:station:Reservoir;1"}}
  - {$dtId: booster, $metadata: {$model: "dtmi:station:Booster;1"}}
""",
    "schema/station.json": json.dumps(
        [
            {
                "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
                "@id": "dtmi:station:Pump;1",
                "@type": "Interface",
                "contents": [
                    {"@type": ["Property", "Pressure"], "name": "pressure", "schema": "double", "unit": "kilopascal"},
                    {"@type": ["Property", "Temperature"], "name": "bearing_temperature", "schema": "double", "unit": "degreeCelsius"},
                    {"@type": ["Property", "Power"], "name": "power", "schema": "double", "unit": "kilowatt"},
                    {"@type": "Property", "name": "vibration", "schema": "double"},
                    {"@type": "Property", "name": "mode", "schema": "string"},
                ],
            },
            {
                "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
                "@id": "dtmi:station:Reservoir;1",
                "@type": "Interface",
                "contents": [{"@type": ["Property", "Length"], "name": "level", "schema": "double", "unit": "metre"}],
            },
            {
                "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
                "@id": "dtmi:station:Booster;1",
                "@type": "Interface",
                "extends": "dtmi:station:Pump;1",
                "contents": [{"@type": ["Property", "Pressure"], "name": "pressure_error", "schema": "double", "unit": "kilopascal"}],
            },
        ]
    ),
    "contracts/station.yaml": """
name: station
revision: 1
format: json
twin: "{unit}"
time: {field: ts, format: iso8601, zone: UTC}
observations:
  - {path: pressure, field: p, unit: kPa, range: [0, 1600], required: true, reject: true}
  - {path: bearing_temperature, field: t, unit: degC}
  - {path: power, field: w, unit: kW}
  - {path: vibration, field: v}
  - {path: mode, field: m}
""",
    "models/station.yaml": """
name: discharge-pressure
version: 1.2.0
kind: ode
artefact: station.py:rhs
interface: dtmi:station:Pump;1
inputs:     {w: {property: power, unit: kW, hold: zero}}
states:     {y: {start: y0, unit: kPa}}
outputs:    {y: {property: pressure, unit: kPa}}
parameters:
  tau: {value: 60, unit: s, bounds: [5, 600]}
  gain: {value: 15, unit: kPa/kW, bounds: [1, 100]}
  y0: {value: 400, unit: kPa, bounds: [0, 1600], per: run}
step: PT5S
assumptions: ["the discharge pressure follows the power as a first-order lag"]
""",
    "models/slow.yaml": """
name: slow
version: 1.0.0
kind: ode
artefact: slow.py:rhs
states:     {z: {start: z0}}
outputs:    {z: {}}
parameters: {rate: {value: 1}, z0: {value: 1, per: run}}
step: PT5S
""",
    "models/slow.py": "import time\n\n\ndef rhs(t, x, u, p):\n    time.sleep(0.1)\n    return [-p[0] * x[0]]\n",
    "scenarios/long.yaml": """
name: long
model: slow
twin: booster
from: 2026-03-01T08:00:00Z
horizon: PT30S
sweep: {rate: [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.19, 0.2]}
""",
    "shadows/booster.yaml": """
name: booster
model: discharge-pressure
twin: booster
parameters: {tau: 90, gain: 20, y0: 450}
residuals: {y: pressure_error}
forecast: {horizon: PT3M, every: PT30S}
""",
    "shadows/fleet.yaml": """
name: fleet
model: discharge-pressure
interface: "dtmi:station:Pump;1"
parameters: {tau: 90, gain: 20, y0: 450}
""",
    "models/station.py": "def rhs(t, x, u, p):\n    return [(p[1] * u[0] - x[0]) / p[0]]\n",
}
SCENARIO = """
name: {name}
model: discharge-pressure
twin: pump-1
from: {start}
horizon: PT20M
inputs: {{w: {change}}}
parameters: {{tau: 90, gain: 20, y0: 365}}
constraints: ["y < 620 kPa"]
"""


@dataclass(frozen=True)
class Plant:
    """The served plant: `server.url`, a fresh login link each time, and the platform itself."""

    platform: LocalPlatform
    server: Server
    tokens: TokenAuthority

    @property
    def login(self) -> str:
        return f"{self.server.url}/login?code={self.tokens.new_code()}"


def readings(now: int) -> list[bytes]:
    """An hour of six pumps: power in steps, pressure as its lag, made by the equations of the model with stated noise."""
    noise = random.Random(7)
    lines = []
    for unit in range(1, 7):
        pressure = 450.0
        for k in range(MINUTES * 60 // STEP):
            power = 22.0 + 1.1 * unit + 5.0 * math.copysign(1.0, math.sin(k / 60 + unit))
            pressure += STEP / 90.0 * (20.0 * power - pressure)
            document = {
                "unit": f"pump-{unit}" if unit < 6 else "booster",
                "ts": to_iso(now - (MINUTES * 60 - STEP * k) * SECOND),
                "p": round(pressure + noise.gauss(0, 4), 2),
                "t": round(48 + power / 3 + 3 * math.sin(k / 90) + noise.gauss(0, 0.2), 2),
                "w": round(power, 3),
                "v": round(2.1 + abs(noise.gauss(0, 0.25)), 3),
                "m": "auto" if unit != 4 else "manual",
            }
            lines.append(json.dumps(document).encode())
    return sorted(lines, key=lambda line: json.loads(line)["ts"])


def refused(now: int) -> list[bytes]:
    """Readings that nobody can take as they are; the last three name a twin that may be declared later."""
    at = to_iso(now - 30 * SECOND)
    lines = [json.dumps({"unit": "pump-2", "ts": at, "p": 2100 + k}).encode() for k in range(4)]
    lines += [b'{"unit": "pump-3", "ts": "' + at.encode() + b'", "p": ']
    lines += [json.dumps({"unit": "pump-3", "ts": "yesterday", "p": 401.5}).encode()]
    lines += [json.dumps({"unit": "pump-9", "ts": to_iso(now - k * SECOND), "p": 480.0 + k, "t": 61.0}).encode() for k in range(20, 23)]
    return lines


def build(folder: Path) -> LocalPlatform:
    """The station in `folder`, with everything that the console shows."""
    now = SystemClock().now() // SECOND * SECOND
    start = to_iso(now - 40 * 60 * SECOND)
    files = dict(FILES)
    files["scenarios/as-run.yaml"] = SCENARIO.format(name="as-run", start=start, change="replay")
    files["scenarios/more-power.yaml"] = SCENARIO.format(name="more-power", start=start, change="{scale: 1.2}")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    platform = LocalPlatform.open(folder)
    platform.apply()
    good = readings(now)
    platform.push("station", [Payload(b"\n".join(good))])
    platform.push("station", [Payload(b"\n".join(good[:40] + refused(now)))])
    platform.simulate("more-power")
    platform.simulate("as-run")
    platform.calibrate("discharge-pressure", twin="pump-1")
    platform.shadow_run()
    return platform


@pytest.fixture
def visitor(chromium: Browser, plant: Plant) -> Iterator[Visitor]:
    context = chromium.new_context(timezone_id="Asia/Kolkata", locale="en-GB", viewport={"width": 1400, "height": 1000})
    yield Visitor(context.new_page(), plant)
    context.close()


@pytest.fixture(scope="session")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    from twinwright.console import mount

    platform = build(tmp_path_factory.mktemp("station"))
    platform.session.shadows.start()
    tokens = TokenAuthority(TOKEN)
    app = create_app(platform, tokens=tokens, metrics=platform.session.metrics, console=mount)
    with Server(app, port=0) as server:
        yield Plant(platform, server, tokens)
    platform.close()


@pytest.fixture(scope="package")  # Playwright leaves a loop that runs in this thread: no other room's tests should meet it
def chromium() -> Iterator[Browser]:
    """The machine's Chromium, where `evil.example` means this machine too, as after a rebinding of its name."""
    program = Path("/usr/bin/chromium")
    if not program.exists():
        pytest.skip("no Chromium on this machine")
    arguments = ["--no-sandbox", "--disable-background-networking", "--host-resolver-rules=MAP evil.example 127.0.0.1"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(program), args=arguments)
        yield browser
        browser.close()
