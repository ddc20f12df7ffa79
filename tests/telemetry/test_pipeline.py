"""The pipeline: each delivery its own receipt, failures that take nobody along, bounded queues, nothing answered before it is durable."""

import json
import threading
from concurrent.futures import Future
from dataclasses import replace

import pytest
from tests.telemetry.plant import contract

from twinwright.clock import to_iso
from twinwright.errors import BusyError, FenceError, NotFoundError, PlatformError, StoreError
from twinwright.governance.principals import SYSTEM
from twinwright.telemetry import batches, journal, payloads, pipeline
from twinwright.telemetry.payloads import Delivery, Payload, Position, Receipt


def body(second, twin="pump-1", **fields):
    return json.dumps({"id": twin, "ts": to_iso(1_772_348_400_000_000 + second * 1_000_000), "p": float(second), **fields}).encode()


def delivery(*bodies, position=None, to="pump"):
    return Delivery(to, tuple(Payload(one) for one in bodies), (position,) if position else ())


def together(plant, deliveries) -> list[Future]:
    """Submit while nothing can be committed, so that they wait for each other."""
    with plant.state.lock:
        return [plant.pipeline.submit_soon(one) for one in deliveries]


def total(plant):
    return plant.store.counts(SYSTEM)["pump"]


def test_deliveries_that_wait_together_share_a_commit_and_keep_their_own_counts(plant):
    deliveries = [delivery(*(body(10 * n + m) for m in range(n % 4)), *([b"junk"] * (n % 3)), *([body(1)] * (n % 2))) for n in range(30)]
    receipts = [future.result(30) for future in together(plant, deliveries)]
    assert len({receipt.token for receipt in receipts}) < 30
    for one, receipt in zip(deliveries, receipts, strict=True):
        assert receipt.received == len(one.payloads) == receipt.accepted + receipt.duplicate + sum(receipt.dead_lettered.values())
        assert receipt.dead_lettered.get("malformed", 0) == sum(payload.body == b"junk" for payload in one.payloads)
    whole = sum(receipts, Receipt())
    assert (total(plant).received, total(plant).accepted, total(plant).duplicate) == (whole.received, whole.accepted, whole.duplicate)
    assert total(plant).conserved
    assert sorted(receipt.token for receipt in receipts) == [receipt.token for receipt in receipts]


@pytest.mark.parametrize("position", [None, Position("file", 0, 10)])
def test_a_delivery_of_nothing_is_answered_once_and_moves_its_position(plant, position):
    receipt = plant.pipeline.submit(delivery(position=position))
    assert (receipt.received, receipt.token) == (0, plant.store.last_commit(SYSTEM))
    assert plant.store.position(SYSTEM, "pump", "file") == (10 if position else 0)


def test_an_empty_delivery_behind_others_does_not_make_them_count_twice(plant):
    receipts = [future.result(30) for future in together(plant, [delivery(body(n)) for n in range(10)] + [delivery()])]
    assert [receipt.accepted for receipt in receipts] == [1] * 10 + [0]
    assert (total(plant).received, total(plant).duplicate) == (10, 0)


def test_a_delivery_that_is_fenced_off_takes_no_neighbour_along(plant):
    deliveries = [delivery(body(n)) for n in range(8)]
    deliveries[5] = delivery(body(5), position=Position("file", 7, 8))
    futures = together(plant, deliveries)
    with pytest.raises(FenceError, match="position 7 of file"):
        futures[5].result(30)
    assert [future.result(30).accepted for at, future in enumerate(futures) if at != 5] == [1] * 7
    assert plant.store.position(SYSTEM, "pump", "file") == 0
    assert total(plant).received == 7
    assert plant.send(body(5)).accepted == 1  # nothing of it was remembered


def test_positions_follow_each_other_and_are_taken_once(plant):
    chain = [delivery(body(n), position=Position("file", n, n + 1)) for n in range(12)]
    assert [future.result(30).accepted for future in together(plant, chain)] == [1] * 12
    with pytest.raises(FenceError):
        plant.pipeline.submit(chain[3])
    assert plant.store.position(SYSTEM, "pump", "file") == 12


