"""Replay and retry: payloads read again, counts moved with them, nothing counted twice."""

import time
from collections import Counter

import pytest
from tests.telemetry.plant import INTERFACE, NOW, PATHS, contract

from twinwright.clock import SECOND, from_iso
from twinwright.errors import FenceError, PlatformError, RefusedError, UsageError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Counts, Lifetime
from twinwright.storage.protocol import GOOD
from twinwright.telemetry import reread
from twinwright.telemetry.reread import Pace, Reader, Spool
from twinwright.twins import state
from twinwright.twins.state import StateCache

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


def test_what_is_late_in_a_replay_is_behind_what_came_before_it(make_plant):
    plant = make_plant(contract(lateness="PT10S"))
    for readings in ([body(1, 0)], [body(2, 30), body(3, 15), body(4, 40)], [body(5, 59)]):
        plant.clock.advance(SECOND)
        plant.send(*readings)
    counts = conserved(plant)
    assert counts.late == 1
    assert replay(plant).receipt.late == 1
    assert conserved(plant) == counts
    for number, late in enumerate((0, 1, 0), 1):  # of one window each: what came after it makes nothing of it late
        assert replay(plant, start=NOW + number * SECOND, end=NOW + (number + 1) * SECOND).receipt.late == late
    assert conserved(plant) == counts


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


def test_a_letter_that_is_refused_for_another_reason_now_says_so(make_plant):
    plant = make_plant(contract(observations=[NARROW]))
    plant.send(body(99, 1, twin="nobody"), body(99, 2), body(7, 3, twin="nobody"))
    letters = plant.store.dead_letters(SYSTEM)
    assert plant.reprocessing.retry(SYSTEM, letters)[1] == 3
    assert plant.store.dead_letters(SYSTEM) == letters, "the same reasons: nothing is said anew"
    plant.raise_revision(contract(revision=2, observations=[{**NARROW, "field": "q"}]))
    before = conserved(plant)
    receipt, still = plant.reprocessing.retry(SYSTEM, letters)
    assert (receipt.received, receipt.dead_lettered, still) == (0, {}, 3)
    again = [one for one in plant.store.dead_letters(SYSTEM) if one not in letters]
    (mended,) = [one for one in letters if one.reason == "out_of_range"]
    assert [(one.reason, one.revision, one.origin) for one in again] == [("missing_field", 2, mended.origin)]
    assert plant.store.dead_letter(SYSTEM, mended.id).status == "retried"
    assert conserved(plant) == before
    plant.raise_revision(contract(revision=3, observations=[{**NARROW, "range": [0, 100]}]))
    receipt, still = plant.reprocessing.retry(SYSTEM, plant.store.dead_letters(SYSTEM))
    assert (receipt.received, receipt.accepted, still) == (1, 1, 2)
    assert Counter(one.reason for one in plant.store.dead_letters(SYSTEM)) == {"unknown_twin": 2}
    conserved(plant)


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


def facts(plant):
    return [
        {name: row[name] for name in ("twin", "path", "time", "source", "kind", "num", "int", "txt", "revision")} for row in plant.history()
    ]


@pytest.mark.parametrize("seed", range(3))
def test_what_a_replay_costs_is_said_beforehand_and_nothing_is_changed(make_plant, seed):
    plant = make_plant(contract(observations=[NARROW]))
    for turn in range(20):
        plant.send(*(body(1 + (seed + turn + second) % 9, 2 * turn + second) for second in range(2)), body(1, turn, "nobody"))
    plant.raise_revision(contract(revision=2, observations=[{**NARROW, "range": [0, 9]}]))
    before = (plant.store.last_commit(SYSTEM), plant.history(), plant.cells(), conserved(plant))
    cost = plant.reprocessing.cost(SYSTEM, "pump")
    assert (plant.store.last_commit(SYSTEM), plant.history(), plant.cells(), conserved(plant)) == before
    journalled = sum(len(entry.frames) for entry in plant.store.journal_entries(SYSTEM, "pump", 0, 10**6))
    assert (cost.contract, cost.revision, cost.readings, cost.journal_bytes) == ("pump", 2, 60, journalled)
    assert 0 < cost.pause < cost.seconds
    assert 40 * 45 <= cost.bytes <= 40 * 64  # of what is accepted: seven columns, or eight bytes more
    slowly = plant.reprocessing.cost(SYSTEM, "pump", rate=10)
    assert slowly.seconds - slowly.pause >= 6
    done = replay(plant)
    assert (done.receipt.received, done.receipt.dead_lettered) == (60, {"unknown_twin": 20})
    conserved(plant)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_is_a_number_above_nothing(plant, rate):
    plant.send(body(1))
    for ask in (plant.reprocessing.replay, plant.reprocessing.cost):
        with pytest.raises(UsageError, match="no rate"):
            ask(SYSTEM, "pump", start=None, end=None, rate=rate)


