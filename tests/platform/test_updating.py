"""`update`: twins changed by a query, all or none of them where one does not fit, and each once however often it is interrupted."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from twinwright.errors import InvalidTwinError, QueryError, StoreError, TwinwrightError, UsageError
from twinwright.platform import updating
from twinwright.platform.local import LocalPlatform
from twinwright.storage.layout import Selection
from twinwright.twins.graph.draft import Draft

TANK, SMALL = "dtmi:u:Tank;1", "dtmi:u:Small;1"
ALL = "SELECT T FROM DIGITALTWINS T"


def _interface(id: str, *contents: dict[str, Any]) -> dict[str, Any]:
    return {
        "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
        "@id": id,
        "@type": "Interface",
        "contents": list(contents),
    }


PRESSURE = {"@type": ["Property", "Pressure"], "name": "pressure", "schema": "double", "unit": "kilopascal"}
MODE = {"@type": "Property", "name": "mode", "schema": "string"}
COUNT = {"@type": "Property", "name": "count", "schema": "integer"}
SCHEMA = [_interface(TANK, PRESSURE, MODE, COUNT, {"@type": "Relationship", "name": "feeds"}), _interface(SMALL, MODE)]


def _plant(platform: LocalPlatform, tanks: int, small: int = 0) -> None:
    for number in range(tanks):
        platform.put_twin(f"t{number}", {"$metadata": {"$model": TANK}, "mode": "auto", "count": number % 3})
    for number in range(small):
        platform.put_twin(f"s{number}", {"$metadata": {"$model": SMALL}, "mode": "auto"})


def _values(platform: LocalPlatform) -> dict[str, dict[str, Any]]:
    return {one["$dtId"]: {name: value for name, value in one.items() if name[0] != "$"} for one in platform.state()["value"]}


def test_a_dry_run_says_what_an_update_then_does_and_changes_nothing(open_it: Callable[[], LocalPlatform]) -> None:
    platform = open_it()
    _plant(platform, 5)
    before, last = _values(platform), platform.session.store.last_commit(platform.principal)
    query = f"SELECT T FROM DIGITALTWINS T WHERE IS_OF_MODEL(T, '{TANK}') AND T.count < 2"
    asked: dict[str, Any] = {"set": {"pressure": "3 bar", "count": 1}, "remove": ["mode"]}
    tried = platform.update(query, **asked, dry_run=True)
    assert (_values(platform), platform.session.store.last_commit(platform.principal)) == (before, last)
    assert tried["preview"][0]["properties"]["pressure"] == {"after": 300.0}
    done = platform.update(query, **asked)
    counts = ("matched", "changed", "unchanged", "deleted", "refused", "missing")
    assert {name: done[name] for name in counts} == {name: tried[name] for name in counts}
    assert done["commits"] == 1 and done["token"] == last + 1
    expected = {id: {"pressure": 300.0, "count": 1} if one["count"] < 2 else one for id, one in before.items()}
    assert _values(platform) == expected
    again = platform.update("SELECT T FROM DIGITALTWINS T WHERE T.pressure = 3 bar", set={"pressure": {"value": 300, "unit": "kPa"}})
    assert (again["matched"], again["unchanged"], again["changed"]) == (len(expected) - 1, len(expected) - 1, 0)
    record = platform.session.store.get_record(platform.principal, updating.UPDATE, done["id"])
    assert record.commit == done["first_commit"] and record.body["query"] == query


def test_an_update_is_the_patch_of_each_or_nothing(open_it: Callable[[], LocalPlatform]) -> None:
    platform = open_it()
    _plant(platform, 4, 2)
    drawn = random.Random(1)
    updated = refused = 0
    for _ in range(25):
        path = drawn.choice(["mode", "count", "pressure", "nothing"])
        value = drawn.choice(["on", "off", 1, 2.5, True, None, "2 kPa", "3 m"])
        query = ALL + drawn.choice(["", f" WHERE IS_OF_MODEL(T, '{TANK}')", " WHERE T.count > 0"])
        before = _values(platform)
        matched = {one["T"]["$dtId"] for one in platform.query(query)["value"]}
        checked = platform.update(query, set={path: value}, dry_run=True)
        try:
            platform.update(query, set={path: value})
        except InvalidTwinError as error:
            assert checked["refused"] and len(error.problems) == checked["refused"] and all(one.remedy for one in error.problems)
            assert _values(platform) == before
            refused += 1
            continue
        assert not checked["refused"]
        after = _values(platform)
        plain = 2.0 if value == "2 kPa" and path == "pressure" else value
        assert after == {id: {**one, path: plain} if id in matched else one for id, one in before.items()}
        updated += 1
    assert updated > 3 and refused > 3


def test_deletion_takes_relationships_only_where_that_is_said(open_it: Callable[[], LocalPlatform]) -> None:
    platform = open_it()
    _plant(platform, 3, 1)
    platform.put_relationship("t0", "e", {"$targetId": "s0", "$relationshipName": "feeds"})
    with pytest.raises(InvalidTwinError, match="'t0' has 1 relationship"):
        platform.update("SELECT T FROM DIGITALTWINS T WHERE T.count >= 0", delete=True)
    assert len(_values(platform)) == 4
    done = platform.update("SELECT T FROM DIGITALTWINS T WHERE T.count >= 0", delete=True, with_relationships=True)
    assert (done["deleted"], done["relationships"]) == (3, 1)
    assert list(_values(platform)) == ["s0"] and platform.relationships() == []


def _interrupted(platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """An update of all tanks that stops after some pieces."""
    submit, pieces = platform.session.graph.submit, []

    def stopping(principal: Any, write: Any) -> Any:
        if len(pieces) == after:
            raise StoreError("the disk is gone")
        pieces.append(write)
        return submit(principal, write)

    with monkeypatch.context() as patched:
        patched.setattr(platform.session.graph, "submit", stopping)
        with pytest.raises(StoreError):
            platform.update(ALL, set={"pressure": "1 bar"})


def _versions(platform: LocalPlatform) -> list[int]:
    """How often each twin was given a pressure."""
    rows = platform.session.store.history(platform.principal, Selection(paths=("pressure",))).to_pylist()
    counts: dict[int, int] = {}
    for row in rows:
        counts[row["twin"]] = counts.get(row["twin"], 0) + 1
    return sorted(counts.values())


def test_what_was_interrupted_goes_on_and_does_nothing_twice(open_it: Callable[[], LocalPlatform], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updating, "PIECE", 2)
    platform = open_it()
    _plant(platform, 7)
    _interrupted(platform, monkeypatch, 2)
    assert _versions(platform) == [1] * 4
    platform.delete_twin("t6")
    platform = open_it()
    (done,) = platform.resume_updates()
    assert (done["matched"], done["changed"], done["missing"], done["commits"]) == (7, 6, 1, 4)
    assert _versions(platform) == [1] * 6
    assert platform.resume_updates() == []


def test_progress_that_is_not_kept_with_the_piece_is_found_out(
    open_it: Callable[[], LocalPlatform], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updating, "PIECE", 2)
    platform = open_it()
    _plant(platform, 7)
    put = Draft.put_record

    def late(draft: Draft, kind: str, id: str, body: dict[str, Any]) -> None:
        put(draft, kind, id, {**body, "done": max(0, body["done"] - 2)} if kind == updating.PROGRESS and body["done"] < 7 else body)

    monkeypatch.setattr(Draft, "put_record", late)
    _interrupted(platform, monkeypatch, 2)
    monkeypatch.setattr("twinwright.twins.graph.update.same", lambda *_: False)  # else what is equal already is left alone
    platform.resume_updates()
    assert _versions(platform) != [1] * 7


def test_what_is_no_update_is_told(open_it: Callable[[], LocalPlatform]) -> None:
    platform = open_it()
    _plant(platform, 1)
    wrong: list[tuple[type[TwinwrightError], str, dict[str, Any]]] = [
        (UsageError, ALL, {}),
        (UsageError, ALL, {"set": {"mode": "a"}, "delete": True}),
        (UsageError, ALL, {"set": {"mode": "a"}, "remove": ["mode"]}),
        (UsageError, ALL, {"set": {"/mode": "a"}}),
        (UsageError, ALL, {"set": ["mode"]}),
        (UsageError, ALL, {"remove": "mode"}),
        (UsageError, ALL, {"remove": ["mode"], "with_relationships": True}),
        (InvalidTwinError, ALL, {"set": {"pressure": "3 degC"}}),
        (QueryError, "SELECT T.mode FROM DIGITALTWINS T", {"set": {"mode": "a"}}),
        (QueryError, "SELECT COUNT() FROM DIGITALTWINS T", {"set": {"mode": "a"}}),
        (QueryError, "SELECT T FROM DIGITALTWINS T KNOWN AT 1", {"set": {"mode": "a"}}),
        (QueryError, "SELECT * FROM RELATIONSHIPS", {"set": {"mode": "a"}}),
    ]
    for kind, query, asked in wrong:
        with pytest.raises(kind) as caught:
            platform.update(query, **asked)
        assert caught.value.remedy or getattr(caught.value, "problems", None)
