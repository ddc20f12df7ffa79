"""Relationships in columns, with what changed beside them, are what a plain dict of them is."""

import random
from dataclasses import replace

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
        assert dict(edges.outgoing(twin)) == {id: edge for (source, id), edge in plain.items() if source == twin}
        assert edges.incoming(twin) == sorted((one for one in plain.values() if one.target == twin), key=lambda one: (one.source, one.id))
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


def test_keys_whose_hashes_meet_are_told_apart(store, monkeypatch):
    monkeypatch.setattr(edge_columns, "hash", lambda one: len(str(one)) % 3, raising=False)
    play(store, 2)


def _first_only(self, wanted):
    return self._rows_of(wanted)[:1]


def test_a_broken_variant_is_caught(store, monkeypatch):
    monkeypatch.setattr(edge_columns._Sorted, "_rows_of", edge_columns._Sorted.rows, raising=False)
    monkeypatch.setattr(edge_columns._Sorted, "rows", _first_only)
    with pytest.raises(AssertionError):
        play(store, 1)