def meanwhile(plant, *acts):
    """Replay, and do something behind each entry that it reads."""
    left, after = list(acts), Pace.after

    def interrupted(pace, readings):
        if left:
            left.pop(0)()
        after(pace, readings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pace, "after", interrupted)
        done = replay(plant)
    assert left == []
    return done


def narrowed(make_plant, **options):
    plant = make_plant(contract(observations=[NARROW]), **options)
    for second in range(10):
        plant.send(body(second, second), body(second, second, "pump-9"))
    plant.raise_revision(contract(revision=2, observations=[{**NARROW, "range": [0, 8]}]))
    return plant


def test_a_replay_keeps_to_its_rate(make_plant):
    plant = narrowed(make_plant)
    began = time.perf_counter()
    plant.reprocessing.replay(SYSTEM, "pump", start=None, end=None, rate=40)  # twenty readings
    assert time.perf_counter() - began >= 0.5


def test_ingestion_goes_on_while_a_replay_reads_and_is_not_touched(make_plant):
    plant = narrowed(make_plant)
    before = plant.store.last_commit(SYSTEM)
    receipts = []
    done = meanwhile(plant, *(lambda n=n: receipts.append(plant.send(body(n, 30 + n))) for n in range(3)))
    assert done.receipt.received == 20  # what came meanwhile is read under the new revision already
    assert [receipt.token for receipt in receipts] == [before + 1, before + 2, before + 3]
    assert done.receipt.token == before + 4  # one commit
    pressures = [row["num"] for row in plant.history() if row["kind"] == GOOD]
    assert pressures == [*range(9), 0, 1, 2]
    assert {row["revision"] for row in plant.history()} == {2}
    known = [row["num"] for row in plant.history(known_at=before + 3)]
    assert known == [*range(6), 0, 1, 2]  # what was believed before: above 5 was refused
    conserved(plant)
    fast = narrowed(make_plant)
    for n in range(3):
        fast.send(body(n, 30 + n))
    replay(fast)
    assert facts(plant) == facts(fast)


def between(plant, act, **window):
    """Replay, and do something between the look at what remains and the writing."""
    look, left = StateCache.remaining, [act]

    def interrupted(state, *of):
        found = look(state, *of)
        if left:
            left.pop()()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StateCache, "remaining", interrupted)
        return replay(plant, **window)


def check_state_is_that_of_history(plant):
    checked, wrong = plant.state.reconcile("pump")
    assert checked > 0
    assert wrong == 0
    before = cells(plant)
    plant.restart()
    assert cells(plant) == before


def cells(plant):
    return sorted((row["twin"], row["path"], row["time"], row["revision"], row["num"]) for row in plant.cells())


def check_what_comes_between(make_plant):
    plant = narrowed(make_plant)
    letters = plant.store.dead_letters(SYSTEM)

    def comes():
        plant.send(body(1, 40), body(2, 50))
        plant.send(body(1, 41, "pump-2"), body(3, 3))  # the second says what will be retracted
        plant.reprocessing.retry(SYSTEM, letters[-2:])
        plant.send(body(4, 30))

    between(plant, comes)
    check_state_is_that_of_history(plant)


def test_what_comes_between_a_replays_look_at_the_state_and_its_writing_is_in_the_state(make_plant, monkeypatch):
    check_what_comes_between(make_plant)
    plant = narrowed(make_plant)
    asked = []
    latest = plant.store.latest
    monkeypatch.setattr(plant.store, "latest", lambda *of, **how: (asked.append(plant.state.lock._is_owned()), latest(*of, **how))[1])
    between(plant, lambda: plant.send(body(1, 40)))
    assert asked == [False]  # all of history is looked at once, and nobody waits for it
    check_state_is_that_of_history(plant)


def test_a_replay_that_forgets_what_came_between_is_caught(make_plant, monkeypatch):
    monkeypatch.setattr(StateCache, "_settled", lambda _state, _contract, remaining, _commit: remaining.cells)
    with pytest.raises(AssertionError):
        check_what_comes_between(make_plant)


