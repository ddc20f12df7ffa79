"""The KPI table is whole, whoever asks and however long nothing came."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.plant import FILES, telemetry, workspace
from tests.acceptance.running import write

import twinwright as tw

MEAN = """name: mean
interface: dtmi:test:Pump;1
output: {path: pressure}
inputs: {p: {path: pressure, window: {every: PT1M, agg: mean}}}
expression: p
"""


def test_what_is_derived_or_judged_has_its_kpi_without_a_running_platform(tmp_path: Path) -> None:
    folder = workspace(tmp_path / "plant")
    pump = FILES["contracts/pump.yaml"].replace("lateness:", "gap: PT1M\nlateness:")
    write(folder, {"derived/mean.yaml": MEAN, "contracts/pump.yaml": pump, "pump.ndjson": telemetry()})
    with tw.open(folder) as platform:
        platform.apply()
        platform.ingest(folder / "pump.ndjson", "pump")
    with tw.open(folder) as platform:  # nobody has derived anything in this process
        kpi = platform.kpi()
    assert (kpi["lag.derived.mean"]["value"], kpi["lag.derived.mean"]["met"]) == (0.0, True)
    assert kpi["marked_share.pump"] | {"marks": {}} == {"value": None, "unit": "1", "target": 0.05, "met": None, "marks": {}}
    assert "marked_share.logger" not in kpi
