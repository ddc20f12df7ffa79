"""Replay and retry: payloads read again, counts moved with them, nothing counted twice."""

import pytest
from tests.telemetry.plant import NOW, contract

from twinwright.clock import SECOND
from twinwright.errors import RefusedError, UsageError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Counts

TS = "2026-03-01T07:00:00Z"
NARROW = {"path": "pressure", "field": "p", "unit": "kPa", "range": [0, 5], "required": True}


def body(p, second=0, twin="pump-1"):
    return {"id": twin, "ts": f"2026-03-01T07:00:{second:02d}Z", "p": p}


def replay(plant, **window):
    return plant.reprocessing.replay(SYSTEM, "pump", start=window.get("start"), end=window.get("end"))


def conserved(plant):
    """The log, the journal and the open dead letters say the same."""
    log = plant.store.counts(SYSTEM)["pump"]
    entries = sum((entry.counts for entry in plant.store.journal_entries(SYSTEM, "pump", 0, 10**6)), Counts())
    assert log.conserved
    assert (log.received, log.accepted, log.duplicate, log.dead_lettered) == (
        entries.received,
        entries.accepted,
        entries.duplicate,
        entries.dead_lettered,
    )
    assert log.dead_lettered == sum(plant.store.dead_letter_counts(SYSTEM).values())
    return log


def test_a_replay_moves_readings_between_the_counts_and_takes_their_place(make_plant):
    plant = make_plant(contract(observations=[NARROW]))
    plant.send(body(1, 1), body(7, 2), body(1, 1), b"junk")
    assert conserved(plant) == Counts(4, 1, 1, 2)
    plant.raise_revision(contract(revision=2, observations=[{**NARROW, "range": [0, 9]}]))
    done = replay(plant)
    assert (done.receipt.received, done.receipt.accepted, done.receipt.duplicate) == (4, 2, 1)
    assert done.receipt.dead_lettered == {"malformed": 1}
    assert (done.superseded, done.retracted) == (1, 0)
    assert conserved(plant) == Counts(4, 2, 1, 1)
    assert [(row["num"], row["revision"]) for row in plant.history()] == [(1.0, 2), (7.0, 2)]
    assert [row["num"] for row in plant.cells()] == [7.0]


@pytest.mark.parametrize("times", [1, 3])
def test_replaying_again_changes_nothing(plant, times):
    plant.send(body(1, 1), body(2, 2))
    plant.send(body(2, 2), body(3, 3))
    before, counts = [(row["time"], row["num"]) for row in plant.history()], conserved(plant)
    for _ in range(times):
        replay(plant)
    assert [(row["time"], row["num"]) for row in plant.history()] == before
    assert conserved(plant) == counts
    assert plant.send(body(3, 3)).duplicate == 1
    plant.restart()
    assert plant.send(body(1, 1)).duplicate == 1


def test_a_window_is_by_receive_time(make_plant):
    plant = make_plant()
    for second in range(4):
        plant.clock.advance(SECOND)
        plant.send(body(second, second))
    plant.raise_revision(contract(revision=2))
    assert replay(plant, start=NOW + 2 * SECOND, end=NOW + 4 * SECOND).receipt.received == 2
    assert [row["revision"] for row in plant.history()] == [1, 2, 2, 1]
    with pytest.raises(UsageError, match="nothing was received in this window"):
        replay(plant, start=NOW + 100 * SECOND)


def test_corrections_by_order_of_arrival_keep_that_order_in_a_replay(make_plant):
    plant = make_plant(contract(correction="ingest"))
    for p in (9, 5, 3):
        plant.send(body(p))
    plant.raise_revision(contract(correction="ingest", revision=2))
    replay(plant)
    assert [row["num"] for row in plant.history()] == [3.0]
    assert [row["num"] for row in plant.cells()] == [3.0]


def test_what_the_journal_no_longer_holds_is_not_retracted(make_plant):
    plant = make_plant(contract(journal="positions"))
    plant.send(body(1))
    with pytest.raises(RefusedError, match="not in the journal"):
        replay(plant)
    assert len(plant.history()) == 1


