"""What a contract calls implausible, from its file to the KPIs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.plant import FILES, workspace
from tests.acceptance.running import write

from twinwright.clock import SECOND, ManualClock, from_iso, to_iso
from twinwright.platform.local import LocalPlatform
from twinwright.platform.session import Session
from twinwright.telemetry.payloads import Payload

NOW = from_iso("2026-03-01T08:00:00Z")
JUDGED = "range: [0, 1600], max_rate: {value: 50, per: s}, stuck: PT30S, spike: {window: 5}, gap: PT20S"


def test_marks_and_drift_are_counted_and_survive_a_restart(tmp_path: Path) -> None:
    folder = workspace(tmp_path)
    text = FILES["contracts/pump.yaml"].replace("range: [0, 1600]", JUDGED).replace("lateness:", "clock_drift: PT5S\nlateness:")
    write(folder, {"contracts/pump.yaml": text})
    clock = ManualClock(NOW)
    platform = LocalPlatform(Session(folder, clock))
    platform.apply()
    for k, pressure in enumerate([200.0, 201.0, 900.0, 202.0, 203.0, 203.0, 203.0, 203.0]):
        clock.advance(10 * SECOND)
        body = json.dumps({"id": "pump-1", "ts": to_iso(clock.now() + (7 + k % 2) * SECOND), "p": pressure})
        platform.push("pump", [Payload(body.encode())])
    found = platform.history("pump-1", "pressure")
    assert found["quality"] == ["good", "good", "spike", "rate", "good", "good", "good", "stuck"]
    for _ in range(2):
        kpis = platform.kpi()
        assert kpis["marked_share.pump"]["marks"] == found["marks"]
        assert kpis["marked_share.pump"]["value"] == 3 / 8
        assert (kpis["clock_drift.pump"]["value"], kpis["clock_drift.pump"]["met"]) == (7.5, False)
        assert platform.state("pump-1")["$metadata"]["pressure"]["quality"] == "stuck"
        platform.close()
        platform = LocalPlatform(Session(folder, clock))
    platform.close()
