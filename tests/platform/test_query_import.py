"""`import query`: twins and relationships of rows by a template, all or none of them, each once however often it is interrupted."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from twinwright.errors import InvalidTwinError, QueryError, StoreError, TooLargeError, TwinwrightError, UsageError
from twinwright.platform import query_import
from twinwright.platform.local import LocalPlatform
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.templates import UnfilledError, template_of

ROOM, SENSOR, GAUGE = "dtmi:i:Room;1", "dtmi:i:Sensor;1", "dtmi:i:Gauge;1"
CONTEXT = ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"]


def _interface(id: str, *contents: dict[str, Any]) -> dict[str, Any]:
    return {"@context": CONTEXT, "@id": id, "@type": "Interface", "contents": list(contents)}


def _property(name: str, schema: str, **more: Any) -> dict[str, Any]:
    return {"@type": "Property", "name": name, "schema": schema, **more}


def _length(name: str, unit: str) -> dict[str, Any]:
    return {**_property(name, "double"), "@type": ["Property", "Length"], "unit": unit}


_SIZE = {
    "@type": "Object",
    "fields": [
        {"@type": ["Field", "Length"], "name": "bore", "schema": "double", "unit": "micrometre"},
        {"@type": ["Field", "Length"], "name": "far", "schema": "double", "unit": "centimetre"},
    ],
}
HEAD = _interface("dtmi:i:Head;1", _property("serial", "string"), _length("bore", "millimetre"))
SCHEMA = [
    _interface(
        ROOM,
        _property("floor", "integer"),
        _property("label", "string"),
        _length("lift", "metre"),
        {"@type": "Relationship", "name": "has", "properties": [_property("since", "integer")]},
    ),
    HEAD,
    _interface(
        SENSOR,
        {**_property("range", "double"), "@type": ["Property", "Pressure"], "unit": "kilopascal"},
        _property("label", "string"),
        _property("on", "boolean"),
        {"@type": "Component", "name": "head", "schema": "dtmi:i:Head;1"},
    ),
    _interface(
        GAUGE,
        {**_property("span", "double"), "@type": ["Property", "Pressure"], "unit": "bar"},
        _length("lift", "centimetre"),
        {"@type": "Property", "name": "size", "schema": _SIZE},
        {"@type": "Relationship", "name": "reads", "target": SENSOR, "properties": [_length("distance", "metre")]},
    ),
]
ROOMS = "SELECT R.$dtId AS room, R.floor AS floor, R.label AS label FROM DIGITALTWINS R WHERE IS_OF_MODEL(R, 'dtmi:i:Room;1')"
TWIN = {"$dtId": "co2-{room}", "$metadata": {"$model": SENSOR}, "range": "2 bar", "label": "{label}", "head": {"serial": "S{floor}"}}
EDGE = {"$relationshipId": "has-{room}", "$sourceId": "{room}", "$targetId": "co2-{room}", "$relationshipName": "has", "since": "{floor}"}
TEMPLATE = {"twins": [TWIN], "relationships": [EDGE]}


def _rooms(platform: LocalPlatform, count: int) -> None:
    for number in range(count):
        label = {} if number % 3 == 2 else {"label": f"room {number}"}
        platform.put_twin(f"r{number}", {"$metadata": {"$model": ROOM}, "floor": number % 4, **label})


def _graph(platform: LocalPlatform) -> tuple[dict[str, Any], dict[tuple[str, str], Any]]:
    """What there is, without when it came."""
    twins = {one["$dtId"]: _plain(one) for one in platform.state()["value"]}
    edges = {(one["$sourceId"], one["$relationshipId"]): {**one, "$etag": 0} for one in platform.relationships()}
    return twins, edges


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    held = {name: _plain(value) if isinstance(value, dict) else value for name, value in document.items() if name[0] != "$"}
    return held | {"$model": document["$metadata"]["$model"]} if "$model" in document.get("$metadata", {}) else held


def _counts(answer: dict[str, Any]) -> dict[str, Any]:
    names = ("twins_created", "twins_changed", "relationships_created", "relationships_changed")
    return {name: answer[name] for name in ("rows", "unmatched", *names, "unchanged", "refused")}


def test_a_dry_run_says_what_an_import_then_does_and_writes_nothing(open_it: Callable[[], LocalPlatform]) -> None:
    platform = open_it()
    _rooms(platform, 6)
    before, last = _graph(platform), platform.session.store.last_commit(platform.principal)
    query = ROOMS + " AND R.floor = 1"
    tried = platform.import_query(query, template=TEMPLATE, dry_run=True)
    assert (_graph(platform), platform.session.store.last_commit(platform.principal)) == (before, last)
    assert [(one["kind"], one["id"], one["change"]) for one in tried["preview"]] == [
        ("twin", "co2-r1", "created"),
        ("twin", "co2-r5", "created"),
        ("relationship", "has-r1", "created"),
        ("relationship", "has-r5", "created"),
    ]
    assert tried["preview"][0]["properties"]["range"] == {"after": 200.0}
    done = platform.import_query(query, template=TEMPLATE)
    assert _counts(done) == _counts(tried) and (done["commits"], done["token"]) == (1, last + 1)
    twins, edges = _graph(platform)
    made = {"range": 200.0, "head": {"serial": "S1"}, "$model": SENSOR}
    assert twins == before[0] | {"co2-r1": {**made, "label": "room 1"}, "co2-r5": made}
    assert {key: edge["since"] for key, edge in edges.items()} == {("r1", "has-r1"): 1, ("r5", "has-r5"): 1}
    record = platform.session.store.get_record(platform.principal, query_import.RECORDS.whole, done["id"])
    assert record.commit == done["first_commit"] and (record.body["query"], record.body["template"]) == (query, TEMPLATE)
    again = platform.import_query(query, template=TEMPLATE)
    assert (again["unchanged"], again["twins_changed"], again["relationships_changed"]) == (4, 0, 0)


def test_numbers_of_a_query_keep_their_unit(open_it: Callable[[], LocalPlatform]) -> None:
    platform = open_it()
    platform.put_twin("first", {"$metadata": {"$model": SENSOR}, "range": 300.0, "head": {"$metadata": {}}})
    query = "SELECT MAX(S.range) IN UNIT 'bar' AS r, MAX(S.range) AS own, COUNT() AS n FROM DIGITALTWINS S"
    twin = {"$dtId": "copy-{r}-{n}", "$metadata": {"$model": SENSOR}, "range": "{r}", "label": "{own}", "head": {"serial": "{r} bar"}}
    platform.import_query(query, template={"twins": [twin]})
    copy = platform.state("copy-3-1")
    assert (copy["range"], copy["label"], copy["head"]["serial"]) == (300.0, "300", "3 bar")
    room = {"$dtId": "room-{n}", "$metadata": {"$model": ROOM}, "floor": "{r}"}  # which has no unit
    platform.import_query(query, template={"twins": [room]})
    assert platform.state("room-2")["floor"] == 3


def test_numbers_within_whole_twins_and_relationships_keep_their_unit(open_it: Callable[[], LocalPlatform]) -> None:
    platform = open_it()
    platform.put_twin("first", {"$metadata": {"$model": SENSOR}, "range": 300.0, "head": {"$metadata": {}, "bore": 2.0}})
    platform.put_twin("gauge", {"$metadata": {"$model": GAUGE}, "span": 4.0})
    edge = {"$targetId": "first", "$relationshipName": "reads", "distance": 5.0}
    platform.put_relationship("gauge", "e", edge)
    select = "SELECT S, S.head, R FROM DIGITALTWINS G JOIN S RELATED G.reads R WHERE G.$dtId = 'gauge'"
    twin = {"$dtId": "copy", "$metadata": {"$model": GAUGE}, "span": "{S.range}", "size": {"bore": "{head.bore}", "far": "{R.distance}"}}
    platform.import_query(select, template={"twins": [twin]})
    copy = platform.state("copy")
    assert (copy["span"], copy["size"]) == (3.0, {"bore": 2000.0, "far": 500.0})  # of 300 kPa in bar, 2 mm in um, 5 m in cm
    whole = {"$dtId": "again", "$metadata": {"$model": GAUGE}, "size": "{size}", "span": "{span}"}
    platform.import_query("SELECT * FROM DIGITALTWINS WHERE $dtId = 'copy'", template={"twins": [whole]})
    again = platform.state("again")
    assert (again["span"], again["size"]) == (copy["span"], copy["size"])
    back = {"$relationshipId": "f", "$sourceId": "copy", "$targetId": "first", "$relationshipName": "reads", "distance": "{S.head.bore}"}
    platform.import_query(select, template={"relationships": [back]})
    assert platform.relationships("copy")[0]["distance"] == 0.002
    with pytest.raises(QueryError, match=r"several units.*IN UNIT"):  # metres of rooms, centimetres of gauges
        platform.import_query("SELECT T.lift AS r FROM DIGITALTWINS T", template={"twins": [{**whole, "$dtId": "x-{r}"}]})


def test_an_import_is_the_puts_of_each_or_nothing(open_it: Callable[[], LocalPlatform]) -> None:
    """Drawn templates, next to what putting and patching by hand would give."""
    platform = open_it()
    _rooms(platform, 5)
    drawn = random.Random(3)
    made = refused = changed = 0
    for _ in range(40):
        id = drawn.choice(["a-{room}", "b-{floor}", "{room}", "a-{label}"])
        own = drawn.choice(
            [{"label": "{label}"}, {"label": "x{floor}"}, {"on": "true"}, {"on": True}, {"range": "{floor}"}, {"wrong": 1}, {}]
        )
        query = ROOMS + drawn.choice(["", " AND R.floor = 1", " AND IS_DEFINED(R.label)"])
        before, rows = _graph(platform), platform.query(query)["value"]
        expected = _by_hand(before[0], id, own, rows)
        template = {"twins": [{"$dtId": id, "$metadata": {"$model": SENSOR}, **own}]}
        tried = platform.import_query(query, template=template, dry_run=True)
        try:
            done = platform.import_query(query, template=template)
        except InvalidTwinError as error:
            assert expected is None and tried["refused"] and all(one.remedy for one in error.problems)
            assert _graph(platform) == before
            refused += 1
            continue
        assert _graph(platform)[0] == expected and _counts(done) == _counts(tried)
        made, changed = made + done["twins_created"], changed + done["twins_changed"]
    assert made > 3 and changed > 3 and refused > 3


def _by_hand(held: dict[str, Any], id: str, own: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The twins after all rows; None where any of it can't be."""
    said: dict[str, dict[str, Any]] = {}
    for row in rows:
        if ("{label}" in id and "label" not in row) or "wrong" in own:
            return None
        named, values = id.format(**row), {}
        for name, given in own.items():
            if given != "{label}" or "label" in row:
                text = given.format(**row) if isinstance(given, str) else given
                values[name] = {"on": lambda _: True, "range": float, "label": str}[name](text)
        if held.get(named, {"$model": SENSOR})["$model"] != SENSOR or said.setdefault(named, values) != values:
            return None
    return held | {named: {"head": {}, "$model": SENSOR, **held.get(named, {}), **values} for named, values in said.items()}


