"""Law 11 for clients that write: what one writes in the names and units of its version it reads back as it was, and readers of every other
version read the same physical quantity; whichever version the twin is of meanwhile, and whatever others wrote before.

The reference computes with plain numbers, step by step. The check passes for ours, and is shown to catch the broken ones in `mutants/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.test_evolution import FACTORS, PASCALS, VERSIONS, evolved, interface, names_of, quantities
from tests.mutating import variant

from twinwright.clock import ManualClock
from twinwright.governance.principals import SYSTEM
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.layout import Lifetime
from twinwright.storage.protocol import GOOD
from twinwright.twins.documents import value_of, winners
from twinwright.twins.evolution import Evolution
from twinwright.twins.graph.current import Edges
from twinwright.twins.graph.draft import Draft, World
from twinwright.twins.graph.twin_patch import patch_twin
from twinwright.twins.graph.twin_writes import put_twin
from twinwright.twins.registry import TwinRegistry
from twinwright.twins.state import StateCache

MUTANTS = Path(__file__).parent / "mutants"
NOW = 1_000_000
NUMBERS = count(1)  # each plant is a lifetime of its own
Ways = list[list[tuple[str, str]]]
Said = tuple[int, int, bool, float | None, int | None]

# A write: of which quantity, by a client of which version, as a patch or a whole document; the number in its client's unit (None: it is
# removed); and of which version the twin is when it comes (None: it comes in the same commit as the one before).
versions = st.integers(0, VERSIONS - 1)
said = st.tuples(st.integers(0, 2), versions, st.booleans(), st.one_of(st.none(), st.floats(-1e3, 1e3)), st.one_of(st.none(), versions))
stories = st.lists(said, min_size=1, max_size=6)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateCache]:
    store = DuckDBStore(tmp_path_factory.mktemp("laws") / "store.duckdb", ManualClock(NOW))
    yield StateCache(store, SYSTEM)
    store.close()


class Plant:
    """One twin, to which clients of every version write; the platform's clock stands still."""

    def __init__(self, ways: Ways, state: StateCache) -> None:
        self.ways, self.state, self.number, self.commits = ways, state, next(NUMBERS), count(1)
        self.lineages, self.ontology = evolved(ways)
        self.draft = self.at(0)

    def at(self, version: int) -> Draft:
        """A commit while the twin is of a version."""
        registry = TwinRegistry([Lifetime(self.number, "t", interface(version))], {})
        self.evolution = Evolution(self.lineages, registry)
        edges = Edges(self.state._store, SYSTEM)
        self.draft = Draft(World(self.ontology, frozenset(), registry, edges, self.state, self.evolution), NOW, next(self.commits))
        return self.draft

    def write(self, quantity: int, version: int, value: float | None, *, whole: bool) -> None:
        path = names_of(quantity, self.ways[quantity])[version]
        if whole:
            shown = {**self.read(version), path: value}
            document = {name: one for name, one in shown.items() if one is not None}
            put_twin(self.draft, "t", {"$metadata": {"$model": interface(version)}, **document}, None)
        elif value is not None or path in self.read(version):
            step = {"op": "add", "value": value} if value is not None else {"op": "remove"}
            patch_twin(self.draft, "t", [{**step, "path": f"/{path}"}], None, interface=interface(version))

    def read(self, version: int) -> dict[str, float]:
        """As documents of a version are read, of what was committed and what is in the draft."""
        rows = [*self.state.of_twin(self.number), *({**row, "commit": self.draft.commit} for row in self.draft.rows)]
        cells = winners(self.evolution.seen_as({self.number: interface(version)}).cells(rows)).values()
        paths = self.ontology.paths(interface(version))
        return {cell["path"]: value_of(cell, paths[cell["path"]]) for cell in cells if cell["kind"] == GOOD}


def check(ways: Ways, story: list[Said], state: StateCache) -> None:
    plant = Plant(ways, state)
    held: dict[int, tuple[int, float]] = {}  # by quantity: who wrote it, and what
    for number, version, whole, value, moved in story:
        if moved is not None:
            plant.draft.publish(lambda _: {})
            plant.at(moved)
        quantity = number % len(ways)
        plant.write(quantity, version, value, whole=whole)
        held.pop(quantity, None)
        if value is not None:
            held[quantity] = (version, value)
        for asked in range(VERSIONS):
            shown = plant.read(asked)
            assert shown == pytest.approx(expected(ways, held, asked), rel=1e-9, abs=1e-9)
            if asked == version and value is not None:
                assert shown[names_of(quantity, ways[quantity])[version]] == value  # not a bit of it is lost


def expected(ways: Ways, held: dict[int, tuple[int, float]], asked: int) -> dict[str, float]:
    found = {}
    for quantity, (version, value) in held.items():
        way = ways[quantity]
        pascals = value * PASCALS[way[version][0]]
        for step in range(min(version, asked) + 1, max(version, asked) + 1):
            pascals = pascals * FACTORS[way[step][1]] if asked > version else pascals / FACTORS[way[step][1]]
        found[names_of(quantity, way)[asked]] = pascals / PASCALS[way[asked][0]]
    return found


@settings(max_examples=15, deadline=None)
@given(quantities, stories)
def test_what_a_client_writes_is_the_same_quantity_for_all(state: StateCache, ways: Ways, story: Any) -> None:
    check(ways, story, state)


KNOWN: Ways = [[("bar", "keep"), ("kilopascal", "keep"), ("pascal", "rename"), ("millibar", "double")]]
STORY: list[Said] = [(0, 2, False, 5.0, 2), (0, 2, True, 6.0, 2), (0, 0, False, 1.5, 1), (0, 3, True, 7.0, 0), (0, 1, False, None, None)]


@pytest.mark.parametrize("name", ["writes_in_units_of_the_twin", "writes_hidden_by_other_names"])
def test_the_check_catches_a_broken_one(name: str, state: StateCache, monkeypatch: pytest.MonkeyPatch) -> None:
    check(KNOWN, STORY, state)
    variant(MUTANTS / f"{name}.py").apply(monkeypatch)
    with pytest.raises(AssertionError):
        check(KNOWN, STORY, state)
