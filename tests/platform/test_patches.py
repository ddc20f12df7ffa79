"""JSON Patch on twins: what is carried out, and what is refused with its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.running import write
from tests.platform.graph_plant import NOW

from twinwright.clock import SECOND, ManualClock, to_iso
from twinwright.errors import InvalidTwinError, JsonPatchError
from twinwright.platform.local import LocalPlatform
from twinwright.platform.session import Session
from twinwright.twins.graph.json_patch import MAX_OPERATIONS, apply_patch, parse_patch

TANK, MOTOR, SMALL = "dtmi:p:Tank;1", "dtmi:p:Motor;1", "dtmi:p:Small;1"


def interface(id: str, *contents: dict[str, Any]) -> dict[str, Any]:
    return {"@context": "dtmi:dtdl:context;3", "@id": id, "@type": "Interface", "contents": list(contents)}


def having(name: str, schema: Any) -> dict[str, Any]:
    return {"@type": "Property", "name": name, "schema": schema}


PLACE = {"@type": "Object", "fields": [{"name": "x", "schema": "double"}, {"name": "y", "schema": "double"}]}
LABELS = {"@type": "Map", "mapKey": {"name": "k", "schema": "string"}, "mapValue": {"name": "v", "schema": "string"}}
MODELS = [
    interface(MOTOR, having("speed", "double"), having("mode", "string")),
    interface(SMALL, having("level", "double")),
    interface(
        TANK,
        having("level", "double"),
        having("place", PLACE),
        having("labels", LABELS),
        {"@type": "Component", "name": "motor", "schema": MOTOR},
    ),
]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[LocalPlatform]:
    write(tmp_path, {"twinwright.toml": "", "schema/models.json": json.dumps(MODELS)})
    platform = LocalPlatform(Session(tmp_path, ManualClock(NOW)))
    platform.apply()
    motor = {"$metadata": {}, "speed": 3.0}
    platform.put_twin("a", {"$metadata": {"$model": TANK}, "level": 1.0, "place": {"x": 1.0, "y": 2.0}, "motor": motor})
    yield platform
    platform.close()


def patched(platform: LocalPlatform, *steps: dict[str, Any], component: str | None = None) -> dict[str, Any]:
    platform.patch_twin("a", list(steps), component=component)
    return {name: value for name, value in platform.state("a").items() if not name.startswith("$")}


def values(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "$metadata"}


def test_values_objects_maps_and_components_are_patched(platform: LocalPlatform) -> None:
    after = patched(
        platform,
        {"op": "test", "path": "/level", "value": 1},
        {"op": "replace", "path": "/level", "value": 2.5},
        {"op": "replace", "path": "/place/x", "value": 9.0},
        {"op": "add", "path": "/labels", "value": {"a": "b"}},
        {"op": "add", "path": "/labels/c~1d", "value": "e"},
        {"op": "remove", "path": "/motor/speed"},
        {"op": "add", "path": "/motor/mode", "value": "on"},
    )
    assert (after["level"], after["place"], after["labels"]) == (2.5, {"x": 9.0, "y": 2.0}, {"a": "b", "c/d": "e"})
    assert values(after["motor"]) == {"mode": "on"}
    after = patched(platform, {"op": "replace", "path": "/motor", "value": {"$metadata": {}, "speed": 7.0}})
    assert values(after["motor"]) == {"speed": 7.0}
    assert values(patched(platform, {"op": "replace", "path": "/speed", "value": 8.0}, component="motor")["motor"]) == {"speed": 8.0}
    assert "level" not in patched(platform, {"op": "remove", "path": "/level"})


def test_values_are_moved_and_copied_between_a_twin_and_its_components(platform: LocalPlatform) -> None:
    copied = {"op": "copy", "from": "/place/y", "path": "/place/x"}
    after = patched(platform, copied, {"op": "move", "from": "/level", "path": "/motor/speed"})
    assert after["place"] == {"x": 2.0, "y": 2.0} and "level" not in after and values(after["motor"]) == {"speed": 1.0}
    assert "level" not in platform.state("a")["$metadata"]
    on = [{"op": "add", "path": "/mode", "value": "on"}, {"op": "copy", "from": "/mode", "path": "/mode"}]
    assert values(patched(platform, *on, component="motor")["motor"]) == {"mode": "on", "speed": 1.0}


def test_a_source_time_is_set_with_its_value(platform: LocalPlatform) -> None:
    earlier = to_iso(NOW - 5 * SECOND)
    patched(
        platform, {"op": "add", "path": "/labels", "value": {}}, {"op": "add", "path": "/$metadata/labels/sourceTime", "value": earlier}
    )
    assert platform.state("a")["$metadata"]["labels"]["sourceTime"].startswith(earlier[:19])
    both = {"op": "add", "path": "/motor/$metadata/mode", "value": {"sourceTime": earlier}}
    patched(platform, {"op": "add", "path": "/motor/mode", "value": "x"}, both)
    assert platform.state("a")["motor"]["$metadata"]["mode"]["sourceTime"].startswith(earlier[:19])


def test_an_interface_is_changed_where_all_that_is_left_fits_it(platform: LocalPlatform) -> None:
    change = {"op": "replace", "path": "/$metadata/$model", "value": SMALL}
    with pytest.raises(InvalidTwinError, match="has no property"):
        patched(platform, change)
    gone = [{"op": "remove", "path": path} for path in ("/place", "/motor")]
    assert patched(platform, change, *gone) == {"level": 1.0}
    assert platform.state("a")["$metadata"]["$model"] == SMALL


@pytest.mark.parametrize(
    ("steps", "where", "said"),
    [
        ([{"op": "replace", "path": "/labels", "value": {}}], "$[0]", "does not exist"),
        ([{"op": "test", "path": "/level", "value": 2}], "$[0]", "the test failed"),
        ([{"op": "test", "path": "/place", "value": {"x": 1.0, "y": True}}], "$[0]", "the test failed"),
        ([{"op": "add", "path": "/level/deep", "value": 2}], "$[0]", "could not resolve"),
        ([{"op": "add", "path": "/none/deep", "value": 2}], "$[0]", "could not resolve"),
        ([{"op": "replace", "path": "/$dtId", "value": "b"}], "$[0]", "can't be changed"),
        ([{"op": "remove", "path": "/$metadata/$model"}], "$[0]", "can only be replaced"),
        ([{"op": "remove", "path": "/$metadata/level/sourceTime"}], "$[0]", "only `sourceTime`"),
        ([{"op": "add", "path": "/level", "value": 1}, {"op": "merge", "path": "/a"}], "$[1]", "unsupported operation"),
        ([{"op": "add", "path": "level", "value": 1}], "$[0].path", "is not a path"),
        ([{"op": "add", "path": "/level"}], "$[0]", "needs a value"),
        ([{"op": "add", "path": "/labels/a~2", "value": "x"}], "$[0].path", "is not a path"),
        ([{"op": "move", "path": "/level"}], "$[0].from", "is not a path"),
        ([{"op": "copy", "from": "/none", "path": "/level"}], "$[0]", "could not resolve"),
        ([{"op": "move", "from": "/place", "path": "/place/x"}], "$[0].path", "into itself"),
        ([{"op": "copy", "from": "/$dtId", "path": "/motor/mode"}], "$[0]", "only values can be"),
        ([{"op": "copy", "from": "/motor/$metadata/speed", "path": "/level"}], "$[0]", "only values can be"),
        ([7], "$[0]", "an operation is an object"),
        ([{"op": "add", "path": "/$metadata/labels/sourceTime", "value": "2026-01-01T00:00:00Z"}], "", "has no value"),
    ],
)
def test_a_patch_that_can_not_be_carried_out_says_which_step(platform: LocalPlatform, steps: Any, where: str, said: str) -> None:
    before = platform.state("a")
    with pytest.raises(JsonPatchError) as told:
        platform.patch_twin("a", steps)
    assert said in told.value.what and (told.value.where or "") == where and told.value.remedy
    assert platform.state("a") == before


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"op": "add", "path": "/levle", "value": 1.0}, "Did you mean 'level'?"),
        ({"op": "add", "path": "/level", "value": "high"}, ""),
        ({"op": "add", "path": "/place/x", "value": "left"}, ""),
        ({"op": "remove", "path": "/motor"}, "can't be removed"),
        ({"op": "move", "from": "/motor", "path": "/labels"}, "can't be removed"),
        ({"op": "copy", "from": "/motor/speed", "path": "/motor/mode"}, ""),
        ({"op": "replace", "path": "/motor", "value": 3}, ""),
        ({"op": "replace", "path": "/motor", "value": {"speed": 1.0}}, ""),
        ({"op": "replace", "path": "/motor", "value": {"$metadata": {}, "sped": 1.0}}, "Did you mean 'speed'?"),
        ({"op": "replace", "path": "/motor", "value": {"$metadata": {}, "$dtId": "x"}}, "Leave it out"),
        ({"op": "replace", "path": "/motor", "value": {"$metadata": {"speed": 3}, "speed": 1.0}}, "sourceTime"),
        ({"op": "replace", "path": "/$metadata/$model", "value": "dtmi:p:None;1"}, "Add it first"),
        ({"op": "add", "path": "/$metadata/level/sourceTime", "value": "2036-01-01T00:00:00Z"}, "check the clock"),
        ({"op": "add", "path": "/$metadata/level/sourceTime", "value": "yesterday"}, ""),
    ],
)
def test_what_the_interface_does_not_allow_is_refused(platform: LocalPlatform, step: Any, said: str) -> None:
    before = platform.state("a")
    with pytest.raises(InvalidTwinError) as told:
        platform.patch_twin("a", [step])
    assert any(said in problem.remedy for problem in told.value.problems)
    assert platform.state("a") == before


def test_arrays_are_patched_by_index() -> None:
    document = {"a": [1, 2, {"b": 3}]}
    steps = [
        {"op": "add", "path": "/a/-", "value": 4},
        {"op": "add", "path": "/a/0", "value": 0},
        {"op": "replace", "path": "/a/1", "value": 11},
        {"op": "test", "path": "/a/3/b", "value": 3.0},
        {"op": "test", "path": "/a/2", "value": 2},
        {"op": "remove", "path": "/a/2"},
    ]
    apply_patch(document, parse_patch(steps))
    assert document == {"a": [0, 11, {"b": 3}, 4]}
    for path in ("/a/9", "/a/01", "/a/x", "/a/9/b"):
        with pytest.raises(JsonPatchError, match="could not resolve"):
            apply_patch(document, parse_patch([{"op": "add", "path": path, "value": 1}]))
        with pytest.raises(JsonPatchError, match="could not resolve"):
            apply_patch(document, parse_patch([{"op": "remove", "path": path}]))


def test_what_is_copied_is_a_copy_and_bounded() -> None:
    """As in RFC 6902, A.6, A.7 and 4.5; an array's element is moved as if it were removed and added."""
    document: dict[str, Any] = {"a": [1, {"b": 2}], "c": {}}
    steps = [
        {"op": "copy", "from": "/a/1", "path": "/c/d"},
        {"op": "replace", "path": "/c/d/b", "value": 3},
        {"op": "move", "from": "/a/1", "path": "/a/0"},
        {"op": "move", "from": "/c/d/b", "path": "/a/-"},
        {"op": "move", "from": "/c", "path": "/c"},
    ]
    apply_patch(document, parse_patch(steps))
    assert document == {"a": [{"b": 2}, 1, 3], "c": {"d": {}}}
    deeper = parse_patch([{"op": "copy", "from": "/c", "path": "/c/c"}] * 100)
    with pytest.raises(JsonPatchError, match="nested deeper"):
        apply_patch(document, deeper)
    wide = parse_patch([{"op": "copy", "from": "/a", "path": "/b"}, *({"op": "copy", "from": "/b", "path": "/a/0"},) * 200])
    with pytest.raises(JsonPatchError, match="more than 100000 values"):
        apply_patch({"a": [0] * 600}, wide)


def test_a_patch_is_a_list_of_bounded_length() -> None:
    for document in ({}, "text", None, [{"op": "remove", "path": "/a"}] * (MAX_OPERATIONS + 1)):
        with pytest.raises(JsonPatchError) as told:
            parse_patch(document)
        assert told.value.where == "$"
