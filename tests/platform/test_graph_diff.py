"""`graph diff`: whatever was written, the difference of two instants leads from the documents of one to those of the other."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.platform.graph_plant import NOW, opened, pump, send
from tests.storage.postgres_server import Server

from twinwright.clock import SECOND, ManualClock, to_iso
from twinwright.errors import TwinwrightError, UsageError
from twinwright.platform import graph_diff
from twinwright.platform.local import LocalPlatform
from twinwright.twins.graph import diff

TWINS = ("given", "other", "a", "b")


@pytest.fixture(params=["duckdb", "postgres"])
def plant(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[LocalPlatform, ManualClock]]:
    text = ""
    if request.param == "postgres":
        server: Server = request.getfixturevalue("postgres")
        text = f'[store]\nengine = "postgres"\ndsn = "{server.dsn()}"\nschema = "{tmp_path.name[-20:].lower().replace("-", "_")}"\n'
    clock = ManualClock(NOW)
    platform = opened(tmp_path, clock, text)
    yield platform, clock
    platform.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[LocalPlatform]:
    platform = opened(tmp_path, ManualClock(NOW))
    yield platform
    platform.close()


def _write(platform: LocalPlatform, clock: ManualClock, drawn: random.Random) -> None:
    """Something, or nothing where it is refused."""
    clock.advance(drawn.choice([1, SECOND, 20 * SECOND]))
    twin, other = drawn.choice(TWINS), drawn.choice(TWINS)
    try:
        match drawn.randrange(7):
            case 0:
                platform.put_twin(twin, pump(mode=drawn.choice(["on", "off"]), count=drawn.randrange(3)))
            case 1:
                platform.patch_twin(twin, [{"op": "add", "path": "/mode", "value": drawn.choice(["on", "off"])}])
            case 2:
                platform.patch_twin(twin, [{"op": "remove", "path": "/mode"}])
            case 3:
                width = float(drawn.randrange(3))
                platform.put_relationship(twin, "e", {"$targetId": other, "$relationshipName": "feeds", "width": width})
            case 4:
                platform.delete_relationship(twin, drawn.choice(["e", "r"]))
            case 5:
                send(platform, twin, clock.now() - drawn.choice([0, 30 * SECOND]), float(drawn.randrange(3)))
            case 6:
                platform.delete_twin(twin)
    except TwinwrightError:
        pass


def _documents(platform: LocalPlatform, **at: str) -> tuple[dict[str, Any], dict[Any, Any]]:
    twins = {
        one["$dtId"]: {"$model": one["$metadata"]["$model"], **{name: value for name, value in one.items() if name[0] != "$"}}
        for one in platform.state(**at)["value"]
    }
    own = ("$relationshipId", "$sourceId", "$etag")
    edges = {
        (one["$sourceId"], one["$relationshipId"]): {name: value for name, value in one.items() if name not in own}
        for one in platform.relationships(**at)
    }
    return twins, edges


def _changed(before: tuple[dict[str, Any], dict[Any, Any]], found: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[Any, Any]]:
    """The documents with what is different done to them; what was there before is checked on the way."""
    twins, edges = ({key: dict(value) for key, value in side.items()} for side in before)
    for one in found:
        held: dict[Any, Any] = {"twin": twins, "relationship": edges}[one["kind"]]
        key = one["id"] if one["kind"] == "twin" else (one["source"], one["id"])
        assert (key in held) == (one["change"] != "added")
        document = held.setdefault(key, {})
        for name, sides in one["properties"].items():
            assert document.pop(name, None) == sides.get("before")
            if "after" in sides:
                document[name] = sides["after"]
        if one["change"] == "removed":
            assert document == {}
            del held[key]
    return twins, edges


def _all_pages(platform: LocalPlatform, size: int, start: str, end: str, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token = None
    while True:
        page = platform.graph_diff(start, end, **options, max_items=size, continuation=token)
        found += page["value"]
        token = page["continuationToken"]
        if token is None:
            assert sum(sum(one.values()) for one in page["counts"].values()) == len(found)
            return found
        assert len(page["value"]) == size


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_a_difference_leads_from_one_instant_to_the_other(plant: Any, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    platform, clock = plant
    monkeypatch.setattr(diff, "_FEW", 2)  # so that a page is of several looks
    monkeypatch.setattr(diff, "_MANY", 3)
    drawn = random.Random(seed)
    start = clock.now()
    for _ in range(20):
        _write(platform, clock, drawn)
    last = platform.session.store.last_commit(platform.principal)
    for _ in range(4):
        first, second = (str(drawn.randrange(1, last + 1)) for _ in range(2))
        options = drawn.choice([{}, {"as_of": to_iso(drawn.randrange(start, clock.now() + 1))}])
        found = _all_pages(platform, drawn.choice([1, 3, 100]), first, second, **options)
        at = [_documents(platform, known_at=commit, **options) for commit in (first, second)]
        assert _changed(at[0], found) == at[1]
        times = [to_iso(drawn.randrange(start, clock.now() + 1)) for _ in range(2)]
        known = {"known_at": drawn.choice([first, second])}
        found = _all_pages(platform, 100, *times, event_time=True, **known)
        at = [_documents(platform, as_of=time, **known) for time in times]
        assert _changed(at[0], found) == at[1]


def test_what_a_commit_touched_alone_is_not_enough_where_time_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that looks only at what was committed in between is found out by the check above."""
    clock = ManualClock(NOW)
    platform = opened(tmp_path, clock)
    platform.patch_twin("given", [{"op": "add", "path": "/mode", "value": "on"}])
    clock.advance(10 * SECOND)
    platform.patch_twin("given", [{"op": "add", "path": "/mode", "value": "off"}])
    times = [to_iso(NOW + 1), to_iso(clock.now())]
    at = [_documents(platform, as_of=time) for time in times]
    assert _changed(at[0], platform.graph_diff(*times, event_time=True)["value"]) == at[1]
    monkeypatch.setattr(graph_diff.GraphDiff, "_touched", lambda *_: set())
    platform.session.served.differences._kept.clear()
    assert _changed(at[0], platform.graph_diff(*times, event_time=True)["value"]) != at[1]
    platform.close()


