"""Relationships in columns, with what changed beside them, are what a plain dict of them is."""

import random
from bisect import bisect_left
from dataclasses import replace
from itertools import islice
from operator import attrgetter

import polars as pl
import pytest
from tests.storage.conformance_case import NOW, write

from twinwright.clock import ManualClock
from twinwright.governance.principals import SYSTEM
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.graph_rows import relationship_rows
from twinwright.storage.layout import Relationship
from twinwright.twins.graph import edge_columns
from twinwright.twins.graph.current import Edges
from twinwright.twins.graph.edge_columns import hashes

TWINS = [f"t{number}" for number in range(12)]


@pytest.fixture
def store(tmp_path):
    opened = DuckDBStore(tmp_path / "store.duckdb", ManualClock(NOW))
    yield opened
    opened.close()


def some(rng, count, at):
    keys = {(rng.choice(TWINS), f"r{rng.randrange(400)}") for _ in range(count)}
    return [Relationship(s, id, rng.choice("ab"), rng.choice(TWINS), {"x": at} if at % 2 else {}, changed_at=at) for s, id in sorted(keys)]


def agree(edges, plain):
    for twin in TWINS:
        outgoing = sorted((one for one in plain.values() if one.source == twin), key=attrgetter("key"))
        incoming = sorted((one for one in plain.values() if one.target == twin), key=attrgetter("key"))
        assert list(edges.outgoing(twin)) == outgoing and list(edges.incoming(twin)) == incoming
        assert list(edges.outgoing(twin, name="a")) == [one for one in outgoing if one.name == "a"]
        for behind in [*(one.id for one in outgoing[::5]), "", "r2", "s"]:
            assert list(edges.outgoing(twin, behind)) == [one for one in outgoing if one.id > behind]
        for behind in [*(one.key for one in incoming[::5]), ("t3", ""), ("t3", "r2"), ("z", "")]:
            assert list(edges.incoming(twin, behind)) == [one for one in incoming if one.key > behind]
    for source, id in [*plain, ("t0", "none"), ("none", "r1")]:
        assert edges.get(source, id) == plain.get((source, id))
    for name in ("a", "b"):
        told = edges.named(hashes(TWINS), name).tolist()
        true = [sum(one.source == twin and one.name == name for one in plain.values()) for twin in TWINS]
        assert all(one >= other for one, other, twin in zip(told, true, TWINS, strict=True) if twin not in edges._changed)
    everything = edges.some(10_000)
    assert {(one.source, one.id): one for one in everything} == plain and len(everything) == len(plain)
    assert len(edges.some(7)) == min(7, len(plain))


def play(store, seed):
    """Relationships that come in columns and one by one, that change and go."""
    rng, plain, edges = random.Random(seed), {}, Edges(store, SYSTEM)
    for step in range(1, 40):
        coming = some(rng, rng.choice([1, 5, 60]), step)
        keys = hashes((one.source, one.id) for one in coming)
        fresh = edges.fresh([one.source for one in coming], keys)
        assert not any(ok and (one.source, one.id) in plain for one, ok in zip(coming, fresh, strict=True))
        whole = [one for one, ok in zip(coming, fresh, strict=True) if ok]
        single = [one for one, ok in zip(coming, fresh, strict=True) if not ok][: rng.randrange(4)]
        gone = [
            replace(one, removed=True, changed_at=step) for one in rng.sample(sorted(plain.values(), key=str), min(len(plain), step % 3))
        ]
        gone = [one for one in gone if (one.source, one.id) not in {(other.source, other.id) for other in single}]
        with write(store, "graph") as transaction:
            transaction.append_relationships(relationship_rows(whole))
            transaction.declare_relationships([*single, *gone])
        edges.take_rows(relationship_rows(whole))
        edges.take([*single, *gone])
        plain |= {(one.source, one.id): one for one in [*whole, *single]}
        for one in gone:
            del plain[one.source, one.id]
            assert edges.changed_at((one.source, one.id)) == step
        if step % 13 == 0:
            edges.forget()
    agree(edges, plain)
    agree(Edges(store, SYSTEM), plain)


def test_columns_and_changes_are_what_a_dict_is(store):
    play(store, 1)


@pytest.fixture
def many(monkeypatch):
    """Every twin has very many relationships, of which few are read together."""
    monkeypatch.setattr(edge_columns, "_MANY", 3)
    monkeypatch.setattr(edge_columns, "_READ", 4)


def test_those_of_twins_that_have_many_are_too(store, many):
    play(store, 3)


def test_keys_whose_hashes_meet_are_told_apart(store, monkeypatch):
    monkeypatch.setattr(edge_columns, "hash", lambda one: len(str(one)) % 3, raising=False)
    play(store, 2)


BROKEN = {
    "one row of a hash": (edge_columns._Sorted, "rows", lambda self, wanted: _rows(self, wanted)[:1]),
    "what changed stays in the columns": (edge_columns.EdgeColumns, "hide", lambda self, key: None),
    "a page begins with the last of the one before": (edge_columns, "bisect_right", bisect_left),
    "rows in the order in which they came": (edge_columns.pl, "arg_sort_by", lambda *by: pl.arange(pl.len()).cast(pl.UInt32)),
}
_rows = edge_columns._Sorted.rows


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_variant_is_caught(store, many, monkeypatch, broken):
    monkeypatch.setattr(*BROKEN[broken])
    with pytest.raises(AssertionError):
        play(store, 1)


def test_a_page_of_very_many_makes_few_of_them(store, monkeypatch):
    hub = [Relationship(f"t{number:05}", "r", "a", "hub") for number in range(20_000)]
    with write(store, "graph") as transaction:
        transaction.append_relationships(relationship_rows(hub))
    edges = Edges(store, SYSTEM)
    assert next(edges.incoming("hub")) == hub[0]
    made, real = [], edge_columns._edges
    monkeypatch.setattr(edge_columns, "_edges", lambda part, rows: made.append(len(rows)) or real(part, rows))
    for at in (0, 7_777, 19_000):
        assert list(islice(edges.incoming("hub", hub[at].key), 100)) == hub[at + 1 : at + 101]
    assert sum(made) <= 3 * 512
