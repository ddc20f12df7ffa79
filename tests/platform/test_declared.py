"""What an apply declared of the graph: another writes only the parts that differ, and touches nothing that a client made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.acceptance.running import write
from tests.platform.graph_plant import FILES, NOW, PUMP, opened

from twinwright.clock import ManualClock
from twinwright.governance.principals import SYSTEM
from twinwright.platform import declared
from twinwright.platform.applied import ID, KIND
from twinwright.platform.declared import PART
from twinwright.platform.local import LocalPlatform
from twinwright.schema import PathInfo, Primitive
from twinwright.storage.protocol import VALUE_SCHEMA
from twinwright.twins.values import value_row, value_rows


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[LocalPlatform]:
    platform = opened(tmp_path / "plant", ManualClock(NOW))
    yield platform
    platform.close()


def _twins(mode: str = "auto", more: str = "", width: int = 1) -> str:
    text = FILES["twins.yaml"].replace("mode: auto", f"mode: {mode}").replace("width: 1", f"width: {width}")
    return text.replace("relationships:", f"{more}relationships:")


def _apply(platform: LocalPlatform, twins: str) -> tuple[list[tuple[str, str, str]], dict[str, dict[str, Any]]]:
    """What changed, and which parts of what is declared were written."""
    write(platform.session.folder, {"twins.yaml": twins})
    store = platform.session.store
    before, planned = store.last_commit(SYSTEM), platform.plan()["changes"]
    assert platform.apply()["changes"] == planned
    written = store.record_versions(SYSTEM, [PART], before, store.last_commit(SYSTEM))
    return [(one["kind"], one["id"], one["change"]) for one in planned], {one.id: one.body for one in written}


def test_one_changed_twin_writes_its_part_alone(plant: LocalPlatform) -> None:
    many = "".join(f"  - {{$dtId: n{number}, $metadata: {{$model: '{PUMP}'}}, count: {number}}}\n" for number in range(200))
    _, first = _apply(plant, _twins(more=many))
    assert len(first) > 50
    changes, written = _apply(plant, _twins(more=many.replace("count: 77}", "count: 1077}")))
    assert changes == [("value", "n77 count", "change")]
    assert [("n77" in part["twins"], len(part["twins"]) < 20) for part in written.values()] == [(True, True)]
    assert _apply(plant, _twins(more=many.replace("count: 77}", "count: 1077}"))) == ([], {})
    assert plant.state("n77")["count"] == 1077


def test_what_a_client_made_is_left_alone_until_the_folder_declares_it(plant: LocalPlatform) -> None:
    plant.put_twin("theirs", {"$metadata": {"$model": PUMP}, "count": 3})
    assert _apply(plant, _twins("manual")) == (
        [("value", "given mode", "change")],
        {part: {**body} for part, body in _part_of(plant, "given")},
    )
    assert plant.state("theirs")["count"] == 3
    changes, _ = _apply(plant, _twins("manual", f"  - {{$dtId: theirs, $metadata: {{$model: '{PUMP}'}}}}\n"))
    assert changes == [("twin", "theirs", "declare")]
    assert [(one["kind"], one["change"], one["effect"]) for one in _planned(plant, _twins("manual"))] == [("twin", "remove", "breaking")]


def _part_of(platform: LocalPlatform, twin: str) -> list[tuple[str, dict[str, Any]]]:
    return [(one.id, one.body) for one in platform.session.store.records(SYSTEM, PART) if twin in one.body["twins"]]


def _planned(platform: LocalPlatform, twins: str) -> list[dict[str, Any]]:
    write(platform.session.folder, {"twins.yaml": twins})
    return list(platform.plan()["changes"])


@pytest.mark.parametrize("listed", [True, False])
def test_a_store_of_before_there_were_parts_goes_on(plant: LocalPlatform, monkeypatch: pytest.MonkeyPatch, *, listed: bool) -> None:
    """`listed`: as of when others could make twins."""
    store = plant.session.store
    body = dict(store.get_record(SYSTEM, KIND, ID).body)
    for one in store.records(SYSTEM, PART):
        store.put_record(SYSTEM, PART, one.id, {"twins": {}, "edges": []})
    body |= {"declared": {"given": {"mode": "auto"}}}
    if listed:
        body |= {"twins": ["given", "other"], "relationships": [["given", "r", "feeds", "other", {"width": 1}]]}
    store.put_record(SYSTEM, KIND, ID, body)
    assert _planned(plant, _twins()) == []
    assert [one["effect"] for one in _planned(plant, _twins(width=2))] == ["breaking"]
    changes, written = _apply(plant, _twins("manual"))
    assert changes == [("value", "given mode", "change")]
    assert {twin for part in written.values() for twin in part["twins"]} == {"given", "other"}
    assert _planned(plant, _twins("manual")) == []


VALUES = st.tuples(
    st.integers(1, 50),
    st.sampled_from(
        [("p", "double", "kPa"), ("n", "long", None), ("m", "string", None), ("open", "boolean", None), ("d", "decimal", None)]
    ),
    st.integers(0, 10**15),
    st.integers(-9, 9),
)


@given(st.lists(VALUES, max_size=12))
@settings(max_examples=60)
def test_values_in_columns_are_those_of_single_writes(some: list[tuple[int, tuple[str, str, str | None], int, int]]) -> None:
    made: dict[str, Any] = {"double": float, "long": int, "string": str, "boolean": bool, "decimal": lambda n: str(n) if n % 2 else n}
    infos = {path: PathInfo(path, "property", Primitive(name), unit, None, True) for _, (path, name, unit), *_ in some}
    given = [(number, infos[path], at, made[name](n)) for number, (path, name, _), at, n in some]
    rows = [value_row(number, info, value, time=at, correction=7) for number, info, at, value in given]
    told = value_rows(given, 7)
    assert told.schema == VALUE_SCHEMA
    assert told["twin"].to_pylist() == sorted(one["twin"] for one in rows)
    assert sorted(map(repr, told.to_pylist())) == sorted(repr({name: row[name] for name in VALUE_SCHEMA.names}) for row in rows)


def test_parts_are_of_all_that_is_declared(plant: LocalPlatform) -> None:
    found = declared.read_declared(plant.session.store, SYSTEM)
    assert dict(found.twins) == {"given": {"mode": "auto"}, "other": {}}
    assert list(found.edges.values()) == [["given", "r", "feeds", "other", {"width": 1}]]
    assert found.changed(plant.session.workspace.graph) == {}
