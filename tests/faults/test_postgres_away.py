"""A PostgreSQL store that is slow, or away for a while: nothing lost, nothing counted twice."""

import json
import threading
import time

import pytest
from tests.telemetry.plant import NOW, Plant, contract

from twinwright.clock import HOUR, SECOND, to_iso
from twinwright.connectors.runner import Backoff, SourceRunner
from twinwright.errors import BusyError
from twinwright.governance.principals import SYSTEM
from twinwright.storage import postgres_connections
from twinwright.storage.layout import Counts
from twinwright.storage.postgres import PostgresStore
from twinwright.telemetry import pipeline
from twinwright.telemetry.payloads import Delivery, Payload, Position


@pytest.fixture
def schema(postgres):
    return postgres.schema()


@pytest.fixture
def plant(postgres, schema, tmp_path, monkeypatch):
    monkeypatch.setattr(Plant, "open_store", staticmethod(lambda path, clock: PostgresStore(postgres.dsn(), schema, clock)))
    plant = Plant(tmp_path / "store", [contract()])
    yield plant
    plant.close()


def body(at):
    return json.dumps({"id": f"pump-{1 + at % 2}", "ts": to_iso(NOW - 24 * HOUR + at * 60 * SECOND), "p": at}).encode()


class Log:
    """A source with a log of its own, which is read from wherever the store is."""

    def __init__(self, count):
        self.count, self.next = count, 0

    def open(self, positions):
        self.next = positions("pump", "log")

    def poll(self, timeout):
        if self.next == self.count:
            time.sleep(0.01)
            return None
        self.next += 1
        return Delivery("pump", (Payload(body(self.next - 1)),), (Position("log", self.next - 1, self.next),))

    def committed(self, delivery, receipt):
        pass

    def close(self):
        pass


def soon(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_database_that_is_away_takes_nothing_along(postgres, plant, monkeypatch):
    monkeypatch.setattr(postgres_connections, "PATIENCE", 0.2)
    count = 60
    source = SourceRunner(
        Log(count), "log", (), plant.pipeline, lambda *of: plant.store.position(SYSTEM, *of), plant.metrics, backoff=Backoff(0.05, 0.2)
    )
    source.start()
    soon(lambda: source.status().deliveries > 5)
    postgres.stop("immediate")
    try:
        soon(lambda: source.status().state == "down")
        time.sleep(1.0)  # a minute of it is no other: it waits and asks again
        assert source.status().error is not None
    finally:
        postgres.start()
    soon(lambda: source.status().state == "up" and plant.store.position(SYSTEM, "pump", "log") == count)
    assert source.stop()
    assert plant.store.counts(SYSTEM) == {"pump": Counts(count, count)}
    assert [row["num"] for row in sorted(plant.history(paths=("pressure",)), key=lambda row: row["time"])] == list(range(count))


def test_a_slow_store_slows_its_senders_and_no_queue_grows(postgres, plant, schema, monkeypatch):
    monkeypatch.setattr(pipeline, "QUEUE_DELIVERIES", 8)
    plant.send(body(0))
    other = PostgresStore(postgres.dsn(), schema, plant.clock, shared=True)
    held, let_go = threading.Event(), threading.Event()

    def hold():
        with other.transaction(SYSTEM, "slow"):
            held.set()
            let_go.wait(60)

    slow = threading.Thread(target=hold)
    slow.start()
    assert held.wait(60)
    futures = []
    with pytest.raises(BusyError):
        while len(futures) < 100:
            futures.append(plant.pipeline.submit_soon(Delivery("pump", (Payload(body(1 + len(futures))),))))
    assert len(futures) == 8
    assert not any(future.done() for future in futures)
    let_go.set()
    slow.join()
    assert sum(future.result(60).accepted for future in futures) == 8
    other.close()
    assert plant.store.counts(SYSTEM) == {"pump": Counts(9, 9)}
