"""Killed while payloads are read again: history, counts and state are those before the replay or those after it."""

import signal
from pathlib import Path

import pytest
from tests.telemetry.plant import Plant, contract
from tests.warm import begin_script

from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Counts

HERE = Path(__file__).parent
NARROW = {"path": "pressure", "field": "p", "unit": "kPa", "range": [0, 8], "required": True, "reject": True}
COUNT = 20


def narrowed():
    return contract(revision=2, observations=[NARROW])


def body(at):
    return {"id": f"pump-{1 + at % 2}", "ts": f"2026-03-01T07:00:{at:02d}Z", "p": at % 10}


def filled(path):
    """Taken in under the first revision, which refuses nothing; every tenth reading is refused by the second."""
    plant = Plant(path, [contract(observations=[{**NARROW, "range": [0, 100]}])])
    for at in range(0, COUNT, 5):
        plant.send(*(body(one) for one in range(at, at + 5)), body(at))
    return plant


def told(plant):
    """What is read, and that it agrees with itself."""
    counts = plant.store.counts(SYSTEM)["pump"]
    entries = sum((entry.counts for entry in plant.store.journal_entries(SYSTEM, "pump", 0, 10**6)), Counts())
    assert counts.conserved
    assert (counts.accepted, counts.duplicate, counts.dead_lettered) == (entries.accepted, entries.duplicate, entries.dead_lettered)
    assert plant.state.reconcile("pump")[1] == 0
    bookkeeping = ("commit", "late")
    history = [{name: value for name, value in row.items() if name not in bookkeeping} for row in plant.history()]
    return history, counts


def killed(path, point, mutant=""):
    plant = filled(path)
    before = told(plant)
    plant.close()
    broken = [str(HERE / "mutants" / f"{mutant}.py")] if mutant else []
    log = path.with_suffix(".log")
    with log.open("wb") as said, begin_script(HERE / "replayer.py", str(path), point, *broken, stderr=said) as process:
        assert process.wait(600) == -signal.SIGKILL, log.read_text()
    plant = Plant(path, [narrowed()])
    found = told(plant)
    plant.reprocessing.replay(SYSTEM, "pump", start=None, end=None)
    after = told(plant)
    plant.close()
    assert found in (before, after)
    assert before != after
    return found == after


LATE = {"committed", "materialised"}


@pytest.mark.parametrize("point", ["read", "retracted", "half written", "counted", *sorted(LATE)])
def test_a_killed_replay_is_done_or_was_never_begun(tmp_path, point):
    assert killed(tmp_path / "store", point) == (point in LATE)


def test_a_replay_that_retracts_in_a_transaction_of_its_own_is_caught(tmp_path):
    with pytest.raises(AssertionError):
        killed(tmp_path / "store", "half written", "retract_apart")
