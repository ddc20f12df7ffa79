"""A small plant on the real platform, served in this process, and a client that is let in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.types import ASGIApp

from twinwright.api.app import create_app
from twinwright.api.tokens import TokenAuthority
from twinwright.platform.local import LocalPlatform
from twinwright.telemetry.payloads import Payload

TOKEN = "a-token-of-tests-that-is-long-enough"
BASE = "http://127.0.0.1:8080"
BEGIN = "2026-03-01T08:00:00Z"
FILES = {
    "twinwright.toml": "",
    "twins.yaml": """
twins:
  - {$dtId: pump-1, $metadata: {$model: "dtmi:test:Pump;1"}}
  - {$dtId: pump-2, $metadata: {$model: "dtmi:test:Pump;1"}}
relationships:
  - {$relationshipId: r1, $sourceId: pump-1, $targetId: pump-2, $relationshipName: feeds}
""",
    "schema/pump.json": json.dumps(
        {
            "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
            "@id": "dtmi:test:Pump;1",
            "@type": "Interface",
            "displayName": "Pump",
            "contents": [
                {"@type": ["Property", "Pressure"], "name": "pressure", "schema": "double", "unit": "kilopascal"},
                {"@type": ["Property", "Voltage"], "name": "drive", "schema": "double", "unit": "volt"},
                {"@type": "Relationship", "name": "feeds"},
            ],
        }
    ),
    "contracts/pump.yaml": """
name: pump
revision: 1
format: json
twin: "{unit}"
time: {field: ts, format: iso8601, zone: UTC}
observations:
  - {path: pressure, field: p, unit: kPa, range: [0, 1600], required: true}
  - {path: drive, field: u, unit: V}
""",
    "contracts/logger.yaml": """
name: logger
revision: 1
format: csv
twin: pump-2
time: {field: ts, format: iso8601, zone: UTC}
observations:
  - {path: pressure, field: p, unit: kPa, required: true}
""",
    "models/lag.yaml": """
name: lag
version: 1.0.0
kind: ode
artefact: lag.py:rhs
interface: dtmi:test:Pump;1
inputs:     {u: {property: drive, unit: V, hold: zero}}
states:     {y: {start: y0, unit: kPa}}
outputs:    {y: {property: pressure, unit: kPa}}
parameters: {tau: {value: 30, unit: s, bounds: [1, 300]}, gain: {value: 100, unit: kPa/V}, y0: {value: 100, unit: kPa, per: run}}
step: PT5S
assumptions: ["the pressure follows the drive as a first-order lag"]
""",
    "models/lag.py": "def rhs(t, x, u, p):\n    return [(p[1] * u[0] - x[0]) / p[0]]\n",
    "scenarios/step.yaml": f"""
name: step
model: lag
twin: pump-1
from: {BEGIN}
horizon: PT2M
inputs: {{u: {{constant: 3, unit: V}}}}
parameters: {{tau: 20}}
""",
}


def reading(second: int, pressure: object = 200.0, unit: str = "pump-1", **more: object) -> bytes:
    minute, rest = divmod(second, 60)
    return json.dumps({"unit": unit, "ts": f"2026-03-01T08:{minute:02d}:{rest:02d}Z", "p": pressure, **more}).encode()


def write_workspace(folder: Path) -> Path:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlatform]:
    opened = LocalPlatform.open(write_workspace(tmp_path_factory.mktemp("plant")))
    opened.apply()
    lines = [reading(5 * k, 200.0 + k, u=2.0 + 0.01 * k) for k in range(60)]
    lines += [reading(400), reading(405, "much"), reading(410, unit="pump-9"), b"not json"]
    opened.push("pump", [Payload(b"\n".join(lines))])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def tokens() -> TokenAuthority:
    return TokenAuthority(TOKEN)


@pytest.fixture(scope="module")
def app(platform: LocalPlatform, tokens: TokenAuthority) -> ASGIApp:
    return create_app(platform, tokens=tokens, metrics=platform.session.metrics, allowed_hosts=["twins.example", "edge.example:8443"])


@pytest.fixture(scope="module")
def anonymous(app: ASGIApp) -> Iterator[TestClient]:
    with TestClient(app, BASE, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="module")
def client(anonymous: TestClient, app: ASGIApp) -> TestClient:
    headers = {"authorization": f"Bearer {TOKEN}"}
    return TestClient(app, BASE, headers=headers, raise_server_exceptions=False, follow_redirects=False)
