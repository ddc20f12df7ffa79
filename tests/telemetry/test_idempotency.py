"""A delivery that its sender named is taken in once, and answered alike as often as it is sent."""

import json
import threading

import pytest
from tests.telemetry.plant import NOW, contract

from twinwright.clock import HOUR, SECOND, to_iso
from twinwright.errors import KeyReusedError
from twinwright.governance.principals import SYSTEM
from twinwright.telemetry.idempotency import KEPT, key_of
from twinwright.telemetry.payloads import Delivery, Payload


def payloads(*numbers):
    return tuple(
        Payload(json.dumps({"id": "pump-1", "ts": to_iso(NOW - HOUR + number * SECOND), "p": number}).encode()) for number in numbers
    )


def delivery(key, *numbers, to="pump", captures=None):
    given = payloads(*numbers)
    if captures:
        given = tuple(Payload(one.body, captures) for one in given)
    return Delivery(to, given, key=None if key is None else key_of(key, given))


def counts(plant):
    return plant.store.counts(SYSTEM)["pump"]


def test_a_delivery_sent_again_is_answered_as_before_and_counts_once(plant):
    first = plant.pipeline.submit(delivery("a", 1, 2))
    plant.pipeline.submit(delivery("b", 3))
    again = plant.pipeline.submit(delivery("a", 1, 2))
    assert again.as_json() == first.as_json()
    assert (first.received, counts(plant).received, counts(plant).duplicate) == (2, 3, 0)


def test_it_is_so_after_a_restart(plant):
    first = plant.pipeline.submit(delivery("a", 1))
    plant.restart()
    assert plant.pipeline.submit(delivery("a", 1)).as_json() == first.as_json()
    assert counts(plant).received == 1


def test_a_key_that_stands_for_something_else_is_refused(plant):
    plant.pipeline.submit(delivery("a", 1))
    for other in (delivery("a", 2), delivery("a", 1, 2), delivery("a", 1, captures={"line": "2"})):
        with pytest.raises(KeyReusedError, match="another body"):
            plant.pipeline.submit(other)
    assert counts(plant).received == 1


def test_without_a_key_or_under_another_the_readings_are_duplicates(plant):
    plant.pipeline.submit(delivery("a", 1))
    assert plant.pipeline.submit(delivery(None, 1)).duplicate == 1
    assert plant.pipeline.submit(delivery("b", 1)).duplicate == 1


def test_a_key_is_that_of_its_contract(make_plant):
    plant = make_plant(contract(), contract("other"))
    plant.pipeline.submit(delivery("a", 1))
    assert plant.pipeline.submit(delivery("a", 1, to="other")).accepted == 1


def test_two_of_one_key_and_their_neighbours_in_one_transaction_are_each_answered(plant):
    with plant.state.lock:  # nothing is committed meanwhile: what follows waits together
        futures = [plant.pipeline.submit_soon(one) for one in (delivery(None, 1), delivery("a", 2), delivery("a", 2), delivery("a", 3))]
        futures += [plant.pipeline.submit_soon(delivery(None, 4))]
    first, one, same, other, last = [future.exception(30) or future.result() for future in futures]
    assert (first.accepted, one.accepted, last.accepted) == (1, 1, 1)
    assert same.as_json() == one.as_json()
    assert isinstance(other, KeyReusedError)
    assert counts(plant).received == 3


def test_many_at_once_are_one(plant):
    receipts = []
    threads = [threading.Thread(target=lambda: receipts.append(plant.pipeline.submit(delivery("a", 1, 2)))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({json.dumps(receipt.as_json()) for receipt in receipts}) == 1
    assert (len(receipts), counts(plant).received) == (12, 2)


def test_what_was_not_taken_is_not_remembered(plant, monkeypatch):
    original = plant.pipeline.intake("pump").write

    def failing(*arguments, **options):
        monkeypatch.setattr(plant.pipeline.intake("pump"), "write", original)
        raise OSError("no space left")

    monkeypatch.setattr(plant.pipeline.intake("pump"), "write", failing)
    with pytest.raises(OSError, match="no space"):
        plant.pipeline.submit(delivery("a", 1))
    assert plant.pipeline.submit(delivery("a", 1)).accepted == 1


def test_refused_readings_are_answered_as_before_too(plant):
    bad = Delivery("pump", (Payload(b"broken"),), key=key_of("a", [Payload(b"broken")]))
    first = plant.pipeline.submit(bad)
    assert first.dead_lettered == {"malformed": 1}
    assert plant.pipeline.submit(bad).as_json() == first.as_json()
    assert len(plant.store.dead_letters(SYSTEM)) == 1


def test_a_key_is_forgotten_after_a_day(plant):
    plant.pipeline.submit(delivery("a", 1))
    plant.clock.advance(KEPT - SECOND)
    assert plant.pipeline.submit(delivery("a", 1)).accepted == 1
    assert plant.store.expire_receipts(SYSTEM, plant.clock.now() - KEPT, 100) == 0
    plant.clock.advance(SECOND)
    again = plant.pipeline.submit(delivery("a", 1))
    assert (again.accepted, again.duplicate) == (0, 1)
    assert plant.pipeline.submit(delivery("a", 1)).as_json() == again.as_json()
    plant.clock.advance(KEPT + SECOND)
    assert plant.store.expire_receipts(SYSTEM, plant.clock.now() - KEPT, 100) == 1


def test_of_many_keys_the_newest_are_remembered(plant):
    first = plant.pipeline.submit(delivery("k0", 0))
    for number in range(1, 5):
        plant.clock.advance(SECOND)
        plant.pipeline.submit(delivery(f"k{number}", number))
    assert plant.store.expire_receipts(SYSTEM, 0, 3) == 2
    assert plant.store.expire_receipts(SYSTEM, 0, 3) == 0
    assert plant.pipeline.submit(delivery("k2", 2)).duplicate == 0
    assert plant.pipeline.submit(delivery("k0", 0)).duplicate == first.accepted


def test_a_store_that_was_made_before_keys_takes_them(plant):
    with plant.store.transaction(SYSTEM, "test"):
        plant.store._con.execute("DROP TABLE receipts")
    plant.restart()
    first, again = (plant.pipeline.submit(delivery("a", 1)).as_json() for _ in range(2))
    assert first == again
