"""`import adt` and `import csv`: what is in files is in the graph, or nothing of it, with every problem at its line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.acceptance.running import write
from tests.platform.graph_plant import NOW

from twinwright.clock import ManualClock
from twinwright.errors import InvalidTwinError, StoreError, UsageError
from twinwright.platform import graph_files, importing
from twinwright.platform.local import LocalPlatform
from twinwright.platform.session import Session
from twinwright.twins.graph import fitting
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.forms import Forms

TANK, MOTOR = "dtmi:i:Tank;1", "dtmi:i:Motor;1"


def _interface(id: str, *contents: dict[str, Any]) -> dict[str, Any]:
    context = ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"]
    return {"@context": context, "@id": id, "@type": "Interface", "contents": list(contents)}


_MAP = {"@type": "Map", "mapKey": {"name": "k", "schema": "string"}, "mapValue": {"name": "v", "schema": "double"}}
_WIDTH = {"@type": "Property", "name": "width", "schema": "double"}
MODELS = [
    _interface(MOTOR, {"@type": "Property", "name": "speed", "schema": "double"}),
    _interface(
        TANK,
        {"@type": ["Property", "Pressure"], "name": "pressure", "schema": "double", "unit": "kilopascal"},
        {"@type": "Property", "name": "count", "schema": "integer"},
        {"@type": "Property", "name": "open", "schema": "boolean"},
        {"@type": "Property", "name": "place", "schema": _MAP},
        {"@type": "Component", "name": "motor", "schema": MOTOR},
        {"@type": "Relationship", "name": "feeds", "maxMultiplicity": 2, "properties": [_WIDTH]},
    ),
]


def _tank(id: str, **values: Any) -> dict[str, Any]:
    return {"$dtId": id, "$etag": 'W/"1"', "$metadata": {"$model": TANK}, "motor": {"$metadata": {}}, **values}


def _edge(source: str, target: str, **values: Any) -> dict[str, Any]:
    return {"$relationshipId": target, "$sourceId": source, "$targetId": target, "$relationshipName": "feeds", **values}


TWINS = [_tank("a", pressure=3.0, motor={"$metadata": {}, "speed": 2.0}), _tank("b", count=2, place={"x": 1.5})]
EDGES = [_edge("a", "b", width=0.5)]


def _sections(models: list[Any], twins: list[Any], edges: list[Any]) -> str:
    header = [{"Section": "Header"}, {"fileVersion": "1.0.0", "author": "a", "organization": "o"}]
    parts = [*header, {"Section": "Models"}, *models, {"Section": "Twins"}, *twins, {"Section": "Relationships"}, *edges]
    return "\n".join(one if isinstance(one, str) else json.dumps(one) for one in parts)


def _explorer(models: list[Any], twins: list[Any], edges: list[Any]) -> str:
    graph = {"digitalTwins": twins, "relationships": edges}
    return json.dumps({"digitalTwinsFileInfo": {"fileVersion": "1.0.0"}, "digitalTwinsGraph": graph, "digitalTwinsModels": models})


@pytest.fixture
def open_it(tmp_path: Path) -> Iterator[Callable[[str], LocalPlatform]]:
    opened: list[LocalPlatform] = []

    def open_it(name: str) -> LocalPlatform:
        write(tmp_path, {f"{name}/twinwright.toml": ""})
        opened.append(LocalPlatform(Session(tmp_path / name, ManualClock(NOW))))
        return opened[-1]

    yield open_it
    for one in opened:
        one.close()


def _shown(platform: LocalPlatform) -> tuple[Any, Any]:
    def plain(value: Any) -> Any:
        return {k: plain(v) for k, v in value.items() if k not in ("$etag", "$metadata")} if isinstance(value, dict) else value

    return [plain(one) for one in platform.state()["value"]], [plain(one) for one in platform.relationships()]


def test_every_form_gives_the_same_graph_and_again_changes_nothing(open_it: Callable[[str], LocalPlatform], tmp_path: Path) -> None:
    write(tmp_path, {"plant.ndjson": _sections(MODELS, TWINS, EDGES), "explorer.json": _explorer(MODELS, TWINS, EDGES)})
    write(tmp_path, {"apart.ndjson": _sections([], TWINS, EDGES), "ontology/one.json": json.dumps(MODELS[0])})
    write(tmp_path, {"ontology/inner/other.json": json.dumps(MODELS[1:])})
    shown = []
    for name, files in {"n": ["plant.ndjson"], "e": ["explorer.json"], "o": ["apart.ndjson", "ontology"]}.items():
        platform, paths = open_it(name), [str(tmp_path / file) for file in files]
        tried = platform.import_graph(paths, dry_run=True)
        assert (tried["models"], tried["twins"], tried["relationships"], tried["refused"]) == (2, 2, 1, 0)
        assert platform.session.store.last_commit(platform.principal) == 0
        done = platform.import_graph(paths)
        assert {k: done[k] for k in ("models", "twins", "relationships")} == {k: tried[k] for k in ("models", "twins", "relationships")}
        shown.append(_shown(platform))
        again = platform.import_graph(paths)
        assert (again["unchanged"], again["commits"]) == (5, 0)
    assert shown[0] == shown[1] == shown[2]
    assert shown[0][0][0] == {"$dtId": "a", "pressure": 3.0, "motor": {"speed": 2.0}}


def test_all_problems_are_told_with_their_lines_and_nothing_is_written(open_it: Callable[[str], LocalPlatform], tmp_path: Path) -> None:
    platform = open_it("p")
    twins = [_tank("a"), _tank("b", presure=3), "{cut", _tank("c", count=1.5), {"$dtId": "d"}]
    edges = [_edge("a", "gone"), _edge("nobody", "a"), _edge("a", "a"), {**_edge("a", "b"), "$relationshipName": "feed"}]
    file = tmp_path / "plant.ndjson"
    write(tmp_path, {file.name: _sections(MODELS, twins, edges)})
    with pytest.raises(InvalidTwinError) as caught:
        platform.import_graph([str(file)])
    told = {one.line: str(one) for one in caught.value.problems}
    assert sorted(told) == [8, 9, 10, 11, 13, 14, 15, 16]
    assert "Did you mean 'pressure'?" in told[8] and "feeds" in told[16]
    assert all(one.file == str(file) and one.remedy for one in caught.value.problems)
    assert platform.session.store.last_commit(platform.principal) == 0
    assert platform.import_graph([str(file)], dry_run=True)["refused"] == 8
    for text, said in (("[1]", "nothing that can be imported"), ('{"Section": "Twinz"}', "no section"), ("{", "not JSON")):
        write(tmp_path, {file.name: text})
        with pytest.raises(InvalidTwinError, match=said):
            platform.import_graph([str(file)])
    with pytest.raises(UsageError, match="no such file"):
        platform.import_graph([str(tmp_path / "nothing")])


def test_an_import_that_was_cut_short_is_given_again(
    open_it: Callable[[str], LocalPlatform], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "PIECE", 2)
    platform = open_it("p")
    write(tmp_path, {"plant.ndjson": _sections(MODELS, [_tank(f"t{n}", count=n) for n in range(7)], [_edge("t0", "t1")])})
    submit, pieces = platform.session.graph.submit, []

    def stopping(principal: Any, doing: Any) -> Any:
        pieces.append(doing)
        if len(pieces) == 4:  # the interfaces are the first
            raise StoreError("the disk is gone")
        return submit(principal, doing)

    with monkeypatch.context() as patched, pytest.raises(StoreError):
        patched.setattr(platform.session.graph, "submit", stopping)
        platform.import_graph([str(tmp_path / "plant.ndjson")])
    done = platform.import_graph([str(tmp_path / "plant.ndjson")])
    assert (done["twins"], done["relationships"], done["unchanged"]) == (3, 1, 4 + len(MODELS))


def test_a_table_is_read_in_the_units_of_its_header(open_it: Callable[[str], LocalPlatform], tmp_path: Path) -> None:
    platform = open_it("p")
    platform.add_interfaces(MODELS)
    table = 'name,Line pressure,count,open,place,motor/speed,feeds,note\nx,3,2,yes,"{""k"": 1}",5,y; z,n\ny,,,,,,,\nz,0.5,1,false,,,x,\n'
    write(tmp_path, {"t.csv": "\ufeff" + table})
    asked: dict[str, Any] = {"id": "name", "map": {"Line pressure": "pressure [bar]", "note": ""}}
    done = platform.import_table([str(tmp_path / "t.csv")], TANK, **asked)
    assert (done["twins"], done["relationships"], done["commits"]) == (3, 3, 1)
    twins, edges = _shown(platform)
    assert twins[0] == {"$dtId": "x", "pressure": 300.0, "count": 2, "open": True, "place": {"k": 1}, "motor": {"speed": 5.0}}
    assert [(one["$sourceId"], one["$targetId"]) for one in edges] == [("x", "y"), ("x", "z"), ("z", "x")]
    assert platform.import_table([str(tmp_path / "t.csv")], TANK, **asked)["unchanged"] == 6


def test_every_problem_of_a_table_is_told_at_once(open_it: Callable[[str], LocalPlatform], tmp_path: Path) -> None:
    platform = open_it("p")
    platform.add_interfaces(MODELS)
    rows = "id,count,open,feeds\na,1.5,maybe,b\na,1,,\n,1,,\nc,1\nd,1,,x;y;z\n"
    write(tmp_path, {"t.csv": rows, "h.csv": "nmae,presure,pressure [degC]\n"})
    with pytest.raises(InvalidTwinError) as caught:
        platform.import_table([str(tmp_path / "t.csv")], TANK, id="id")
    places = {(one.line, one.path) for one in caught.value.problems}
    assert places >= {(2, "count"), (2, "open"), (3, "id"), (4, "id")} and {line for line, _ in places} == {2, 3, 4, 5, 6}
    with pytest.raises(InvalidTwinError) as caught:
        platform.import_table([str(tmp_path / "h.csv")], TANK, map={"gone": "count"})
    assert len(caught.value.problems) == 5 and all(one.remedy and one.line == 1 for one in caught.value.problems)
    assert platform.state()["value"] == []
    with pytest.raises(UsageError, match="no interface"):
        platform.import_table([str(tmp_path / "t.csv")], "dtmi:i:Tnak;1")


def test_an_ontology_is_taken_in_whole(open_it: Callable[[str], LocalPlatform], tmp_path: Path, real_estate_core: list[Any]) -> None:
    platform = open_it("p")
    room, level = "dtmi:digitaltwins:rec_3_3:core:Room;1", "dtmi:digitaltwins:rec_3_3:core:Level;1"
    parts = {name: {"$metadata": {}} for name in ("capacity", "occupancy", "temperature", "humidity", "CO2", "area")}
    twins = [{"$dtId": id, "$metadata": {"$model": model}, **parts} for id, model in (("room", room), ("level", level))]
    edge = {"$relationshipId": "e", "$sourceId": "room", "$targetId": "level", "$relationshipName": "isPartOf"}
    write(tmp_path, {"plant.ndjson": _sections(real_estate_core, twins, [edge])})
    done = platform.import_graph([str(tmp_path / "plant.ndjson")])
    assert (done["models"], done["twins"], done["relationships"]) == (len(real_estate_core), 2, 1)
    assert platform.query("SELECT R FROM DIGITALTWINS R JOIN L RELATED R.isPartOf")["value"][0]["R"]["$dtId"] == "room"


# --- in columns as one by one ----------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "there", "gone", "x\u0007", "", "n" * 129, 5])
ODD = st.sampled_from([1, 1.5, -0.0, True, None, "t", "\ud800", 10**400, [1], {"x": 1.0}, {"x": "y"}, {}])
BITS = st.fixed_dictionaries({}, optional={"pressure": ODD, "count": ODD, "open": ODD, "place": ODD, "unknown": ODD, "$etag": ODD})
TIMED = {"count": {"sourceTime": "2026-01-01T00:00:00Z"}}
NOTES = st.sampled_from([{}, {}, {}, {"count": {}}, TIMED, {"count": 1}, {"$model": "dtmi:i:No;1"}])
MOTORS = st.sampled_from([{"$metadata": {}}, {"$metadata": {}}, {"$metadata": {}, "speed": 1}, {"speed": 1}, {"$metadata": {}, "x": 1}, 7])


@st.composite
def twin(draw: st.DrawFn) -> dict[str, Any]:
    return {"$dtId": draw(NAMES), "$metadata": {"$model": TANK, **draw(NOTES)}, "motor": draw(MOTORS), **draw(BITS)}


@st.composite
def edge(draw: st.DrawFn) -> dict[str, Any]:
    named = {"$relationshipId": draw(st.sampled_from("12345")), "$sourceId": draw(NAMES), "$targetId": draw(NAMES)}
    named["$relationshipName"] = draw(st.sampled_from(["feeds", "feeds", "feeds", "fed"]))
    return named | draw(st.fixed_dictionaries({}, optional={"width": ODD, "unknown": ODD, "$etag": ODD}))


LINES = st.one_of(st.just("{cut"), st.just('{"$dtId": "a"}{"$dtId": "b"}'), st.just("[1]"))


class _OneByOne(Forms):
    """Reads nothing in columns."""

    def twins(self, lines: Any, numbers: Any) -> Any:
        return [], list(range(len(lines)))

    edges = twins


def _told(platform: LocalPlatform, file: Path, patched: pytest.MonkeyPatch, kind: type[Forms]) -> Any:
    patched.setattr(graph_files, "Forms", kind)
    tried = platform.import_graph([str(file)], dry_run=True)
    return {**tried, "problems": sorted(map(str, tried["problems"]))}


@pytest.fixture
def filled(open_it: Callable[[str], LocalPlatform]) -> LocalPlatform:
    platform = open_it("p")
    platform.add_interfaces(MODELS)
    platform.put_twin("there", _tank("there", pressure=1.0))
    platform.put_twin("gone", _tank("gone"))
    platform.put_relationship("there", "1", {"$targetId": "gone", "$relationshipName": "feeds"})
    platform.delete_relationship("there", "1")
    platform.put_relationship("there", "2", {"$targetId": "gone", "$relationshipName": "feeds"})
    platform.delete_relationship("there", "2")
    platform.delete_twin("gone")
    return platform


def test_columns_say_what_one_by_one_says(filled: LocalPlatform, tmp_path: Path) -> None:
    file = tmp_path / "drawn.ndjson"

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(st.one_of(twin(), twin(), LINES), max_size=8), st.lists(st.one_of(edge(), edge(), LINES), max_size=12), st.integers(1, 9)
    )
    def check(twins: list[Any], edges: list[Any], piece: int) -> None:
        write(tmp_path, {file.name: _sections([], twins, edges)})
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(importing, "PIECE", piece)
            assert _told(filled, file, patched, Forms) == _told(filled, file, patched, _OneByOne)

    check()


TWICE = [_tank("t0", count=9), _tank("there", count=3), _tank("t9", count=1), _tank("t9", count=2), _tank("t1", place={"x": 1})]
MANY = [*(_tank(f"t{n}", count=n, pressure=n / 3, open=n % 2 == 0, motor={"$metadata": {}, "speed": n}) for n in range(6)), *TWICE]
LED = [*(_edge(f"t{n}", f"t{(n + 1) % 6}", width=n) for n in range(6)), _edge("t0", "t2"), _edge("t0", "t1", width=7), _edge("there", "t9")]


def test_what_is_written_in_columns_is_what_is_written_one_by_one(
    open_it: Callable[[str], LocalPlatform], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"first.ndjson": _sections(MODELS, [_tank("there", count=1)], []), "plant.ndjson": _sections([], MANY, LED)})
    shown = []
    for name, kind, piece in (("fast", Forms, 100), ("cut", Forms, 3), ("slow", _OneByOne, 100)):
        monkeypatch.setattr(graph_files, "Forms", kind)
        monkeypatch.setattr(importing, "PIECE", piece)
        platform = open_it(name)
        platform.import_graph([str(tmp_path / "first.ndjson")])
        done = platform.import_graph([str(tmp_path / "plant.ndjson")])
        kept = {k: done[k] for k in ("twins", "relationships", "unchanged", "refused")}
        again = platform.import_graph([str(tmp_path / "first.ndjson"), str(tmp_path / "plant.ndjson")], dry_run=True)
        edges = [platform.incoming_relationships(f"t{n}") for n in range(3)]
        single = [platform.state(id, facts=True) for id in ("t0", "t1", "t9", "there")]
        asked = platform.query("SELECT COUNT() AS n FROM DIGITALTWINS T WHERE T.count > 1")["value"]
        shown.append((_shown(platform), kept, again["unchanged"], len(edges[0]), single, asked))
    assert shown[0] == shown[1] == shown[2]


def _unbounded(draft: Any, sources: Any, of: Any, name: str, most: int) -> Any:
    return of


def _always_fresh(self: Any, sources: Any, keys: Any) -> list[bool]:
    return [True] * len(sources)


@pytest.mark.parametrize(
    ("where", "name", "broken"),
    [
        (fitting, "_within", _unbounded),
        (Draft, "fresh", _always_fresh),
        (Draft, "never_was", lambda self, twin: True),
        (fitting, "_sound", lambda ids: [True] * len(ids)),
        (fitting, "_sound_properties", lambda properties, declared, ontology: True),
    ],
)
def test_columns_that_look_away_are_caught(
    filled: LocalPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, broken: Any
) -> None:
    twins = [_tank("a"), _tank("b"), _tank("c"), _tank("there", pressure=1.0), _tank("d" * 129)]
    edges = [_edge("a", "b"), _edge("a", "c"), _edge("a", "there"), _edge("b", "a", width="x"), _edge("c", "a"), _edge("a", "b")]
    write(tmp_path, {"plant.ndjson": _sections([], twins, edges)})
    monkeypatch.setattr(importing, "PIECE", 3)
    sound = _told(filled, tmp_path / "plant.ndjson", monkeypatch, _OneByOne)
    assert _told(filled, tmp_path / "plant.ndjson", monkeypatch, Forms) == sound
    monkeypatch.setattr(where, name, broken)
    assert _told(filled, tmp_path / "plant.ndjson", monkeypatch, Forms) != sound
