"""A workspace with everything in it: twins with relationships, two contracts, models, scenarios."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.running import write

PUMP_SCHEMA = """{
  "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
  "@id": "dtmi:test:Pump;1",
  "@type": "Interface",
  "contents": [
    {"@type": ["Property", "Pressure"], "name": "pressure", "schema": "double", "unit": "kilopascal"},
    {"@type": ["Property", "Voltage"], "name": "drive", "schema": "double", "unit": "volt"},
    {"@type": "Property", "name": "mode", "schema": "string"},
    {"@type": "Property", "name": "site", "schema": "string", "writable": true},
    {"@type": "Relationship", "name": "feeds", "target": "dtmi:test:Pump;1"}
  ]
}
"""
TWINS = """twins:
  - $dtId: pump-1
    $metadata: {$model: "dtmi:test:Pump;1"}
    site: north
  - $dtId: pump-2
    $metadata: {$model: "dtmi:test:Pump;1"}
relationships:
  - {$relationshipId: r1, $sourceId: pump-1, $targetId: pump-2, $relationshipName: feeds}
"""
PUMP = """name: pump
revision: 1
format: json
twin: "{id}"
time: {field: ts, format: iso8601, zone: UTC}
observations:
  - {path: pressure, field: p, unit: kPa, range: [0, 1600], required: true}
  - {path: drive, field: u, unit: V}
lateness: PT10M
"""
LOGGER = """name: logger
revision: 1
format: csv
twin: pump-2
time: {field: when, format: iso8601, zone: Europe/Berlin}
observations:
  - {path: pressure, field: kPa, unit: kPa}
"""
LAG = '''"""Pressure follows the drive as a first-order lag."""


def rhs(t, x, u, p):
    return [(p[1] * u[0] - x[0]) / p[0]]
'''
MODEL = """name: lag
version: 1.0.0
kind: ode
artefact: lag.py:rhs
interface: dtmi:test:Pump;1
inputs:     {u: {property: drive, unit: V, hold: zero}}
states:     {x: {start: x0, unit: kPa}}
outputs:    {x: {property: pressure, unit: kPa}}
parameters:
  tau: {value: 30, unit: s, bounds: [1, 300]}
  gain: {value: 100, unit: kPa/V, bounds: [1, 300]}
  x0: {value: 100, unit: kPa, bounds: [0, 1000], per: run}
step: PT5S
"""
SCENARIO = """name: more
model: lag
twin: pump-1
from: 2026-03-01T08:00:00Z
horizon: PT4M
inputs: {u: {scale: 1.5}}
parameters: {tau: 20}
constraints: ["x < 100000 kPa"]
limits: {wall: PT1M, memory: 1GiB}
"""
FILES = {
    "twinwright.toml": "[api]\nport = 8420\nconsole = false\n",
    "schema/pump.json": PUMP_SCHEMA,
    "twins.yaml": TWINS,
    "contracts/pump.yaml": PUMP,
    "contracts/logger.yaml": LOGGER,
    "models/lag.yaml": MODEL,
    "models/lag.py": LAG,
    "scenarios/more.yaml": SCENARIO,
}


def workspace(folder: Path) -> Path:
    return write(folder, dict(FILES))


def telemetry(count: int = 300, tau: float = 30.0) -> str:
    """Pump 1 in steps of five seconds: a square wave of the drive and the exact answer of the lag; some lines refused, some repeated."""
    import json
    import math

    lines, pressure = [], 200.0
    for k in range(count):
        drive = 2.0 + (k // 20 % 2)
        second = 5 * k
        when = f"2026-03-01T{8 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
        lines.append(json.dumps({"id": "pump-1", "ts": when, "p": round(pressure, 6), "u": drive}))
        target = 100.0 * drive
        pressure = target + (pressure - target) * math.exp(-5.0 / tau)
    broken = ['{"id": "pump-9", "ts": "2026-03-01T08:00:00Z", "p": 1}', '{"id": "pump-1", "p": 1}', "not json"]
    return "\n".join([*lines, *broken, lines[0]]) + "\n"
