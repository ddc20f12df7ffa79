"""What every store has to do with twins and relationships that change. See `conformance.py`."""

import json
import random
from dataclasses import replace
from itertools import product

import pyarrow as pa
from tests.storage.conformance_case import write

from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Lifetime, Relationship, RelationshipPart
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
        assert store.relationships(SYSTEM, RelationshipPart(EDGE.source), as_of=4) == [EDGE]
        assert store.relationships(SYSTEM, RelationshipPart("nobody")) == []
        assert store.relationships(SYSTEM, as_of=25) == [other]
        assert store.relationships(SYSTEM, known_at=gone) == [other]
        assert store.relationships(SYSTEM, known_at=changed) == [replace(EDGE, properties={"x": 2}), other]
        assert store.relationships(SYSTEM, as_of=99, known_at=made) == [EDGE, other]


def check_a_part_of_the_relationships_is_read_from_where_the_last_ended(case):
    rng, store = random.Random(3), case.store
    every = [Relationship(f"t{n % 4}", f"r{n}", rng.choice(["feeds", "contains"]), "b", changed_at=5) for n in range(40)]
    made = declare(store, (), every)
    gone = [replace(one, removed=True, changed_at=10) for one in every[::3]]
    declare(store, (), gone)
    for moment in ({}, {"as_of": 7}, {"known_at": made}):
        whole = store.relationships(SYSTEM, **moment)
        assert len(whole) == (40 - len(gone) if not moment else 40)
        for source, name, most in product((None, "t1"), (None, "feeds"), (None, 1, 7)):
            wanted = [one for one in whole if source in (None, one.source) and name in (None, one.name)]
            found, behind = [], None
            while part := store.relationships(SYSTEM, RelationshipPart(source, name, behind, most), **moment):
                assert most is None or len(part) <= most
                found += part
                assert len(found) <= len(wanted)
                behind = part[-1].source, part[-1].id
            assert found == wanted


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


def check_changed_relationships_are_told_in_parts(case):
    rng, store = random.Random(5), case.store
    known, commits = {}, []
    for at in range(1, 7):
        said = [Relationship(f"t{n % 3}", f"r{n}", "feeds", "b", {"x": at}, changed_at=at * 10 + n % 7) for n in rng.sample(range(40), 12)]
        said += [replace(said[0], changed_at=None, properties={"x": -at})] if at == 4 else []
        said += [replace(one, removed=True, changed_at=one.changed_at + 1) for one in said[1:3]]
        commits.append(declare(store, (), said))
        known[commits[-1]] = said
    for opened in (lambda: case.store, case.reopen):
        store = opened()
        for first, last, between in ((0, 5, None), (1, 3, None), (2, 2, (25, 41)), (1, 2, (30, None)), (5, 5, (0, 1))):
            after, through = (commits[first - 1] if first else 0), commits[last]
            every = [(commit, one) for commit, said in known.items() for one in said if commit <= through]
            wanted = {(one.source, one.id) for commit, one in every if commit > after or _is_between(one.changed_at, between)}
            for most in (1, 5, 100):
                found, behind = [], None
                while part := store.changed_relationships(SYSTEM, after, through, between=between, behind=behind, most=most):
                    assert len(part) <= most
                    found, behind = found + part, part[-1]
                assert found == sorted(wanted)
            some = set(sorted(wanted)[::2])
            every = store.relationship_versions(SYSTEM, after, through)
            mine = [one for one in every if (one.source, one.id) in some]
            assert store.relationship_versions(SYSTEM, after, through, keys=some) == mine
            edges = [one for one in store.relationships(SYSTEM, as_of=33) if (one.source, one.id) in some]
            assert store.relationships(SYSTEM, RelationshipPart(keys=frozenset(some)), as_of=33) == edges
        for commit, said in known.items():
            mine = [one for one in said if one.source == "t1"]
            for most in (1, 3, 100):
                found, behind = [], None
                while part := store.commit_relationships(SYSTEM, commit, "t1", behind, most):
                    found += part
                    behind = part[-1].changed_at, part[-1].id
                assert found == sorted(mine, key=lambda one: (one.changed_at is not None, one.changed_at or 0, one.id))


def _is_between(at, between):
    return between is not None and at is not None and at >= between[0] and (between[1] is None or at < between[1])


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