def test_expired_payloads_are_gone_and_a_later_window_can_be_replayed(plant):
    plant.send(body(1, 1))
    plant.clock.advance(10 * SECOND)
    plant.send(body(2, 2))
    assert plant.store.expire_journal(SYSTEM, "pump", NOW + SECOND) == 1
    assert plant.store.expire_journal(SYSTEM, "pump", NOW + SECOND) == 0
    with pytest.raises(RefusedError):
        replay(plant)
    assert replay(plant, start=NOW + SECOND).receipt.received == 1
    assert [row["num"] for row in plant.history()] == [1.0, 2.0]


def test_a_retry_moves_a_letter_to_accepted_or_duplicate_once(make_plant):
    plant = make_plant(contract(observations=[NARROW]))
    plant.send(body(7, 1), body(7, 1), body(99, 2), b"junk")
    plant.raise_revision(contract(revision=2, observations=[{**NARROW, "range": [0, 9]}]))
    letters = plant.store.dead_letters(SYSTEM)
    receipt, still = plant.reprocessing.retry(SYSTEM, letters)
    assert (receipt.accepted, receipt.duplicate, still) == (1, 1, 2)
    assert conserved(plant) == Counts(4, 1, 1, 2)
    assert [row["num"] for row in plant.cells()] == [7.0]
    again, _ = plant.reprocessing.retry(SYSTEM, letters)  # the same list, as two people might
    assert again.received == 0
    assert conserved(plant) == Counts(4, 1, 1, 2)
    replay(plant)
    assert conserved(plant) == Counts(4, 1, 1, 2)


def test_a_payload_that_was_malformed_whole_may_hold_several_readings(plant):
    plant.send(b"[" + b'{"id":"pump-1","ts":"%s","p":1},' % TS.encode() + b'{"id":"pump-1","ts":"x","p":1}')
    assert plant.reprocessing.retry(SYSTEM, plant.store.dead_letters(SYSTEM))[1] == 1
    assert conserved(plant) == Counts(1, 0, 0, 1)


def test_a_dry_run_says_what_a_retry_would_do_and_does_nothing(make_plant):
    plant = make_plant(contract(observations=[NARROW]))
    plant.send(body(1, 1), body(7, 2), body(7, 3), body(7, 3), b"junk")
    plant.raise_revision(contract(revision=2, observations=[{**NARROW, "range": [0, 9]}]))
    before = (plant.store.last_commit(SYSTEM), plant.history(), plant.cells(), conserved(plant))
    letters = plant.store.dead_letters(SYSTEM)
    tried, refused = plant.reprocessing.retry(SYSTEM, letters, dry_run=True)
    assert (plant.store.last_commit(SYSTEM), plant.history(), plant.cells(), conserved(plant)) == before
    assert tried.token == before[0]
    done, still = plant.reprocessing.retry(SYSTEM, letters)
    assert (tried.received, tried.accepted, tried.duplicate, refused) == (3, 2, 1, 1)
    assert (done.received, done.accepted, done.duplicate, still) == (3, 2, 1, 1)
    assert plant.send(body(7, 2)).duplicate == 1
    conserved(plant)


def test_an_expired_letter_is_retried_no_more_and_still_counted(plant):
    plant.send(body("broken"), b"junk")
    plant.clock.advance(10 * SECOND)
    plant.send(b"more junk")
    letters = plant.store.dead_letters(SYSTEM)
    assert plant.store.expire_dead_letters(SYSTEM, plant.clock.now() - SECOND) == 1
    assert plant.store.counts(SYSTEM)["pump"].dead_lettered == 2
    assert plant.store.counts(SYSTEM)["pump"].conserved
    assert plant.reprocessing.retry(SYSTEM, letters)[1] == 1
    assert [(one.status, one.payload) for one in (plant.store.dead_letter(SYSTEM, 1), plant.store.dead_letter(SYSTEM, 2))] == [
        ("expired", b""),
        ("open", b"more junk"),
    ]
