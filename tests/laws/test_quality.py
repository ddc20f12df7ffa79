"""Law 2 of quality: marks are a function of event-time order per source, in any order of arrival and in whichever window they are read."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.mutating import variant
from tests.telemetry.plant import INTERFACE, NOW, PATHS, Plant, contract

from twinwright.clock import HOUR, SECOND, to_iso
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Lifetime, Selection
from twinwright.telemetry.criteria import criteria_of
from twinwright.twins.judged import Judged, Window
from twinwright.twins.quality import gravest
from twinwright.twins.registry import TwinRegistry

MUTANTS = Path(__file__).parent / "mutants"
LIVES = [Lifetime(1, "x", INTERFACE, None, NOW - 2 * HOUR), Lifetime(2, "x", INTERFACE, NOW - 2 * HOUR), Lifetime(3, "y", INTERFACE)]
JUDGED = {
    "max_rate": {"value": 3, "per": "min"},
    "stuck": "PT20M",
    "spike": {"window": 5, "threshold": 2, "least": 0.5},
    "gap": "PT30M",
}
OBSERVED = [
    {"path": "pressure", "field": "p", "unit": "kPa", **JUDGED},
    {"path": "mode", "field": "m", "stuck": "PT10M"},
    {"path": "starts", "field": "n", "sequence": {"wrap": 5}},
]
law = settings(
    derandomize=True, database=None, max_examples=15, deadline=None, report_multiple_bugs=False, phases=(Phase.explicit, Phase.generate)
)
minutes = st.integers(0, 60) | st.sampled_from([0, 200, 1_500, 50_000])  # before now: in the first window of neighbours, and far from it
readings = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from(["x", "y"]),
    minutes,
    st.sampled_from([1.0, 1.0, 2.0, 5.0, 90.0, "broken"]),
    st.sampled_from(["on", "off"]),
)
series = st.lists(readings, min_size=1, max_size=25, unique_by=lambda one: one[:3])
Sent = tuple[str, str, int, Any, str]


def made(name: str) -> Any:
    return contract(name, observations=OBSERVED, gap="PT2H")


@contextmanager
def plant() -> Iterator[Plant]:
    folder = Path(tempfile.mkdtemp(prefix="quality-"))
    one = Plant(folder / "store.duckdb", [made("a"), made("b")], LIVES)
    try:
        yield one
    finally:
        one.close()
        shutil.rmtree(folder)


def send(plant: Plant, sent: Sequence[Sent]) -> None:
    for source in dict.fromkeys(one[0] for one in sent):
        mine = [one for one in sent if one[0] == source]
        bodies = [{"id": twin, "ts": to_iso(NOW - ago * 60 * SECOND), "p": p, "m": m, "n": ago % 7} for _, twin, ago, p, m in mine]
        plant.send(*(json.dumps(body).encode() for body in bodies), to=source)


def judged(plant: Plant) -> Judged:
    return Judged(plant.store, TwinRegistry(LIVES, {INTERFACE: PATHS}), criteria_of(plant.contracts))


Marks = dict[tuple[int, str, int, str], str]


def marks(plant: Plant, path: str, start: int | None = None, end: int | None = None) -> Marks:
    """By (lifetime, path, time, source)."""
    judging = judged(plant)
    rows = judging.records(SYSTEM, Selection(paths=(path,), start=start, end=end))
    words = gravest(judging.marks(SYSTEM, rows, Window(start, end)))
    return {(row["twin"], path, row["time"], row["source"]): word for row, word in zip(rows.to_pylist(), words, strict=True)}


def everything(plant: Plant) -> Marks:
    return marks(plant, "pressure") | marks(plant, "mode") | marks(plant, "starts")


def check_any_order() -> None:
    """Shuffled, split and repeated, late readings and all: the same marks."""

    @law
    @given(series, st.randoms(use_true_random=False), st.integers(1, 5))
    def check(sent: list[Sent], rng: random.Random, parts: int) -> None:
        again = sent + [one for one in sent if rng.random() < 0.3]
        rng.shuffle(again)
        with plant() as one, plant() as other:
            send(one, sorted(sent, key=lambda each: -each[2]))
            for part in range(parts):
                send(other, again[part::parts])
            assert everything(one) == everything(other)

    check()


def check_late_readings() -> None:
    """A reading that comes late is judged, and so are its neighbours anew."""
    steady = [("a", "x", ago, 1.0, str(ago)) for ago in range(40, 0, -10)]
    with plant() as one:
        send(one, [*steady, ("a", "x", 0, 9.0, "0")])
        assert [everything(one)[2, "pressure", NOW - ago * 60 * SECOND, "a"] for ago in (20, 10, 0)] == ["stuck", "stuck", "spike"]
        send(one, [("a", "x", 25, 9.0, "25"), ("a", "x", 5, 9.0, "5"), ("a", "x", 2, 9.0, "2")])
        found = [everything(one)[2, "pressure", NOW - ago * 60 * SECOND, "a"] for ago in (30, 25, 20, 10, 5, 2, 0)]
        assert found == ["good", "spike", "good", "spike", "good", "good", "good"]


def check_windows() -> None:
    """Whichever window a record is read in, and alone: the mark that it has in the whole series."""

    @law
    @given(series, st.lists(st.tuples(minutes, minutes), min_size=1, max_size=5))
    def check(sent: list[Sent], windows: list[tuple[int, int]]) -> None:
        with plant() as one:
            send(one, sent)
            whole = everything(one)
            for pair in windows:
                start, end = (NOW - ago * 60 * SECOND for ago in (max(pair), min(pair)))
                inside = {key: word for key, word in whole.items() if start <= key[2] < end}
                assert marks(one, "pressure", start, end) | marks(one, "mode", start, end) | marks(one, "starts", start, end) == inside
            for cell in one.latest():
                word = judged(one).of_cells(SYSTEM, [cell], None).get((cell["twin"], cell["path"]), "good")
                assert cell["kind"] == 0 or word == whole[cell["twin"], cell["path"], cell["time"], cell["source"]]

    check()


CHECKS: dict[str, Callable[[], None]] = {"any order": check_any_order, "late readings": check_late_readings, "windows": check_windows}
CAUGHT_BY = {
    "quality_by_arrival": "any order",
    "quality_frozen_at_arrival": "late readings",
    "quality_without_neighbours": "windows",
    "quality_of_one_look": "windows",
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_law_holds_for(name: str) -> None:
    CHECKS[name]()


@pytest.mark.parametrize("name", CAUGHT_BY)
def test_the_broken_variant_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variant(MUTANTS / f"{name}.py").apply(monkeypatch)
    with pytest.raises(AssertionError):
        CHECKS[CAUGHT_BY[name]]()


def test_every_variant_has_a_check_that_catches_it() -> None:
    assert {path.stem for path in MUTANTS.glob("quality_*.py")} == set(CAUGHT_BY)
