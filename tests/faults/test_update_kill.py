"""An update of many twins is killed, and goes on: each twin is changed once, whenever it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.platform.graph_plant import NOW, opened, pump

from twinwright.clock import ManualClock
from twinwright.platform.local import LocalPlatform
from twinwright.storage.layout import Selection
from twinwright.twins.graph.draft import Draft

ROOT = Path(__file__).parents[2]
TWINS = 60  # and two that the workspace has


@pytest.mark.parametrize("pieces", [1, 4])
def test_a_killed_update_changes_each_twin_once(tmp_path: Path, pieces: int) -> None:
    platform = opened(tmp_path, ManualClock(NOW))

    def plant(draft: Draft) -> None:
        from twinwright.twins.graph.twin_writes import put_twin

        for number in range(TWINS):
            put_twin(draft, f"t{number}", pump(), None)

    platform.session.graph.submit(platform.principal, plant)
    platform.close()
    command = [sys.executable, "-m", "tests.faults.updater", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None and process.stdout is not None
        for _ in range(pieces):
            process.stdin.write("\n")
            assert process.stdout.readline().strip(), "the update ended too soon"
        process.stdin.write("\n")  # it is killed at, before or after the next piece
        os.kill(process.pid, signal.SIGKILL)
    platform = LocalPlatform.open(tmp_path)
    (done,) = platform.resume_updates()
    assert (done["matched"], done["changed"], done["refused"], done["missing"]) == (TWINS + 2, TWINS + 2, 0, 0)
    rows = platform.session.store.history(platform.principal, Selection(paths=("p",))).to_pylist()
    assert len(rows) == len({row["twin"] for row in rows}) == TWINS + 2
    assert platform.resume_updates() == []
    platform.close()
