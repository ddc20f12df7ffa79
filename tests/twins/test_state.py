"""The cell cache is a function of history: through restarts, materialisations, retractions, revisions and growth."""

import random

import pytest
from tests.telemetry.plant import NOW, contract

from twinwright.clock import from_iso
from twinwright.errors import StoreError
from twinwright.governance.principals import SYSTEM
from twinwright.twins import state
from twinwright.twins.cells import NEVER, SourceCells, table_of


def reading(twin, second, **fields):
    return {"id": twin, "ts": f"2026-03-01T07:00:{second:02d}Z", **fields}


def shown(rows):
    """What cells or records say, by twin and path; bookkeeping left out."""
    return {
        (row["twin"], row["path"]): (row["time"], row["kind"], *(row[name] for name in ("num", "int", "txt") if row[name] is not None))
        for row in rows
    }


def retract(plant, first, last, below):
    with plant.store.transaction(SYSTEM, "replay") as transaction:
        transaction.retract("pump", first, last, below)


EVERYTHING = {"p": 1.5, "q": 2.5, "n": 3, "on": True, "m": "auto"}


def test_every_type_of_value_survives_materialising_and_a_restart(plant):
    plant.send(reading("pump-1", 1, **EVERYTHING), reading("pump-2", 1, p="broken", m=5, n=-1, on=False))
    before = plant.cells()
    plant.restart(materialise=True)
    assert plant.cells() == before
    assert shown(before) == shown(plant.latest())
    assert shown(before)[2, "pressure"][1] == 0


def test_a_restart_folds_what_came_after_the_materialisation(plant):
    plant.send(reading("pump-1", 1, **EVERYTHING))
    plant.state.materialise()
    plant.send(reading("pump-1", 2, p=9.0), reading("pump-2", 1, m="off"))
    plant.restart()
    assert shown(plant.cells()) == shown(plant.latest())
    assert shown(plant.cells())[1, "pressure"][2] == 9.0


def test_materialising_writes_only_what_changed(plant):
    plant.send(reading("pump-1", 1, p=1.0))
    plant.state.materialise()
    last = plant.store.last_commit(SYSTEM)
    plant.state.materialise()
    assert plant.store.last_commit(SYSTEM) == last
    plant.send(reading("pump-2", 1, p=1.0))
    plant.state.materialise()
    assert {row["twin"] for row in plant.store.cells(SYSTEM, "pump")[1].to_pylist()} == {1, 2}


def test_the_cadence_materialises_by_itself_what_the_tail_does_not_bring(plant, monkeypatch):
    monkeypatch.setattr(state, "MATERIALISE_EVERY", 3)

    def kept():
        through, cells = plant.store.cells(SYSTEM, "pump")
        return through, {(row["twin"], row["path"]) for row in cells.to_pylist()}

    began = plant.store.last_commit(SYSTEM)
    plant.send(reading("pump-1", 1, p=1.0, q=1.0), reading("pump-2", 1, p=1.0))
    assert kept() == (0, set())
    first = plant.send(reading("pump-1", 2, p=1.0)).token
    assert kept() == (began, set())
    plant.send(reading("pump-1", 3, p=3.0), reading("pump-1", 4, p=4.0), reading("pump-1", 5, p=5.0))
    assert kept() == (first, {(1, "pressure"), (1, "flow"), (2, "pressure")})  # one whose flow is kept is kept whole
    plant.send(*(reading("pump-2", second, p=2.0) for second in (2, 3, 4)))
    plant.state.materialise()
    last = plant.store.last_commit(SYSTEM)
    plant.state.materialise()
    assert plant.store.last_commit(SYSTEM) == last  # nothing is left
    plant.restart()
    assert shown(plant.cells()) == shown(plant.latest())


def of_any_restart(plant, rng):
    """Whether state is what history says after each of some restarts, the cadence being reached in between."""
    for step in range(30):
        fields = rng.sample(["p", "q", "n"], rng.randint(1, 2))
        twin, second = rng.choice(["pump-1", "pump-1", "pump-1", "pump-2"]), rng.randrange(60)
        plant.send(reading(twin, second, **{name: rng.randrange(9) for name in fields}))
        if step % 10 == 9:
            plant.restart(materialise=rng.random() < 0.2)
            if shown(plant.cells()) != shown(plant.latest()):
                return False
    return True


def test_whatever_the_cadence_left_out_is_there_after_a_restart(plant, monkeypatch):
    monkeypatch.setattr(state, "MATERIALISE_EVERY", 3)
    assert of_any_restart(plant, random.Random(5))


def test_cells_that_nobody_keeps_are_missed(plant, monkeypatch):
    """The broken variant: what the tail would have brought last time is taken for kept."""
    changed = SourceCells.changed
    monkeypatch.setattr(state, "MATERIALISE_EVERY", 3)
    monkeypatch.setattr(SourceCells, "changed", lambda self, after, through: changed(self, through - 1, through))
    assert not of_any_restart(plant, random.Random(5))


def test_a_failed_materialisation_does_not_undo_or_repeat_the_commit_before_it(plant, monkeypatch):
    def full(contract, through, rows, *, replace):
        raise StoreError("no space left on the device")

    monkeypatch.setattr(state, "MATERIALISE_EVERY", 1)
    monkeypatch.setattr(
        "twinwright.storage.duckdb_transaction.DuckDBTransaction.save_cells", lambda self, *rest, **named: full(*rest, **named)
    )
    receipt = plant.send(reading("pump-1", 1, p=1.0))
    assert (receipt.received, receipt.accepted) == (1, 1)
    assert plant.store.counts(SYSTEM)["pump"].received == 1
    monkeypatch.undo()
    plant.restart(materialise=True)
    assert shown(plant.cells()) == shown(plant.latest())