def test_rows_of_a_table_are_joined_with_those_of_the_query(open_it: Callable[[], LocalPlatform]) -> None:
    platform = open_it()
    _rooms(platform, 4)
    table = [{"floor": "1", "bar": "1.5"}, {"floor": "1", "bar": ""}, {"floor": "3", "bar": "2"}, {"floor": "9", "bar": "3"}]
    table = [{**row, "n": number} for number, row in enumerate(table)]
    template = {"twins": [{"$dtId": "{room}-{n}", "$metadata": {"$model": SENSOR}, "range": "{bar} bar", "label": "{n}"}]}
    with pytest.raises(InvalidTwinError, match="row 2 has no value in 'bar'"):
        platform.import_query(ROOMS, template=template, rows=table, on=["floor"])
    template["twins"][0]["range"] = "{bar}"
    done = platform.import_query(ROOMS, template=template, rows=table, on=["floor"])
    assert (done["rows"], done["unmatched"], done["twins_created"]) == (3, 1, 3)
    twins = _graph(platform)[0]
    held = {id: (one.get("range"), one["label"]) for id, one in twins.items() if "-" in id}
    assert held == {"r1-0": (1.5, "0"), "r1-1": (None, "1"), "r3-2": (2.0, "2")}
    alone = platform.import_query(template={"twins": [{"$dtId": "t{n}", "$metadata": {"$model": SENSOR}}]}, rows=table)
    assert alone["twins_created"] == 4


