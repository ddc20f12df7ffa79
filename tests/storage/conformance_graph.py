"""What every store has to do with twins and relationships that change. See `conformance.py`."""

import json
from dataclasses import replace

import pyarrow as pa
from tests.storage.conformance_case import write

from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Lifetime, Relationship
from twinwright.storage.protocol import RELATIONSHIP_SCHEMA

PUMP, VALVE = "dtmi:t:Pump;1", "dtmi:t:Valve;1"
FIRST = Lifetime(1, "a", PUMP)
EDGE = Relationship("a", "r", "feeds", "b", {"x": 1})


def declare(store, lifetimes=(), relationships=()):
    with write(store) as transaction:
        transaction.declare_twins(lifetimes)
        transaction.declare_relationships(relationships)
    return transaction.commit


def check_a_lifetime_is_its_newest_version(case):
    store = case.store
    made = declare(store, [FIRST, Lifetime(2, "b", PUMP)])
    other = declare(store, [replace(FIRST, interface=VALVE, changed_at=10)])
    ended = declare(store, [replace(FIRST, interface=VALVE, until=20, changed_at=20)])
    again = declare(store, [Lifetime(3, "a", PUMP, since=30, changed_at=30)])
    for opened in (lambda: case.store, case.reopen):
        store = opened()
        now = store.lifetimes(SYSTEM)
        assert now == [Lifetime(1, "a", VALVE, None, 20), Lifetime(2, "b", PUMP), Lifetime(3, "a", PUMP, 30)]
        assert [(one.changed_at, one.commit, one.alive) for one in now] == [(20, ended, False), (None, made, True), (30, again, True)]
        assert store.lifetimes(SYSTEM, twin="a") == [now[0], now[2]]
        assert store.lifetimes(SYSTEM, twin="nobody") == []
        assert store.lifetimes(SYSTEM, twin="a", known_at=made) == [FIRST]
        assert store.lifetimes(SYSTEM, twin="a", known_at=other) == [replace(FIRST, interface=VALVE)]
        assert store.lifetimes(SYSTEM, twin="a", as_of=9) == [FIRST]
        assert store.lifetimes(SYSTEM, twin="a", as_of=10) == [replace(FIRST, interface=VALVE)]
        assert store.lifetimes(SYSTEM, as_of=20) == [replace(FIRST, interface=VALVE, until=20), Lifetime(2, "b", PUMP)]
        assert store.lifetimes(SYSTEM, twin="a", as_of=99, known_at=made) == [FIRST]
        assert store.lifetimes(SYSTEM, known_at=made - 1) == []


def check_of_versions_in_one_commit_the_later_counts(case):
    store = case.store
    declare(store, [FIRST, replace(FIRST, until=5, changed_at=5)], [EDGE, replace(EDGE, properties={"x": 2}, changed_at=7)])
    assert store.lifetimes(SYSTEM) == [replace(FIRST, until=5)]
    assert store.lifetimes(SYSTEM, as_of=4) == [FIRST]
    assert store.relationships(SYSTEM) == [replace(EDGE, properties={"x": 2})]
    assert store.relationships(SYSTEM, as_of=6) == [EDGE]


def check_a_relationship_is_its_newest_version_until_it_is_removed(case):
    store = case.store
    other = Relationship("a", "s", "feeds", "c", changed_at=5)
    made = declare(store, (), [EDGE, other])
    changed = declare(store, (), [replace(EDGE, properties={"x": 2}, changed_at=10)])
    gone = declare(store, (), [replace(EDGE, removed=True, changed_at=20)])
    again = declare(store, (), [replace(EDGE, target="d", properties={}, changed_at=30)])
    for opened in (lambda: case.store, case.reopen):
        store = opened()
        now = store.relationships(SYSTEM)
        assert now == [Relationship("a", "r", "feeds", "d"), Relationship("a", "s", "feeds", "c")]
        assert [(one.changed_at, one.commit) for one in now] == [(30, again), (5, made)]
        assert store.relationships(SYSTEM, as_of=4) == [EDGE]
        assert store.relationships(SYSTEM, as_of=10) == [replace(EDGE, properties={"x": 2}), other]
        assert store.relationships(SYSTEM, source=EDGE.source, as_of=4) == [EDGE]
        assert store.relationships(SYSTEM, source="nobody") == []
        assert store.relationships(SYSTEM, as_of=25) == [other]
        assert store.relationships(SYSTEM, known_at=gone) == [other]
        assert store.relationships(SYSTEM, known_at=changed) == [replace(EDGE, properties={"x": 2}), other]
        assert store.relationships(SYSTEM, as_of=99, known_at=made) == [EDGE, other]