def test_a_further_page_looks_at_what_it_shows(small: LocalPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        small.put_twin(f"t{number:02}", pump(mode="on"))
        small.put_relationship(f"t{number:02}", "e", {"$targetId": "given", "$relationshipName": "feeds"})
    looked: list[int] = []
    real = diff.compared
    monkeypatch.setattr(diff, "compared", lambda *given, **named: looked.append(1) or real(*given, **named))
    monkeypatch.setattr(diff, "_FEW", 4)
    monkeypatch.setattr(diff, "_MANY", 4)
    monkeypatch.setattr(diff.GraphDiff, "candidates", _once(diff.GraphDiff.candidates))
    found, token = [], None
    for page in range(60 // 4):
        looked.clear()
        answer = small.graph_diff("1", max_items=4, continuation=token)
        found += [(one["kind"], one["id"]) for one in answer["value"]]
        token = answer["continuationToken"]
        assert answer["counts"]["twins"]["added"] == answer["counts"]["relationships"]["added"] == 30
        assert page == 0 or len(looked) <= 12
    assert token is None and found == [("twin", f"t{number:02}") for number in range(30)] + [("relationship", "e")] * 30


def _once(find: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
    calls: list[int] = []

    def found(self: Any) -> list[str]:
        calls.append(1)
        assert len(calls) == 1, "what may be different is looked for once"
        return find(self)

    return found


def test_pages_are_of_the_instants_of_the_first(small: LocalPlatform) -> None:
    platform = small
    for name in ("a", "b"):
        platform.put_twin(name, pump(mode="on"))
    page = platform.graph_diff("1", max_items=1)
    platform.delete_twin("a")
    platform.delete_twin("b")
    rest = platform.graph_diff("1", continuation=page["continuationToken"])
    assert [one["id"] for one in page["value"] + rest["value"]] == ["a", "b"]
    assert rest["to"] == page["to"] and rest["continuationToken"] is None
    assert platform.graph_diff("1")["value"] == []


def test_interfaces_are_compared_content_by_content(small: LocalPlatform) -> None:
    valve = {"@context": "dtmi:dtdl:context;3", "@id": "dtmi:t:Valve;1", "@type": "Interface", "displayName": "Valve"}
    position = {"@type": "Property", "name": "position", "schema": "double"}
    made = small.add_interfaces([{**valve, "contents": [position]}])[0]["id"]
    before = str(small.session.store.last_commit(small.principal))
    small.decommission_interface(made, [{"op": "replace", "path": "/decommissioned", "value": True}])
    (added,) = small.graph_diff("1", kind="interface")["value"]
    assert (added["id"], added["change"]) == (made, "added")
    assert added["properties"]["displayName"] == {"after": "Valve"} and added["properties"]["contents/position"] == {"after": position}
    (changed,) = small.graph_diff(before, kind="interface")["value"]
    assert changed["properties"] == {"decommissioned": {"after": True}}
    small.delete_interface(made)
    assert small.graph_diff("1", kind="interface")["value"] == []


def test_what_is_no_instant_is_told_where(small: LocalPlatform) -> None:
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("from", {"start": "noon"}),
        ("to", {"start": "1", "end": "999"}),
        ("kind", {"start": "1", "kind": "model"}),
        ("known-at", {"start": "1", "known_at": "1"}),
        ("as-of", {"start": to_iso(NOW), "event_time": True, "as_of": to_iso(NOW)}),
        ("from", {"start": "1", "event_time": True}),
        ("continuationToken", {"start": "1", "continuation": "eA=="}),
        ("continuationToken", {"start": "1", "continuation": "é"}),
        ("max-items-per-page", {"start": "1", "max_items": 0}),
    ]
    for named, asked in wrong:
        with pytest.raises(UsageError) as caught:
            small.graph_diff(**asked)
        assert caught.value.where == named and caught.value.remedy
