"""Twins and relationships that clients change: what is read back, at earlier times too, and that no update is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.platform.graph_plant import NOW, opened, pump, send, shown
from tests.storage.postgres_server import Server

from twinwright.clock import SECOND, ManualClock, to_iso
from twinwright.errors import DigitalTwinNotFoundError, PreconditionFailedError, RefusedError, RelationshipNotFoundError
from twinwright.platform.local import LocalPlatform
from twinwright.twins.graph.draft import Draft


@pytest.fixture(params=["duckdb", "postgres"])
def plant(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[LocalPlatform, ManualClock, Callable[[], LocalPlatform]]]:
    """A platform, its clock, and how to open it again."""
    text = ""
    if request.param == "postgres":
        server: Server = request.getfixturevalue("postgres")
        text = f'[store]\nengine = "postgres"\ndsn = "{server.dsn()}"\nschema = "{tmp_path.name[-20:].lower().replace("-", "_")}"\n'
    clock = ManualClock(NOW)
    platforms = [opened(tmp_path, clock, text)]

    def again() -> LocalPlatform:
        platforms[-1].close()
        platforms.append(opened(tmp_path, clock, text))
        return platforms[-1]

    yield platforms[0], clock, again
    platforms[-1].close()


def test_the_past_of_the_graph_stays_readable(plant: Any) -> None:
    platform, clock, again = plant
    made = platform.put_twin("a", pump(mode="on"))["token"]
    edge = platform.put_relationship("a", "e", {"$targetId": "given", "$relationshipName": "feeds", "width": 1.0})
    clock.advance(10 * SECOND)
    changed = platform.patch_relationship("a", "e", [{"op": "replace", "path": "/width", "value": 2.0}], if_match=edge["etag"])["token"]
    platform.patch_twin("a", [{"op": "replace", "path": "/mode", "value": "off"}])
    clock.advance(10 * SECOND)
    platform.delete_relationship("a", "e")
    gone = platform.delete_twin("a")["token"]
    clock.advance(10 * SECOND)
    platform.put_twin("a", pump(count=1))
    for open_it in (lambda: platform, again):
        one = open_it()
        assert shown(one.state("a")) == {"count": 1}
        assert shown(one.state("a", as_of=to_iso(NOW + 5 * SECOND))) == {"mode": "on"}
        assert shown(one.state("a", as_of=to_iso(NOW + 15 * SECOND))) == {"mode": "off"}
        with pytest.raises(DigitalTwinNotFoundError, match="did not exist"):
            one.state("a", as_of=to_iso(NOW + 25 * SECOND))
        assert shown(one.state("a", known_at=str(made))) == {"mode": "on"}
        with pytest.raises(DigitalTwinNotFoundError):
            one.state("a", known_at=str(gone))
        with pytest.raises(DigitalTwinNotFoundError):
            one.state("a", known_at=str(made - 1))
        assert one.relationships("a") == one.incoming_relationships("a") == []
        assert [edge["width"] for edge in one.relationships("a", as_of=to_iso(NOW + 5 * SECOND))] == [1.0]
        assert [edge["width"] for edge in one.relationships("a", as_of=to_iso(NOW + 15 * SECOND))] == [2.0]
        assert [edge["width"] for edge in one.relationships("a", known_at=str(changed))] == [2.0]
        with pytest.raises(RelationshipNotFoundError):
            one.relationship("a", "e")
        assert one.history("a", "mode")["values"] == ["on", "off"]


def test_an_apply_leaves_what_clients_made_and_a_client_what_is_declared(plant: Any) -> None:
    platform, clock, again = plant
    platform.put_twin("a", pump())
    platform.put_relationship("a", "e", {"$targetId": "given", "$relationshipName": "feeds"})
    platform.patch_relationship("given", "r", [{"op": "replace", "path": "/width", "value": 5}])
    platform.patch_twin("given", [{"op": "replace", "path": "/mode", "value": "hand"}])
    assert platform.plan()["changes"] == []
    platform = again()
    assert [one["$dtId"] for one in platform.twins()] == ["given", "other", "a"]
    assert shown(platform.state("given")) == {"mode": "hand"}
    assert [one.get("width") for one in platform.relationships()] == [None, 5]
    platform.delete_relationship("given", "r")
    platform.delete_relationship("a", "e")
    platform.delete_twin("given")
    assert [(one["kind"], one["change"]) for one in platform.plan()["changes"]] == [("twin", "add"), ("relationship", "add")]
    clock.advance(SECOND)
    platform.apply()
    assert shown(platform.state("given")) == {"mode": "auto"}
    assert [one["$relationshipId"] for one in platform.relationships("given")] == ["r"]
    with pytest.raises(RefusedError):
        platform.delete_twin("given")


def test_no_update_is_lost(plant: Any) -> None:
    platform, _, _ = plant
    platform.put_twin("counter", pump(count=0))
    lost = []

    def add() -> None:
        for _ in range(10):
            while True:
                held = platform.state("counter")
                patch = [{"op": "replace", "path": "/count", "value": held["count"] + 1}]
                try:
                    platform.patch_twin("counter", patch, if_match=held["$etag"])
                    break
                except PreconditionFailedError:
                    lost.append(1)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert platform.state("counter")["count"] == 40


def test_one_bad_write_of_a_group_harms_no_other(plant: Any) -> None:
    platform, _, _ = plant
    answers: dict[int, Any] = {}
    gate = threading.Barrier(8)

    def put(index: int) -> None:
        gate.wait()
        try:
            answers[index] = platform.put_twin(f"t{index}", pump(count=index if index % 2 else "x"))["token"]
        except Exception as error:  # noqa: BLE001 - looked at below
            answers[index] = type(error).__name__

    threads = [threading.Thread(target=put, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[index] for index in range(0, 8, 2)] == ["InvalidTwinError"] * 4
    assert all(isinstance(answers[index], int) and platform.state(f"t{index}")["count"] == index for index in range(1, 8, 2))


# --- any sequence -----------------------------------------------------------------------------------------------------


class Plain:
    """What a twin is by the laws, in as few words as possible: lifetimes with, of each path, (time, source, value)."""

    def __init__(self) -> None:
        self.lives: list[dict[str, Any]] = []

    @property
    def alive(self) -> dict[str, Any] | None:
        return self.lives[-1] if self.lives and self.lives[-1]["until"] is None else None

    def document(self) -> dict[str, Any] | None:
        life = self.alive
        return None if life is None else {path: value for path, (_, _, value) in life["cells"].items() if value is not None}

    def begin(self, now: int) -> dict[str, Any]:
        since = max(now, self.lives[-1]["until"]) if self.lives else None
        self.lives.append({"since": since, "until": None, "cells": {}, "seen": set()})
        return self.lives[-1]

    def write(self, now: int, path: str, value: Any) -> None:
        life = self.lives[-1]
        held = life["cells"].get(path)
        time = max(now, life["since"] or now, held[0] + 1 if held else now)
        life["cells"][path] = (time, "api", value)

    def observe(self, at: int, value: float) -> bool:
        for life in self.lives:
            if (life["since"] is None or at >= life["since"]) and (life["until"] is None or at < life["until"]):
                if (at, value) in life["seen"]:  # a duplicate
                    return False
                life["seen"].add((at, value))
                held = life["cells"].get("p")
                if held is None or (at, "pump", value) > held:  # of two values of one source and time the greater, a conflict
                    life["cells"]["p"] = (at, "pump", value)
                return True
        return False

    def end(self, now: int) -> None:
        newest = max((cell[0] for cell in self.lives[-1]["cells"].values()), default=now - 1)
        self.lives[-1]["until"] = max(now, newest + 1, now if self.lives[-1]["since"] is None else self.lives[-1]["since"] + 1)


values = st.fixed_dictionaries({}, optional={"p": st.integers(0, 9).map(float), "mode": st.sampled_from("ab"), "count": st.integers(0, 9)})
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), values),
        st.tuples(st.just("set"), values),
        st.tuples(st.just("remove"), st.sampled_from(["p", "mode", "count"])),
        st.tuples(st.just("delete"), st.none()),
        st.tuples(st.just("reading"), st.tuples(st.integers(-20, 20), st.integers(0, 9).map(float))),
        st.tuples(st.just("wait"), st.integers(0, 10)),
    ),
    max_size=12,
)


def carry_out(platform: LocalPlatform, clock: ManualClock, twin: str, sequence: Any) -> Plain:
    """A sequence on a twin of its own, each step compared with the plain one."""
    plain = Plain()
    for kind, what in sequence:
        now = clock.now()
        if kind == "wait":
            clock.advance(what * SECOND)
        elif kind == "put":
            platform.put_twin(twin, pump(**what))
            before = plain.document()
            if before is None:
                plain.begin(now)
            for path in before or {}:
                if path not in what:
                    plain.write(now, path, None)
            for path, value in what.items():
                plain.write(now, path, value)
        elif kind == "reading":
            at, value = now + what[0] * SECOND, what[1]
            assert send(platform, twin, at, value) == plain.observe(at, value)
        elif plain.alive is None:
            with pytest.raises(DigitalTwinNotFoundError):
                platform.delete_twin(twin)
        elif kind == "delete":
            platform.delete_twin(twin)
            plain.end(now)
        elif kind == "set":
            platform.patch_twin(twin, [{"op": "add", "path": f"/{path}", "value": value} for path, value in what.items()])
            for path, value in what.items():
                plain.write(now, path, value)
        elif what in (plain.document() or {}):
            platform.patch_twin(twin, [{"op": "remove", "path": f"/{what}"}])
            plain.write(now, what, None)
        assert_same(platform, twin, plain)
    return plain


def assert_same(platform: LocalPlatform, twin: str, plain: Plain) -> None:
    expected = plain.document()
    if expected is None:
        with pytest.raises(DigitalTwinNotFoundError):
            platform.state(twin)
    else:
        assert shown(platform.state(twin)) == expected


def run_property(folder: Path, examples: int) -> None:
    clock = ManualClock(NOW)
    platform = opened(folder, clock)
    known: dict[str, Plain] = {}

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(steps)
    def any_sequence(sequence: Any) -> None:
        twin = f"twin-{len(known)}"
        known[twin] = Plain()
        known[twin] = carry_out(platform, clock, twin, sequence)

    try:
        any_sequence()
    finally:
        platform.close()
    platform = opened(folder, clock)
    for twin, plain in known.items():
        assert_same(platform, twin, plain)
    platform.close()


def test_any_sequence_gives_what_the_plain_twin_says(tmp_path: Path) -> None:
    run_property(tmp_path, 40)


AHEAD = [("put", {}), ("reading", (5, 1.0)), ("set", {"p": 2.0})]
AGAIN = [("put", {"p": 1.0}), ("wait", 1), ("delete", None), ("wait", 5), ("put", {}), ("reading", (-3, 2.0))]


@pytest.mark.parametrize("broken", ["writes are of now, whatever telemetry is ahead", "a twin that is made again goes on as it was"])
def test_a_broken_graph_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    if "ahead" in broken:
        monkeypatch.setattr(Draft, "_time", lambda self, life, path: self.now)
    else:
        begin = Draft.begin

        def resumed(self: Draft, twin: str, interface: str) -> Any:
            if twin not in self.world.registry:
                return begin(self, twin, interface)
            life = replace(self.world.registry.newest(twin), until=None, commit=self.commit)
            self._put_life(life)
            return life

        monkeypatch.setattr(Draft, "begin", resumed)
    clock = ManualClock(NOW)
    platform = opened(tmp_path, clock)
    with pytest.raises(AssertionError):
        carry_out(platform, clock, "twin", AHEAD if "ahead" in broken else AGAIN)
    platform.close()


def test_the_sequences_that_break_a_broken_graph_are_carried_out_by_ours(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    platform = opened(tmp_path, clock)
    carry_out(platform, clock, "one", AHEAD)
    carry_out(platform, clock, "two", AGAIN)
    platform.close()


PAGED = [
    "SELECT R FROM DIGITALTWINS A JOIN B RELATED A.feeds R WHERE A.$dtId = 'given'",
    "SELECT R FROM DIGITALTWINS A JOIN B RELATED A.feeds R ORDER BY A.mode DESC",
    "SELECT R FROM DIGITALTWINS MATCH (A)-[R]-(B) WHERE A.$dtId = 'given'",
    "SELECT R FROM RELATIONSHIPS R",
]


def test_a_page_goes_on_where_the_one_before_ended_whatever_was_read_anew(plant: Any) -> None:
    """Of what was there all along each comes once, though its row is another after a change, a new reading of the graph and a restart."""
    platform, _, again = plant
    platform.query(PAGED[0])
    kept = [f"k{nth}" for nth in range(6)]
    to = {"$targetId": "other", "$relationshipName": "feeds"}
    for id in reversed(kept):
        platform.put_relationship("given", id, to)

    def queried(one: LocalPlatform, text: str, token: str | None) -> dict[str, Any]:
        page = one.query(text, continuation=token, max_items=4)
        return {**page, "value": [row["R"] for row in page["value"]]}

    reads = [partial(queried, text=text) for text in PAGED]
    reads.append(lambda one, token: one.relationship_page("given", continuation=token, max_items=4))
    reads.append(lambda one, token: one.incoming_relationship_page("other", continuation=token, max_items=4))
    pages = [read(platform, token=None) for read in reads]
    found = [page["value"] for page in pages]
    while any(pages):
        if len(found[0]) == 4:
            platform = again()
        platform.put_relationship("given", "k3", {**to, "width": float(len(found[0]))})
        platform.put_relationship("given", f"m{len(found[0])}", to)
        platform.session.served.queries.close()
        tokens = [page and page["continuationToken"] for page in pages]
        pages = [token and read(platform, token=token) for read, token in zip(reads, tokens, strict=True)]
        for edges, page in zip(found, pages, strict=True):
            edges += page["value"] if page else []
    for which, edges in enumerate(found):
        assert sorted(edge["$relationshipId"] for edge in edges if edge["$relationshipId"] in kept) == kept, which
