"""A shadow killed at any instant, and resumed by another process, says byte for byte what one that was never killed says."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.shadower import FORECAST
from tests.simulation.shadow.line import Line, body

HERE = Path(__file__).parent


def life(folder, kill_after):
    """One life of a process that follows, ended by SIGKILL so many seconds after its first commit, or by itself; whether it ended."""
    with subprocess.Popen([sys.executable, str(HERE / "shadower.py"), str(folder)], stdout=subprocess.PIPE, text=True) as process:
        said = []
        while not said or said[-1] in ("ready", ""):
            said.append(process.stdout.readline().strip())
            assert said[-1], "it ended by itself"
        if kill_after is not None:
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
        return "end" in [*said, *process.stdout.read().split()]


def test_killed_at_random_instants_it_says_what_one_says_that_was_not(tmp_path):
    told = [body(tick, 60.0 + tick % 7, 100.0 + tick) for tick in range(0, 1_600, 2)]
    late = [body(tick, 90.0) for tick in (301, 900, 1_401)]
    one, whole = tmp_path / "one", tmp_path / "whole"
    for folder in (one, whole):
        line = Line(folder, forecast=FORECAST)
        line.plant.send(*told[:500])
        line.close()
    rng, ended = random.Random(7), 0
    for part in ([], told[500:], late):
        line = Line(one, forecast=FORECAST)
        if part:
            line.plant.send(*part)
        line.close()
        ended += life(one, rng.uniform(0, 0.15))
    assert ended < 3
    assert life(one, None)
    line = Line(whole, forecast=FORECAST)
    line.plant.send(*told[500:], *late)
    line.follow()
    wanted, state = line.facts(), line.states()[-1]
    line.close()
    line = Line(one, forecast=FORECAST)
    line.follow()
    assert line.facts() == wanted
    assert line.states()[-1] == state
    line.close()
