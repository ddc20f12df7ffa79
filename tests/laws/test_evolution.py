"""Law 11: read through any version, history is the same physical quantity, whichever version it came under.

The reference computes with plain numbers, step by step. The check passes for ours, and is shown to catch the broken ones in `mutants/`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mutating import variant

from twinwright import schema, units
from twinwright.documents import Problems
from twinwright.storage.layout import Lifetime
from twinwright.storage.protocol import GOOD, RECORD_SCHEMA
from twinwright.twins.evolution import Evolution, Lineages, compile_migrations
from twinwright.twins.registry import TwinRegistry

MUTANTS = Path(__file__).parent / "mutants"
PASCALS = {"kilopascal": 1e3, "bar": 1e5, "pascal": 1.0, "millibar": 1e2}
SHORT = {"kilopascal": "kPa", "bar": "bar", "pascal": "Pa", "millibar": "mbar"}
VERSIONS = 4

# Of one quantity, for each version: its unit, and what becomes of it on the way there (a factor: it is computed anew, under a new name).
steps = st.tuples(st.sampled_from(sorted(PASCALS)), st.sampled_from(["keep", "rename", "double", "half"]))
quantities = st.lists(st.lists(steps, min_size=VERSIONS, max_size=VERSIONS), min_size=1, max_size=3)
stored = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, VERSIONS - 1), st.sampled_from(sorted(PASCALS)), st.floats(-1e3, 1e3)),
    min_size=1,
    max_size=8,
)
FACTORS = {"keep": 1.0, "rename": 1.0, "double": 2.0, "half": 0.5}


def interface(version: int) -> str:
    return f"dtmi:test:Tank;{version + 1}"


def names_of(quantity: int, way: list[tuple[str, str]]) -> list[str]:
    """What a quantity is called in each version: another name where it is renamed or computed."""
    names = [f"q{quantity}v0"]
    for version in range(1, VERSIONS):
        names.append(names[-1] if way[version][1] == "keep" else f"q{quantity}v{version}")
    return names


def evolved(ways: list[list[tuple[str, str]]]) -> tuple[Lineages, schema.Ontology]:
    documents, texts = [], {}
    for version in range(VERSIONS):
        contents = [
            {"@type": ["Property", "Pressure"], "name": names_of(index, way)[version], "schema": "double", "unit": way[version][0]}
            for index, way in enumerate(ways)
        ]
        head = {"@context": "dtmi:dtdl:context;2", "@type": "Interface", "@id": interface(version)}
        documents.append(json.dumps({**head, "contents": contents}))
        told: list[dict[str, Any]] = []
        for index, way in enumerate(ways if version else ()):
            old, new = names_of(index, way)[version - 1], names_of(index, way)[version]
            what = way[version][1]
            if what in ("double", "half"):
                told.append({"retype": old, "to": new, "as": f"{old} * {FACTORS[what]}", "back": f"{new} / {FACTORS[what]}"})
                continue
            if what == "rename":
                told.append({"rename": old, "to": new})
            if way[version - 1][0] != way[version][0]:
                told.append({"unit": old, "to": SHORT[way[version][0]]})
        if version:
            body = {"name": f"m{version}", "from": interface(version - 1), "to": interface(version), "steps": told}
            texts[f"m{version}.yaml"] = json.dumps(body)
    ontology, problems = schema.load(documents), Problems()
    migrations = compile_migrations(texts, ontology, problems)
    assert problems.items == []
    return Lineages(migrations, ontology), ontology


def check(ways: list[list[tuple[str, str]]], records: list[tuple[int, int, str, float]]) -> None:
    lineages, ontology = evolved(ways)
    rows = [
        {
            "twin": 1, "path": names_of(quantity % len(ways), ways[quantity % len(ways)])[version], "time": time, "source": "s",
            "correction": 0, "revision": 1, "commit": 1, "kind": GOOD, "type": "DOUBLE", "num": value, "int": None, "txt": None,
            "unit": SHORT[unit],
        }
        for time, (quantity, version, unit, value) in enumerate(records)
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=RECORD_SCHEMA)
    meeting = [{**row, "time": row["time"] // 2, "correction": row["time"] ^ 1} for row in rows]  # by twos of one key, the greater first
    for asked in range(VERSIONS):
        registry = TwinRegistry([Lifetime(1, "t", interface(asked))], {})
        paths = ontology.paths(interface(asked))
        read = Evolution(lineages, registry).table(table).to_pylist()
        if asked in (0, VERSIONS - 1):
            whole = Evolution(lineages, registry).table(pa.Table.from_pylist(meeting, schema=RECORD_SCHEMA)).to_pylist()
            assert sorted(Evolution(lineages, registry).cells(meeting), key=str) == sorted(whole, key=str)
        assert len(read) == len(records)  # every one has its place in every version, and none two
        for row in read:
            quantity, version, unit, value = records[row["time"]]
            way = ways[quantity % len(ways)]
            pascals = value * PASCALS[unit]
            for step in range(min(version, asked) + 1, max(version, asked) + 1):
                pascals = pascals * FACTORS[way[step][1]] if asked > version else pascals / FACTORS[way[step][1]]
            assert row["path"] == names_of(quantity % len(ways), way)[asked]
            shown = units.converter(row["unit"], paths[row["path"]].unit).apply(row["num"])
            assert shown * PASCALS[way[asked][0]] == pytest.approx(pascals, rel=1e-9, abs=1e-6)
            narrowed = Evolution(lineages, registry).table(table, [row["path"]]).to_pylist()
            assert row in narrowed


@settings(max_examples=40, deadline=None)
@given(quantities, stored)
def test_history_is_the_same_quantity_through_every_version(ways: list[list[tuple[str, str]]], records: Any) -> None:
    check(ways, records)


KNOWN = [[("bar", "keep"), ("kilopascal", "rename"), ("pascal", "double"), ("millibar", "half")]]
OBSERVED = [(0, version, "millibar", 100.0 + version) for version in range(VERSIONS)]


BESIDE = [(0, 0, "millibar", 100.0), (0, 0, "bar", 100.0), (0, 0, "bar", 3.0), (0, 1, "bar", 4.0)]


@pytest.mark.parametrize(
    "name",
    [
        "migrations_forget_units",
        "migrations_of_one_step",
        "migrations_go_one_way",
        "migrations_forget_units_of_single_values",
        "migrations_take_single_values_by_arrival",
    ],
)
def test_the_check_catches_a_broken_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(KNOWN, OBSERVED)
    check(KNOWN, BESIDE)
    variant(MUTANTS / f"{name}.py").apply(monkeypatch)
    with pytest.raises(AssertionError):
        check(KNOWN, OBSERVED)
        check(KNOWN, BESIDE)