def test_a_delivery_from_several_streams_moves_all_their_positions_or_none(plant):
    streams = (Position("a", 0, 2, 2), Position("b", 0, 7, 1))
    assert plant.pipeline.submit(Delivery("pump", tuple(Payload(body(n)) for n in range(3)), streams)).accepted == 3
    assert [plant.store.position(SYSTEM, "pump", stream) for stream in "ab"] == [2, 7]
    stale = (Position("a", 2, 3), Position("b", 6, 8))
    with pytest.raises(FenceError, match="position 6 of b"):
        plant.pipeline.submit(Delivery("pump", (Payload(body(3)), Payload(body(4))), stale))
    assert [plant.store.position(SYSTEM, "pump", stream) for stream in "ab"] == [2, 7]
    assert total(plant).received == 3


def test_a_dead_letter_says_where_its_payload_was_read(plant):
    junk = [Payload(b"junk-%d" % n) for n in range(6)]
    several = Delivery("pump", (junk[0], Payload(body(1)), junk[1], junk[2]), (Position("a", 0, 50, 3), Position("b", 0, 9, 1)))
    together(plant, [delivery(body(0)), delivery(body(2), junk[3].body), several, Delivery("pump", (junk[4],), (Position("a", 50, 51),))])
    plant.pipeline.close()
    said = {letter.payload: letter.position for letter in plant.store.dead_letters(SYSTEM)}
    assert said == {
        b"junk-0": "a@0 payload 0",
        b"junk-1": "a@0 payload 2",
        b"junk-2": "b@0 payload 0",
        b"junk-3": "payload 1",
        b"junk-4": "a@50 payload 0",
    }


def test_a_batch_decoded_under_another_revision_is_decoded_again(plant):
    with plant.state.lock:
        futures = [plant.pipeline.submit_soon(delivery(body(n))) for n in range(6)]
        plant.raise_revision(contract(revision=2))
    assert [future.result(30).accepted for future in futures] == [1] * 6
    assert {row["revision"] for row in plant.history()} == {2}


def test_a_contract_that_is_taken_away_refuses_what_waits_for_it(plant):
    with plant.state.lock:
        futures = [plant.pipeline.submit_soon(delivery(body(n))) for n in range(6)]
        plant.pipeline.configure({}, plant.pipeline.registry)
    for future in futures:
        with pytest.raises(NotFoundError, match="no contract 'pump'"):
            future.result(30)
    with pytest.raises(NotFoundError, match="twinwright apply"):
        plant.pipeline.submit(delivery(body(1)))
    assert plant.store.counts(SYSTEM) == {}


def test_deliveries_to_several_contracts_wait_beside_each_other(make_plant):
    plant = make_plant(contract("a"), contract("b"))
    futures = together(plant, [delivery(body(n), to="ab"[n % 2]) for n in range(20)])
    assert [future.result(30).accepted for future in futures] == [1] * 20
    assert {name: counts.received for name, counts in plant.store.counts(SYSTEM).items()} == {"a": 10, "b": 10}


def test_a_full_queue_says_so_and_goes_on_when_there_is_room(plant, monkeypatch):
    monkeypatch.setattr(pipeline, "QUEUE_DELIVERIES", 5)
    with plant.state.lock:
        futures = [plant.pipeline.submit_soon(delivery(body(n))) for n in range(5)]
        with pytest.raises(BusyError, match="queue is full") as busy:
            plant.pipeline.submit_soon(delivery(body(9)))
    assert busy.value.retry_after > 0
    assert [future.result(30).accepted for future in futures] == [1] * 5
    assert plant.send(body(9)).accepted == 1


def test_a_queue_is_bounded_in_bytes_but_takes_one_of_any_size(plant, monkeypatch):
    monkeypatch.setattr(pipeline, "QUEUE_BYTES", 100)
    with plant.state.lock:
        first = plant.pipeline.submit_soon(delivery(body(1, m="x" * 200)))
        with pytest.raises(BusyError):
            plant.pipeline.submit_soon(delivery(body(2)))
    assert first.result(30).accepted == 1


