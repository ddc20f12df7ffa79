"""The graph that is kept for queries is the one that would be read anew, after any writes, and is not read anew for them."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.platform.graph_plant import NOW, PUMP, opened, pump, send

from twinwright.clock import SECOND, ManualClock, to_iso
from twinwright.errors import TwinwrightError
from twinwright.governance.principals import SYSTEM
from twinwright.platform.local import LocalPlatform
from twinwright.twins.query import adjacency
from twinwright.twins.query.kept import Graphs
from twinwright.twins.query.source import GraphSource

TWINS = ("given", "other", "a", "b", "c")
SMALL = "dtmi:t:Small;1"
QUERY = "SELECT COUNT() FROM DIGITALTWINS"


@pytest.fixture(scope="module")
def plant() -> Iterator[tuple[LocalPlatform, ManualClock]]:
    clock = ManualClock(NOW)
    with tempfile.TemporaryDirectory() as folder:
        platform = opened(Path(folder), clock)
        speed = {"@type": "Property", "name": "p", "schema": "double"}
        small = {"@context": "dtmi:dtdl:context;3", "@id": SMALL, "@type": "Interface"}
        platform.add_interfaces([{**small, "contents": [speed, {"@type": "Relationship", "name": "near"}]}])
        platform.query(QUERY)
        yield platform, clock
        platform.close()


def _write(platform: LocalPlatform, clock: ManualClock, drawn: random.Random) -> None:
    """Something, or nothing where it is refused."""
    clock.advance(drawn.choice([1, SECOND]))
    twin, other = drawn.choice(TWINS), drawn.choice(TWINS)
    try:
        match drawn.randrange(10):
            case 0:
                platform.put_twin(twin, pump(mode=drawn.choice(["on", "off"]), count=drawn.randrange(3)))
            case 1:
                platform.put_twin(twin, {"$metadata": {"$model": SMALL}, "p": float(drawn.randrange(3))})
            case 2:
                model = drawn.choice([SMALL, PUMP])
                platform.patch_twin(twin, [{"op": "replace", "path": "/$metadata/$model", "value": model}])
            case 3 | 4:
                name, id = drawn.choice(["feeds", "near"]), drawn.choice(["e", "f", "g"])
                platform.put_relationship(twin, id, {"$targetId": other, "$relationshipName": name})
            case 5:
                platform.delete_relationship(twin, drawn.choice(["e", "f", "g", "r"]))
            case 6:
                send(platform, twin, clock.now() - drawn.choice([0, 0, 90 * SECOND]), float(drawn.randrange(3)))
            case 7:
                platform.update(f"SELECT T FROM DIGITALTWINS T WHERE T.$dtId = '{twin}'", delete=True, with_relationships=True)
            case 9:  # consumers of the log remember how far they are
                with platform.session.store.transaction(SYSTEM, drawn.choice(["sink", "webhook", "shadow", "simulated"])) as transaction:
                    transaction.move_positions("sinks/*", [(f"s{platform.session.store.last_commit(SYSTEM)}", 0, 1)])
            case 8:
                platform.patch_twin(twin, [{"op": "add", "path": "/p", "value": float(drawn.randrange(9))}])
    except TwinwrightError:
        pass


def _content(graphs: Graphs, as_of: int | None) -> dict[str, Any]:
    """All that a query can see of a graph, less how its relationships are numbered."""
    with graphs.read(SYSTEM, ["observed"], as_of, None) as (_, shape, reader):
        columns = {name: key for key, name in shape.columns.items()}
        cursor = reader.execute("SELECT * FROM twins ORDER BY n")
        names = [one[0] for one in cursor.description]
        twins = []
        for row in cursor.fetchall():
            held = {columns.get(name, name): value for name, value in zip(names, row, strict=True) if value is not None}
            twins.append(sorted(held.items(), key=str))
        sql = (
            "SELECT e, s, t, edge_names.id, edges.id, props, changed_at, commit, k"
            " FROM edges JOIN edge_names ON edge_names.name = edges.name"
        )
        edges = {row[0]: row[1:] for row in reader.execute(sql).fetchall()}
        numbers = [row[0] for row in reader.execute("SELECT n FROM twins").fetchall()]
        found = {}
        for direction in ("out", "in", "any"):
            for name, which in (("", None), *((name, {shape.names[name]}) for name in ("feeds", "near") if name in shape.names)):
                steps = [(number, *step[1:]) for number in numbers for step in _steps(shape, number, direction, which)]
                found[direction, name] = sorted((number, edges[int(e) + 1], int(end), int(key)) for number, e, end, key in steps)
        ids = reader.execute("SELECT i.id, i.n FROM ids i JOIN twins t ON t.n = i.n ORDER BY 1").fetchall()
        return {"twins": twins, "edges": sorted(edges.values()), "walks": found, "ids": ids, "count": shape.twins}


def _steps(shape: Any, number: int, direction: Any, names: Any) -> Iterator[tuple[Any, Any, Any]]:
    which, edges, ends = shape.adjacency.edges(np.array([number], np.int32), direction, names)
    return zip(which, edges, ends, shape.adjacency.keys_of(edges), strict=True)


def _differ(platform: LocalPlatform, as_of: int | None = None) -> bool:
    kept = platform.session.served.queries._graphs[None]
    assert kept is not None
    fresh = Graphs(platform.session.store, platform.session.state, kept.catalogue)
    try:
        return _content(kept, as_of) != _content(fresh, as_of)
    finally:
        fresh.close()


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate))
@given(st.integers(0, 2**32))
def test_what_is_kept_is_what_would_be_read(plant: Any, seed: int) -> None:
    platform, clock = plant
    drawn, then = random.Random(seed), clock.now()
    platform.query(QUERY)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(GraphSource, "load_graph", _no_load(GraphSource.load_graph, platform))
        for _ in range(4):
            for _ in range(drawn.choice([1, 4, 12])):
                _write(platform, clock, drawn)
            assert not _differ(platform)
            assert not _differ(platform, then)


def _no_load(load: Any, platform: LocalPlatform) -> Any:
    """Reading the kept graph anew is a failure; one made for comparison is read."""

    def loading(source: Any, principal: Any, projection: Any, **options: Any) -> Any:
        assert projection is not platform.session.served.queries._graphs[None]._present, "the graph was read anew"
        return load(source, principal, projection, **options)

    return loading


def _deaf(self: Any, twins: Any, edges: Any) -> bool:
    return True


def _never_gone(before: Any, gone: Any, *more: Any) -> Any:
    return _changed(before, gone[:0], *more)


_changed = adjacency.changed


@pytest.mark.parametrize(
    ("where", "broken"),
    [("twinwright.twins.query.projection.Projection.change", _deaf), ("twinwright.twins.query.projection.changed", _never_gone)],
)
def test_a_graph_that_is_not_kept_in_step_is_found_out(plant: Any, monkeypatch: pytest.MonkeyPatch, where: str, broken: Any) -> None:
    platform, _ = plant
    for name in ("x", "y"):
        platform.put_twin(name, pump())
    platform.put_relationship("x", "e", {"$targetId": "y", "$relationshipName": "feeds"})
    platform.query(QUERY)
    monkeypatch.setattr(where, broken)
    platform.put_relationship("x", "e", {"$targetId": "y", "$relationshipName": "feeds", "width": 2.0})
    try:
        found = _differ(platform)
    except KeyError:  # it walks along what is not there any more
        found = True
    assert found
    platform.session.served.queries.close()


def test_a_reader_sees_the_relationships_of_when_it_began(plant: Any) -> None:
    platform, _ = plant
    for name in ("x", "y"):
        platform.put_twin(name, pump())
    platform.put_relationship("x", "e", {"$targetId": "y", "$relationshipName": "feeds"})
    platform.query(QUERY)
    graphs = platform.session.served.queries._graphs[None]
    with graphs.read(SYSTEM, [], None, None) as (_, shape, reader):
        ((number,),) = reader.execute("SELECT n FROM ids WHERE id = 'x'").fetchall()
        platform.delete_relationship("x", "e")
        platform.query(QUERY)
        (step,) = _steps(shape, number, "out", None)
        assert reader.execute("SELECT id FROM edges WHERE e = ?", [int(step[1]) + 1]).fetchall() == [("e",)]
    with graphs.read(SYSTEM, [], None, None) as (_, shape, _reader):
        assert list(_steps(shape, number, "out", None)) == []


def test_what_is_in_memory_stays_while_consumers_of_the_log_go_on(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    platform, _ = plant
    platform.put_twin("a", pump(count=1))
    platform.state("a")
    platform.query(QUERY)
    monkeypatch.setattr(GraphSource, "load_graph", _no_load(GraphSource.load_graph, platform))
    monkeypatch.setattr(platform.session.state.api, "forget", lambda: pytest.fail("the values of clients are read anew"))
    for kind in ("sink", "webhook", "shadow", "simulated", "shadow-switch", "expire-history"):
        with platform.session.store.transaction(SYSTEM, kind) as transaction:
            transaction.move_positions("sinks/*", [(kind, 0, 1)])
        assert platform.state("a")["count"] == 1
        platform.query(QUERY)


def test_a_graph_of_the_past_is_kept_until_something_is_said_of_it(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    platform, clock = plant
    for name in ("past-a", "past-b"):
        platform.put_twin(name, pump(p=1.0))
    clock.advance(SECOND)
    then, loads = clock.now(), []
    load = GraphSource.load_graph
    monkeypatch.setattr(GraphSource, "load_graph", lambda *a, **k: loads.append(1) or load(*a, **k))
    text = f"SELECT T.p FROM DIGITALTWINS T WHERE T.$dtId = 'past-a' AS OF '{to_iso(then)}'"
    first = platform.query(text)["value"]
    clock.advance(SECOND)
    send(platform, "past-a", clock.now(), 77.0)
    platform.put_relationship("past-a", "late", {"$targetId": "past-b", "$relationshipName": "feeds"})
    assert (platform.query(text)["value"], len(loads)) == (first, 1)
    send(platform, "past-a", then, 78.0)
    assert (platform.query(text)["value"], len(loads)) == ([{"p": 78.0}], 2)
    monkeypatch.setattr(Graphs, "_is_as_it_was", lambda *_: True)
    send(platform, "past-a", then, 79.0)
    assert _differ(platform, then), "a graph that is kept for ever is found out"
    platform.session.served.queries.close()
