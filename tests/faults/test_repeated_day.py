"""A source that repeats its last day, to each store, before and after a restart and in any order: nothing is added."""

import json

import pytest
from tests.telemetry.plant import NOW, Plant, contract

from twinwright.clock import HOUR, SECOND, to_iso
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Counts
from twinwright.storage.postgres import PostgresStore
from twinwright.telemetry.duplicates import SeenReadings

MINUTES = 24 * 60


def body(at):
    return json.dumps({"id": f"pump-{1 + at % 2}", "ts": to_iso(NOW - 24 * HOUR + at * 60 * SECOND), "p": at}).encode()


@pytest.fixture(params=["duckdb", "postgres"])
def plant(request, tmp_path, monkeypatch):
    if request.param == "postgres":
        postgres = request.getfixturevalue("postgres")
        schema = postgres.schema()
        monkeypatch.setattr(Plant, "open_store", staticmethod(lambda path, clock: PostgresStore(postgres.dsn(), schema, clock)))
    plant = Plant(tmp_path / "store", [contract()])
    yield plant
    plant.close()


def check_a_repeated_day(plant):
    day = [body(at) for at in range(MINUTES)]
    assert plant.send(*day).accepted == len(day)
    for restarted in (False, True):
        if restarted:
            plant.restart()
        receipt = plant.send(*reversed(day))
        assert (receipt.accepted, receipt.duplicate) == (0, len(day))
    assert plant.store.counts(SYSTEM) == {"pump": Counts(3 * len(day), len(day), 2 * len(day))}
    assert len(plant.history(paths=("pressure",))) == len(day)


def test_a_source_that_repeats_its_last_day_adds_nothing(plant):
    check_a_repeated_day(plant)


def test_a_search_that_knows_of_no_earlier_hour_is_caught(tmp_path, monkeypatch):
    made = SeenReadings.__init__
    monkeypatch.setattr(SeenReadings, "__init__", lambda self, hours, **how: made(self, {}, **how))
    plant = Plant(tmp_path / "store", [contract()])
    with pytest.raises(AssertionError):
        check_a_repeated_day(plant)
    plant.close()
