"""A full disk is told, takes nothing by half, and is over when there is room again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "full_disk.py"


@pytest.mark.parametrize("limit", [300_000, 3_000_000])
def test_a_full_disk_refuses_whole_deliveries_and_nothing_of_them_stays(tmp_path, limit):
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path), str(limit)], capture_output=True, text=True, timeout=120, check=True)
    seen = json.loads(done.stdout.splitlines()[-1])
    assert [error["type"] for error in seen["errors"]] == ["StoreError"] * 3
    assert all("File too large" in error["text"] for error in seen["errors"])
    assert seen["after"] == 1_000  # there is room again: the same store goes on
    assert seen["accepted"] == seen["received"] == seen["rows"] == 1_000 * (seen["taken"] + 2)
    assert seen["last"] == 1_000  # and so does the next process
    assert seen["cells"] == 2
    assert "Traceback" not in done.stderr