def test_a_payload_past_the_limit_is_a_dead_letter_and_harms_no_neighbour(plant, monkeypatch):
    monkeypatch.setattr("twinwright.telemetry.batches.MAX_PAYLOAD_BYTES", 300)
    receipt = plant.send(body(1), body(2, m="x" * 400), body(3))
    assert (receipt.accepted, receipt.dead_lettered) == (2, {"too_large": 1})
    assert payloads.MAX_PAYLOAD_BYTES > 1_000_000


def test_a_store_that_fails_is_told_to_each_and_leaves_nothing(plant, monkeypatch):
    def fail(self):
        raise StoreError("the disk is gone")

    monkeypatch.setattr("twinwright.storage.duckdb_transaction.DuckDBTransaction.finish", fail)
    for future in together(plant, [delivery(body(n)) for n in range(4)]):
        with pytest.raises(StoreError, match="disk is gone"):
            future.result(30)
    monkeypatch.undo()
    assert plant.history() == []
    assert plant.send(body(0), body(1)).accepted == 2
    assert [row["num"] for row in plant.cells()] == [1.0]


@pytest.mark.parametrize(
    "poison",
    [
        b"\x00" * 1_000,
        b'{"id":' * 50_000,
        b"null,",
        b'{"a":1}null{"a":2}',
        b"[" * 1_000_000,
        b"{" + b'"a":1,' * 50_000 + b'"b":2}',
        b'{"id":"pump-1","ts":"2026-03-01T07:00:00Z","p":' + b"9" * 100_000 + b"}",
        '{"id":"pump-1","ts":"٢٠٢٦-03-01T07:00:00Z","p":1}'.encode(),
    ],
    ids=["zeros", "open objects", "top-level null", "null between", "open arrays", "same key", "digits", "other digits"],
)
def test_poison_harms_only_itself(plant, poison):
    futures = together(plant, [delivery(body(1)), delivery(poison), delivery(body(2), poison, body(3))])
    first, second, third = (future.result(60) for future in futures)
    assert (first.accepted, third.accepted) == (1, 2)
    assert sum(second.dead_lettered.values()) == sum(third.dead_lettered.values()) == second.received
    assert total(plant).conserved
    assert plant.send(body(4)).accepted == 1


@pytest.mark.parametrize("format", ["csv", "parquet", "arrow"])
def test_poison_in_tables_harms_only_itself(make_plant, format):
    import pyarrow as pa

    from twinwright.telemetry.decode_tables import write_table

    table = pa.table({"id": ["pump-1"], "ts": ["2026-03-01T07:00:00Z"], "p": [1.0]})
    good = b"id,ts,p\npump-1,2026-03-01T07:00:00Z,1\n" if format == "csv" else write_table(table, format)
    bad = pa.table({"id": pa.array([b"\xff\xfe"]).view(pa.string()), "ts": ["x"]})
    poison = b'"id\n",ts\n1,2\n' if format == "csv" else write_table(bad, format)
    plant = make_plant(contract(format=format))
    futures = together(plant, [delivery(good), delivery(poison), delivery(poison, good)])
    assert [(one.accepted + one.duplicate, sum(one.dead_lettered.values())) for one in (future.result(30) for future in futures)] == [
        (1, 0),
        (0, 1),
        (1, 1),
    ]


def test_closing_commits_what_was_submitted_and_refuses_the_rest(plant):
    futures = together(plant, [delivery(body(n)) for n in range(10)])
    plant.pipeline.close()
    assert all(future.result(0).accepted == 1 for future in futures)
    with pytest.raises(PlatformError, match="stopping"):
        plant.pipeline.submit(delivery(body(11)))
    plant.pipeline.close()


def test_every_delivery_is_answered_when_closing_races_with_submitting(make_plant):
    for _ in range(5):
        plant = make_plant()
        answered, refused = [], []

        def submit(base, plant=plant, answered=answered, refused=refused):
            for n in range(50):
                try:
                    answered.append(plant.pipeline.submit_soon(delivery(body(base + n))).result(30).accepted)
                except PlatformError:
                    refused.append(1)

        threads = [threading.Thread(target=submit, args=(1_000 * at,)) for at in range(4)]
        for thread in threads:
            thread.start()
        plant.pipeline.close()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert len(answered) + len(refused) == 200
        assert len(plant.history()) == sum(answered)