def check_another_replay_between(make_plant):
    plant = make_plant(contract(observations=[NARROW]))
    plant.send(body(1, 1))
    plant.clock.advance(60 * SECOND)
    plant.send(body(4, 2), body(2, 3, "pump-2"))
    plant.raise_revision(contract(revision=2, observations=[{**NARROW, "range": [0, 3], "reject": True}]))
    between(plant, lambda: replay(plant), end=NOW + 30 * SECOND)
    check_state_is_that_of_history(plant)
    assert [row["num"] for row in plant.cells() if row["twin"] == 1] == [1.0]


def test_what_another_replay_took_away_between_is_gone(make_plant):
    check_another_replay_between(make_plant)


def test_a_replay_that_passes_over_another_between_is_caught(make_plant, monkeypatch):
    monkeypatch.setattr(state, "_TAKES_AWAY", ("nothing",))
    with pytest.raises(AssertionError):
        check_another_replay_between(make_plant)


def test_letters_that_are_retried_while_a_replay_reads_count_once(make_plant):
    plant = narrowed(make_plant)
    letters = plant.store.dead_letters(SYSTEM)
    retried = []
    meanwhile(plant, lambda: retried.append(plant.reprocessing.retry(SYSTEM, letters)[0]))
    assert retried[0].accepted == 3
    conserved(plant)
    quiet = narrowed(make_plant)
    replay(quiet)
    assert (facts(plant), plant.store.counts(SYSTEM)) == (facts(quiet), quiet.store.counts(SYSTEM))


def test_twins_that_begin_or_end_while_a_replay_reads_are_seen(make_plant):
    check_twins_that_change(narrowed(make_plant))


def test_a_replay_that_looks_at_no_twin_again_is_caught(make_plant, monkeypatch):
    monkeypatch.setattr(Reader, "outdated", lambda *_: False)
    with pytest.raises(AssertionError):
        check_twins_that_change(narrowed(make_plant))


def check_twins_that_change(plant):
    registry = plant.pipeline.registry
    ends = from_iso("2026-03-01T07:00:04Z")
    meanwhile(
        plant,
        lambda: registry.take(Lifetime(9, "pump-9", INTERFACE), PATHS),
        lambda: registry.take(Lifetime(1, "pump-1", INTERFACE, until=ends), PATHS),
    )
    of_twin = Counter(row["twin"] for row in plant.history())
    assert of_twin == {1: 4, 9: 9}
    assert conserved(plant) == Counts(20, 13, 0, 7)


def test_another_revision_that_is_applied_while_a_replay_reads_is_not_passed_over(make_plant):
    plant = narrowed(make_plant)
    counts, before = conserved(plant), facts(plant)
    newer = contract(revision=3, observations=[{**NARROW, "range": [0, 3]}])
    with pytest.raises(FenceError):
        meanwhile(plant, lambda: plant.raise_revision(newer))
    assert (conserved(plant), facts(plant)) == (counts, before)


def test_a_platform_that_stops_leaves_what_is_being_read_again(make_plant):
    plant = narrowed(make_plant)
    before = (plant.store.last_commit(SYSTEM), facts(plant))
    with pytest.raises(PlatformError, match="stopping"):
        meanwhile(plant, plant.reprocessing.stop)
    assert (plant.store.last_commit(SYSTEM), facts(plant)) == before


def test_what_was_read_comes_out_of_the_file_as_it_went_in(plant, monkeypatch):
    monkeypatch.setattr(reread, "_IN_MEMORY", 1)  # on the disk at once
    reader = Reader(plant.contracts[0], plant.pipeline.registry)
    plant.send(body(1, 1), {**body(2, 2), "m": "\U0001f4a7", "on": True, "n": 7}, body(3, 3, "nobody"), b"junk")
    plant.send({"ts": TS})
    plant.send(*(body(n, n % 60) for n in range(500)))
    read = [reader.read(entry) for entry in plant.store.journal_entries(SYSTEM, "pump", 0, 99)]
    with Spool.opened() as spool:
        for one in read:
            spool.add(one)
        for _ in range(2):
            for one, again in zip(read, spool, strict=True):
                assert (one.commit, one.taken, one.letters) == (again.commit, again.taken, again.letters)
                assert one.readings.values == again.readings.values
                for name in ("row", "twin", "time", "correction", "present", "bad"):
                    mine, other = getattr(one.readings, name), getattr(again.readings, name)
                    assert (mine.dtype, mine.tolist()) == (other.dtype, other.tolist())
