"""The cascaded tanks: a measured benchmark with a soft and a hard nonlinearity, from a model file such as a user writes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from twinwright.clock import SECOND, from_iso
from twinwright.governance.principals import LOCAL_ADMIN

ROOT = Path(__file__).parents[2]
RECORD = ROOT.parent / "shared" / "data" / "cascaded_tanks" / "estimation.csv"
START = from_iso("2026-03-01T08:00:00Z")

pytestmark = pytest.mark.skipif(not RECORD.exists(), reason="no ../shared/data/cascaded_tanks/estimation.csv on this machine")


@pytest.fixture
def tanks(reader):
    record = np.genfromtxt(RECORD, delimiter=",", names=True)
    times = START + 4 * SECOND * np.arange(record.size)
    reader.put("tanks-1", "pump", times, record["u_V"], "V")
    reader.put("tanks-1", "level", times, record["y_V"], "V")


def test_the_whole_record_is_met_within_a_quarter_of_a_volt(tanks, service):
    found = service.calibrate(LOCAL_ADMIN, "tanks", twin="tanks-1", holdout=0)
    assert found["metrics"]["train"]["rmse"] <= 0.24  # 0.199 V when this was written
    assert not any(one["at_bound"] for one in found["parameters"].values())
    assert found["parameters"]["x1_0"]["low"] is not None, "the hidden level at the start is estimated"


def test_the_last_third_is_predicted_from_the_first_two(tanks, service):
    found = service.calibrate(LOCAL_ADMIN, "tanks", twin="tanks-1")
    assert found["metrics"]["train"]["rmse"] <= 0.24  # 0.186 V when this was written
    assert found["metrics"]["holdout"]["rmse"] <= 0.30  # 0.244 V when this was written
    assert found["metrics"]["holdout"]["skill"] > 0.85
    assert any("autocorrelated" in warning for warning in found["warnings"]), "the errors are structural, and that is said"
    verdict = service.promote(LOCAL_ADMIN, "tanks", found["id"])
    assert verdict["promoted"], verdict["reason"]


def test_a_cold_start_takes_less_than_twenty_seconds(tmp_path):
    """A new process, with nothing loaded, compiled or cached: from its start to its end."""
    script = """
import json, sys
import importlib.util
from pathlib import Path
import numpy as np
spec = importlib.util.spec_from_file_location("kit", sys.argv[1])
kit = importlib.util.module_from_spec(spec)
sys.modules["kit"] = kit
spec.loader.exec_module(kit)
record = np.genfromtxt(sys.argv[2], delimiter=",", names=True)
reader, times = kit.MemoryReader(), kit.START + 4 * kit.SECOND * np.arange(record.size)
reader.put("t", "pump", times, record["u_V"], "V")
reader.put("t", "level", times, record["y_V"], "V")
service = kit.CalibrationService(reader, kit.MemoryRecords(), kit.ManualClock(0), Path(sys.argv[3]), kit.definition)
found = service.calibrate(kit.LOCAL_ADMIN, "tanks", twin="t", holdout=0)
print(json.dumps(found["metrics"]["train"]["rmse"]))
"""
    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    kit = Path(__file__).parent / "conftest.py"
    done = subprocess.run(
        [sys.executable, "-c", script, str(kit), str(RECORD), str(tmp_path)], capture_output=True, text=True, timeout=280, check=True
    )
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)  # of the process and of those that it waited for: not of who else works here
    assert 0.5 < ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime < 20  # 4 s on two cores when this was written
    assert json.loads(done.stdout) <= 0.24