def test_the_journal_holds_each_payload_as_received(plant):
    sent = [body(1), b"junk", b"", body(1)]
    receipt = plant.send(*sent, captures={"topic": "plant/1"})
    [entry] = plant.store.journal_entries(SYSTEM, "pump", 1, receipt.token)
    assert [(one.body, dict(one.captures)) for one in journal.unpack(entry.frames)] == [(one, {"topic": "plant/1"}) for one in sent]
    assert (entry.commit, entry.counts.received, entry.counts.conserved) == (receipt.token, 4, True)


def test_metrics_count_what_receipts_say(plant):
    plant.send(body(1), body(1), b"junk")
    assert plant.metrics.readings_received.labels(contract="pump")._value.get() == 3
    assert plant.metrics.readings_duplicate.labels(contract="pump")._value.get() == 1
    assert plant.metrics.readings_dead_lettered.labels(contract="pump", reason="malformed")._value.get() == 1


def test_receipts_add_up_and_are_written_in_fixed_fields():
    both = Receipt(3, 1, 1, 1, 0, {"malformed": 1}, 7, 0.5) + Receipt(2, 0, 0, 0, 0, {"malformed": 1, "bad_time": 1}, 9, 0.25)
    assert both.as_json() == {
        "received": 5,
        "accepted": 1,
        "duplicate": 1,
        "late": 1,
        "conflict": 0,
        "dead_lettered": {"bad_time": 1, "malformed": 2},
        "token": 9,
        "seconds": 0.75,
    }


@pytest.mark.parametrize("format", ["json", "csv"])
def test_what_is_broken_in_every_line_shares_a_letter_beyond_ten_thousand(make_plant, format):
    plant = make_plant(contract(format=format))
    junk = b"".join(b"a,b,%d\n" % number for number in range(10_500))
    one = body(1) if format == "json" else b"pump-1,2026-03-01T07:00:00Z"
    header = b"id,ts\n" if format == "csv" else b""
    receipt = plant.pipeline.submit(delivery(header + one + b"\n" + junk, header + b"x,y,z\n"))
    if format == "json":
        assert receipt.accepted == 1
    assert receipt.dead_lettered["malformed"] == 10_002
    assert total(plant).received == receipt.received
    assert total(plant).conserved
    letters = [one for one in plant.store.dead_letters(SYSTEM, limit=20_000) if "499 more" in one.detail or "500 more" in one.detail]
    assert len(letters) == 1
    assert letters[0].payload.startswith(header + b"a,b,10000\n")
    assert letters[0].payload.count(b"a,b,") == 500


def test_a_refused_row_that_can_not_be_taken_out_of_its_payload_harms_only_itself(plant, monkeypatch):
    around = batches._around

    def raw(row):
        raise ValueError("a payload that nobody thought of")

    monkeypatch.setattr(batches, "_around", lambda *of: replace(around(*of), raw=raw))
    odd = b'[{"id": "pump-9"}, ' + body(2) + b"]"
    receipt = plant.pipeline.submit(delivery(body(1), odd, body(3)))
    assert (receipt.received, receipt.accepted) == (4, 3)
    assert [letter.payload for letter in plant.store.dead_letters(SYSTEM)] == [odd]
    assert total(plant).conserved


def test_a_payload_that_can_not_be_evaluated_harms_only_itself(plant, monkeypatch):
    evaluate = batches.evaluate

    def failing(contract, decoded, payloads, registry, received_at):
        if any(b"poison" in payload.body for payload in payloads) and "poison" in decoded.columns["m"].values:
            raise OverflowError("a reading that nobody thought of")
        return evaluate(contract, decoded, payloads, registry, received_at)

    monkeypatch.setattr(batches, "evaluate", failing)
    receipt = plant.pipeline.submit(delivery(body(1), body(2, m="poison"), b"junk", body(3), body(4, m="poison"), body(5)))
    assert (receipt.received, receipt.accepted, receipt.dead_lettered) == (6, 3, {"malformed": 3})
    details = [letter.detail for letter in plant.store.dead_letters(SYSTEM)]
    assert sum("a reading that nobody thought of" in detail for detail in details) == 2
    assert total(plant).conserved