def check_versions_of_a_range_of_commits_come_with_the_one_before(case):
    store = case.store
    other = Relationship("a", "s", "feeds", "c")
    made = declare(store, [FIRST, Lifetime(2, "b", PUMP)], [EDGE, other])
    changed = declare(store, [replace(FIRST, interface=VALVE, changed_at=10)], [replace(EDGE, properties={"x": 2}, changed_at=10)])
    ended = declare(
        store,
        [replace(FIRST, interface=VALVE, until=20, changed_at=20), Lifetime(3, "a", PUMP, since=30, changed_at=30)],
        [replace(EDGE, removed=True, changed_at=20), replace(EDGE, target="d", changed_at=21)],
    )
    for opened in (lambda: case.store, case.reopen):
        store = opened()
        lives = store.lifetime_versions(SYSTEM, changed, ended)
        assert [(one.number, one.interface, one.until, one.commit) for one in lives] == [
            (1, VALVE, None, changed),
            (1, VALVE, 20, ended),
            (3, PUMP, None, ended),
        ]
        edges = store.relationship_versions(SYSTEM, changed, ended)
        assert [(one.id, one.target, one.removed, one.commit) for one in edges] == [
            ("r", "b", False, changed),
            ("r", "b", True, ended),
            ("r", "d", False, ended),
        ]
        assert edges[0].properties == {"x": 2}
        assert [one.number for one in store.lifetime_versions(SYSTEM, 0, made)] == [1, 2]
        assert store.relationship_versions(SYSTEM, 0, made) == [EDGE, other]
        assert [one.commit for one in store.relationship_versions(SYSTEM, made, ended)] == [made, changed, ended, ended]
        assert store.lifetime_versions(SYSTEM, ended, ended + 9) == store.relationship_versions(SYSTEM, ended, ended + 9) == []
        _some_twins_can_be_asked_for(store, made, changed, ended, lives, edges)


def _some_twins_can_be_asked_for(store, made, changed, ended, lives, edges):
    """Part of the check above."""
    assert store.changed_twins(SYSTEM, made) == {"a": 3, "b": 1}
    assert store.changed_twins(SYSTEM, ended) == {"a": 4}
    assert store.changed_twins(SYSTEM, ended + 1) == {}
    for twins, mine in ((["a", "nobody"], lives), (["b"], []), ([], [])):
        assert store.lifetime_versions(SYSTEM, changed, ended, twins=twins) == mine
    for sources, theirs in ((["nobody", "a"], edges), (["b"], []), ([], [])):
        assert store.relationship_versions(SYSTEM, changed, ended, sources=sources) == theirs
    assert [one.number for one in store.lifetime_versions(SYSTEM, 0, made, twins=["b"])] == [2]


def check_relationships_come_and_go_in_columns(case):
    store = case.store
    rows = [{"source": f"t{k % 40}", "id": f"r{k}", "name": "feeds", "target": "b", "properties": f'{{"x": {k}}}'} for k in range(1_200)]
    rows = [{**row, "changed_at": 5, "commit": None} for row in [*rows, _odd()]]
    with write(store) as transaction:
        transaction.append_relationships(pa.Table.from_pylist(rows, schema=RELATIONSHIP_SCHEMA))
    gone = declare(store, (), [Relationship("t1", "r1", "feeds", "b", removed=True, changed_at=9), replace(EDGE, changed_at=9)])
    for opened in (lambda: case.store, case.reopen):
        store = opened()
        edges = store.relationships(SYSTEM)
        assert len(edges) == 1_201 and {edge.commit for edge in edges} == {transaction.commit, gone}
        assert next(edge for edge in edges if edge.id == "r7").properties == {"x": 7}
        for named in ({}, {"known_at": transaction.commit}, {"as_of": 5}):
            told = store.relationship_rows(SYSTEM, **named)
            assert told.schema == RELATIONSHIP_SCHEMA
            edges = store.relationships(SYSTEM, **named)
            listed = [(one.source, one.id, one.target, one.properties, one.changed_at) for one in edges]
            names = ("source", "id", "target", "properties", "changed_at")
            found = [(*row[:3], json.loads(row[3]), row[4]) for row in zip(*(told[name].to_pylist() for name in names), strict=True)]
            assert sorted(found, key=str) == sorted(listed, key=str)
    with write(store) as transaction:
        transaction.append_relationships(RELATIONSHIP_SCHEMA.empty_table())


def _odd():
    return {"source": "\u0001 \u20ac", "id": "a\u0000b", "name": "n", "target": "\U0001f600", "properties": '{"y": null}'}


CHECKS = [check for name, check in list(globals().items()) if name.startswith("check_")]
