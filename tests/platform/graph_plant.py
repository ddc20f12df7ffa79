"""A platform for tests of the graph, on either engine, under a clock that is moved by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acceptance.running import write

from twinwright.clock import ManualClock, from_iso, to_iso
from twinwright.platform.local import LocalPlatform
from twinwright.platform.session import Session
from twinwright.telemetry.payloads import Payload

NOW = from_iso("2026-03-01T08:00:00Z")
PUMP = "dtmi:t:Pump;1"
FILES = {
    "twinwright.toml": "",
    "twins.yaml": f"""
twins:
  - {{$dtId: given, $metadata: {{$model: "{PUMP}"}}, mode: auto}}
  - {{$dtId: other, $metadata: {{$model: "{PUMP}"}}}}
relationships:
  - {{$relationshipId: r, $sourceId: given, $targetId: other, $relationshipName: feeds, width: 1}}
""",
    "schema/pump.json": json.dumps(
        {
            "@context": "dtmi:dtdl:context;3",
            "@id": PUMP,
            "@type": "Interface",
            "contents": [
                {"@type": "Property", "name": "p", "schema": "double"},
                {"@type": "Property", "name": "mode", "schema": "string"},
                {"@type": "Property", "name": "count", "schema": "integer"},
                {"@type": "Relationship", "name": "feeds", "properties": [{"@type": "Property", "name": "width", "schema": "double"}]},
            ],
        }
    ),
    "contracts/pump.yaml": """
name: pump
revision: 1
format: json
twin: "{id}"
time: {field: ts, format: iso8601, zone: UTC}
skew: PT60S
observations:
  - {path: p, field: p}
""",
}


def opened(folder: Path, clock: ManualClock, settings: str = "") -> LocalPlatform:
    """The workspace, applied."""
    write(folder, {**FILES, "twinwright.toml": settings})
    platform = LocalPlatform(Session(folder, clock))
    platform.apply()
    return platform


def send(platform: LocalPlatform, twin: str, at: int, value: float) -> int:
    """One reading; how many were accepted."""
    body = json.dumps({"id": twin, "ts": to_iso(at), "p": value}).encode()
    return platform.push("pump", [Payload(body)]).accepted


def pump(**values: Any) -> dict[str, Any]:
    return {"$metadata": {"$model": PUMP}, **values}


def shown(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if not name.startswith("$")}