def test_a_retracted_winner_gives_way_to_the_one_behind_it(plant):
    plant.send(reading("pump-1", 1, p=1.0))
    wrong = plant.send(reading("pump-1", 9, p=9.0), reading("pump-2", 1, m="gone"))
    retract(plant, wrong.token, wrong.token, 2)
    plant.state.recompute("pump")
    assert shown(plant.cells()) == shown(plant.latest()) == {(1, "pressure"): (plant.cells()[0]["time"], 1, 1.0)}


def test_what_is_folded_after_a_recomputation_is_shown(plant):
    plant.send(reading("pump-1", 1, p=1.0))
    plant.state.recompute("pump")
    plant.send(reading("pump-1", 2, p=2.0))
    assert shown(plant.cells())[1, "pressure"][2] == 2.0


def test_stopping_between_a_retraction_and_its_materialisation_loses_nothing(plant):
    plant.send(reading("pump-1", 1, p=1.0))
    wrong = plant.send(reading("pump-1", 9, p=9.0), reading("pump-2", 9, p=9.0))
    plant.state.materialise()
    retract(plant, wrong.token, wrong.token, 2)
    plant.restart()
    assert shown(plant.cells()) == shown(plant.latest())
    plant.send(reading("pump-1", 2, p=2.0))  # touches one twin, and not the other that the retraction did
    plant.restart(materialise=True)
    assert shown(plant.cells()) == shown(plant.latest())
    assert (2, "pressure") not in shown(plant.cells())


def test_a_later_revision_adds_paths_to_the_same_cells(make_plant):
    plant = make_plant(contract(observations=[{"path": "pressure", "field": "p", "unit": "kPa"}]))
    plant.send(reading("pump-1", 1, p=1.0))
    plant.raise_revision(contract(revision=2))
    plant.send(reading("pump-1", 2, **EVERYTHING))
    assert len(plant.cells()) == 5
    before = plant.cells()
    plant.restart(materialise=True)
    assert plant.cells() == before
    assert shown(before) == shown(plant.latest())


def test_cells_grow_with_twins_and_are_read_by_twin(make_plant):
    plant = make_plant(twins=[f"pump-{number}" for number in range(50)])
    plant.send(*(reading(f"pump-{number}", 1, p=float(number)) for number in range(50)))
    assert len(plant.cells()) == len(plant.state.of("pump")) == 50
    [(_, some)] = plant.state.tables([3, 9, 500])
    assert some["num"].to_pylist() == [2.0, 8.0]


def test_copied_cells_are_of_their_moment_whatever_is_folded_later(plant):
    plant.send(reading("pump-1", 1, **EVERYTHING), reading("pump-2", 1, p="broken", m=7))
    cells = plant.state.of("pump")
    copied, then = cells.copied(), cells.table().to_pylist()
    plant.send(reading("pump-1", 2, p=9.0, n=9, on=False, m="later"), reading("pump-2", 2, p=1.0, m="good"))
    assert table_of(copied).to_pylist() == then != cells.table().to_pylist()


@pytest.mark.parametrize("values", [("b", "a"), ("a", "b")])
def test_a_conflict_of_texts_is_settled_by_their_bytes_in_any_order(plant, values):
    for value in values:
        plant.send(reading("pump-1", 1, m=value))
    assert shown(plant.cells())[1, "mode"][2] == "b"
    assert shown(plant.cells()) == shown(plant.latest())


def test_reconciling_finds_and_repairs_a_wrong_cell(plant):
    plant.send(reading("pump-1", 1, p=1.0), reading("pump-2", 1, p=1.0))
    assert plant.state.reconcile("pump") == (2, 0)
    plant.state.of("pump")._correction[0, 0] = 7
    assert plant.state.reconcile("pump") == (2, 1)
    assert plant.state.reconcile("pump") == (2, 0)


def test_a_contract_without_readings_has_no_cells(plant):
    assert plant.cells() == []
    plant.state.recompute("pump")
    assert plant.cells() == []
    assert plant.state.reconcile("pump") == (0, 0)


def test_the_newest_reading_before_a_commit_is_found_without_what_came_after(plant):
    """Of a source that gave its past after its present, and then an hour that it had left out."""
    sent = [("07", "05"), ("01", "02"), ("00",), ("06", "06"), ("07",)]
    commits, newest = [], []
    for number, hours in enumerate(sent):
        receipt = plant.send(*({"id": "pump-1", "ts": f"2026-03-01T{hour}:00:0{number}Z", "p": 1.0} for hour in hours))
        commits.append(receipt.token)
        newest.append(max(from_iso(f"2026-03-01T{hour}:00:0{number}Z") for hour in hours))
    assert plant.state.newest_before("pump", commits[0], NOW) == NEVER
    for at in range(1, len(sent)):
        assert plant.state.newest_before("pump", commits[at], NOW) == max(newest[:at])
    early = from_iso("2026-03-01T03:00:00Z")
    assert plant.state.newest_before("pump", commits[3], early) == max(time for time in newest[:3] if time <= early)
