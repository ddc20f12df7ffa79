"""Payloads that a fuzzer looks for by coverage. It is installed by hand (see CONTRIBUTING): it has wheels for few machines."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from tests.soak.fuzzed import FORMATS
from tests.soak.shorter import amount

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed: see CONTRIBUTING"),
]
RUNS = amount("GUIDED", 1_000_000)  # of all formats together


@pytest.mark.parametrize("name", FORMATS)
def test_no_payload_that_is_looked_for_crashes_hangs_or_is_lost(name, tmp_path):
    line = [sys.executable, str(Path(__file__).parent / "guided.py"), name, str(max(RUNS // len(FORMATS), 1)), str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5_000:]