def test_what_is_there_is_given_what_the_template_says_of_it(open_it: Callable[[], LocalPlatform]) -> None:
    platform = open_it()
    _rooms(platform, 2)
    platform.import_query(ROOMS, template=TEMPLATE)
    platform.patch_twin("co2-r0", [{"op": "add", "path": "/on", "value": True}])
    changed = {"twins": [{**TWIN, "range": "3 bar"}], "relationships": [{**EDGE, "since": 7}]}
    done = platform.import_query(ROOMS + " AND R.$dtId = 'r0'", template=changed)
    assert (done["twins_changed"], done["relationships_changed"], done["unchanged"]) == (1, 1, 0)
    twins, edges = _graph(platform)
    assert (twins["co2-r0"]["range"], twins["co2-r0"]["on"], twins["co2-r1"]["range"]) == (300.0, True, 200.0)
    assert [edge["since"] for edge in edges.values()] == [7, 1]
    elsewhere = {"relationships": [{**EDGE, "$targetId": "co2-r1"}]}
    assert platform.import_query(ROOMS + " AND R.$dtId = 'r0'", template=elsewhere)["relationships_changed"] == 1
    assert platform.relationship("r0", "has-r0")["$targetId"] == "co2-r1"


def _interrupted(platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """An import that stops after some pieces."""
    submit, pieces = platform.session.graph.submit, []

    def stopping(principal: Any, write: Any) -> Any:
        if len(pieces) == after:
            raise StoreError("the disk is gone")
        pieces.append(write)
        return submit(principal, write)

    with monkeypatch.context() as patched:
        patched.setattr(platform.session.graph, "submit", stopping)
        with pytest.raises(StoreError):
            platform.import_query(ROOMS, template=TEMPLATE)


@pytest.mark.parametrize("pieces", [1, 3, 5])
def test_what_was_interrupted_goes_on_as_it_was_asked(
    open_it: Callable[[], LocalPlatform], monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    monkeypatch.setattr(query_import, "PIECE", 2)
    platform = open_it()
    _rooms(platform, 7)
    _interrupted(platform, monkeypatch, pieces)
    assert len(_graph(platform)[0]) == 7 + min(7, 2 * pieces)
    platform.patch_twin("r6", [{"op": "replace", "path": "/floor", "value": 99}])  # what it was asked of stays what it was then
    platform = open_it()
    (done,) = platform.resume_query_imports()
    assert (done["rows"], done["twins_created"], done["relationships_created"], done["commits"]) == (7, 7, 7, 7)
    twins, edges = _graph(platform)
    assert len(twins) == 14 and edges["r6", "has-r6"]["since"] == 2
    assert platform.resume_query_imports() == []


def test_progress_that_is_not_kept_with_the_piece_is_found_out(
    open_it: Callable[[], LocalPlatform], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_import, "PIECE", 2)
    platform = open_it()
    _rooms(platform, 7)
    put = Draft.put_record

    def late(draft: Draft, kind: str, id: str, body: dict[str, Any]) -> None:
        behind = kind == query_import.RECORDS.progress and body["done"] < 14
        put(draft, kind, id, {**body, "done": max(0, body["done"] - 2)} if behind else body)

    monkeypatch.setattr(Draft, "put_record", late)
    _interrupted(platform, monkeypatch, 2)
    (done,) = platform.resume_query_imports()
    assert done["twins_created"] != 7 or done["unchanged"]


def test_what_others_changed_meanwhile_is_refused_and_told(open_it: Callable[[], LocalPlatform], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_import, "PIECE", 2)
    platform = open_it()
    _rooms(platform, 3)
    _interrupted(platform, monkeypatch, 1)
    platform.delete_twin("r2")
    (done,) = platform.resume_query_imports()
    assert (done["relationships_created"], done["refused"]) == (2, 1)
    assert "row 3: relationship 'has-r2'" in done["problems"][0]["message"]


def test_what_is_no_import_is_told(open_it: Callable[[], LocalPlatform], monkeypatch: pytest.MonkeyPatch) -> None:
    platform = open_it()
    _rooms(platform, 2)
    before = _graph(platform)

    def twin(**own: Any) -> dict[str, Any]:
        return {"twins": [{**TWIN, **own}]}

    wrong: list[tuple[type[TwinwrightError], str | None, dict[str, Any]]] = [
        (UsageError, None, {"template": TEMPLATE}),
        (UsageError, ROOMS, {"template": TEMPLATE, "on": ["room"]}),
        (UsageError, ROOMS, {"template": TEMPLATE, "rows": [{"room": "r0"}]}),
        (UsageError, ROOMS, {"template": TEMPLATE, "rows": [{"rom": "r0"}], "on": ["room"]}),
        (UsageError, ROOMS, {"template": TEMPLATE, "rows": [{"room": "r0", "floor": 1}], "on": ["room"]}),
        (UsageError, ROOMS, {"template": twin(label="{lable}")}),
        (UsageError, ROOMS, {"template": TEMPLATE, "rows": [1], "on": ["room"]}),
        (QueryError, "SELEC", {"template": TEMPLATE}),
        (InvalidTwinError, ROOMS, {"template": {}}),
        (InvalidTwinError, ROOMS, {"template": {"twins": []}}),
        (InvalidTwinError, ROOMS, {"template": {"twins": {}}}),
        (InvalidTwinError, ROOMS, {"template": {"twins": [1]}}),
        (InvalidTwinError, ROOMS, {"template": {"twins": [{"$dtId": "x"}]}}),
        (InvalidTwinError, ROOMS, {"template": {"twins": [TWIN] * 101}}),
        (InvalidTwinError, ROOMS, {"template": twin(label="{")}),
        (InvalidTwinError, ROOMS, {"template": twin(label="x}")}),
        (InvalidTwinError, ROOMS, {"template": twin(range="3 degC")}),
        (InvalidTwinError, ROOMS, {"template": twin(range="{label}")}),
        (InvalidTwinError, ROOMS, {"template": twin(head=1)}),
        (InvalidTwinError, ROOMS, {"template": twin(label="x" * 5_000)}),
        (InvalidTwinError, ROOMS, {"template": {"twins": [{**TWIN, "$metadata": {"$model": "dtmi:i:None;1"}}]}}),
        (InvalidTwinError, ROOMS, {"template": {"twins": [{**TWIN, "$dtId": "same"}]}}),
        (InvalidTwinError, ROOMS, {"template": {"relationships": [EDGE]}}),
        (InvalidTwinError, ROOMS, {"template": {"relationships": [{**EDGE, "$relationshipName": "had"}], "twins": [TWIN]}}),
    ]
    for kind, query, asked in wrong:
        with pytest.raises(kind) as caught:
            platform.import_query(query, **asked)
        problems = getattr(caught.value, "problems", [])
        assert caught.value.remedy or all(one.remedy for one in problems), caught.value
    monkeypatch.setattr(query_import, "MOST_DOCUMENTS", 1)
    with pytest.raises(TooLargeError):
        platform.import_query(ROOMS, template=TEMPLATE)
    assert _graph(platform) == before


def test_places_in_texts() -> None:
    one = {"$dtId": "a{{{x}}}", "$metadata": {"$model": "m"}, "v": "{x}", "w": [1, "{gone}", "{o.inner} of {x}"], "t": " {x}"}
    (part,) = template_of({"twins": [one]}).parts
    assert template_of({"twins": [one]}).columns == ("gone", "o.inner", "x")
    row = {"x": 3.0, "o.inner": True, "gone": None}
    assert part.filled(row) == {"$dtId": "a{3}", "$metadata": {"$model": "m"}, "v": 3.0, "w": [1, "true of 3"], "t": " 3"}
    for missing in ("x", "o.inner"):
        with pytest.raises(UnfilledError):
            part.filled({**row, missing: None})
