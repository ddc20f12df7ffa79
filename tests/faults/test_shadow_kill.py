"""A shadow killed a hundred times, at any instant, and gone on with by other processes says byte for byte what one says that never was."""

import subprocess
import sys
from pathlib import Path

import msgspec

SHADOWER = Path(__file__).with_name("shadower.py")


def lives(folder, kills, *mutant):
    """How often those that were killed committed what they followed, and what the stores of them and of the other hold at the end."""
    line = [sys.executable, str(SHADOWER), str(folder), str(kills), *mutant]
    followed = int(subprocess.run(line, stdout=subprocess.PIPE, check=True, text=True).stdout)
    said = [(folder / name / "said.json").read_bytes() for name in ("killed", "whole")]
    return followed, *said


def test_killed_a_hundred_times_it_says_what_one_says_that_was_not(tmp_path):
    followed, killed, whole = lives(tmp_path, 100)
    assert killed == whole
    said = msgspec.json.decode(whole)
    assert said["repeated"] == []
    assert {source for *_, source, _, _ in said["facts"]} == {"shadow:live", "shadow:live+PT1M"}
    assert len(said["states"]) > 2
    assert followed >= 50, "half of them were killed in the midst of it"


def test_what_is_published_apart_from_the_states_behind_it_is_caught(tmp_path):
    followed, killed, whole = lives(tmp_path, 16, "publish_late")
    assert followed >= 8
    assert killed != whole
