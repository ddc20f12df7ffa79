"""The machine-readable cases of the DTDL specification, and an ontology in use, judged by `schema.load`."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from twinwright import schema
from twinwright.errors import SchemaError


def _judge(case: dict[str, Any]) -> tuple[bool, list[Any]]:
    try:
        schema.load(case["input"], allow_undefined_extensions="AllowUndefinedExtensions" in case["options"])
    except SchemaError as error:
        return False, error.problems
    return True, []


def test_every_case_of_the_specification_is_judged_right(specification_cases: list[Any]) -> None:
    misses: Counter[str] = Counter()
    for entry in specification_cases:
        valid, problems = _judge(entry["case"])
        if valid != entry["case"]["valid"]:
            misses[entry["name"]] += 1
        assert all(problem.code.startswith("dtmi:dtdl:parsingError:") and problem.remedy and problem.path for problem in problems)
    right = len(specification_cases) - misses.total()
    print(f"judged right: {right} of {len(specification_cases)} ({right / len(specification_cases):.2%})")
    assert not misses, misses.most_common(20)


def test_unresolved_references_are_named(specification_cases: list[Any]) -> None:
    incomplete = [entry["case"] for entry in specification_cases if "expect" in entry["case"]]
    assert len(incomplete) > 100
    for case in incomplete:
        _, problems = _judge(case)
        named = {problem.message.split("'")[1] for problem in problems if problem.code.endswith(":unresolvedReference")}
        assert named == set(case["expect"]["unresolvedIdentifiers"])


def test_real_estate_core_loads_at_once(real_estate_core: list[Any]) -> None:
    started = time.process_time()  # what other processes do is not in it
    ontology = schema.load(real_estate_core)
    seconds = time.process_time() - started
    print(f"{len(ontology.interfaces)} interfaces in {seconds:.3f} s")
    assert len(ontology.interfaces) == 767
    assert seconds < 5  # a third of a second when this was written
    assert ontology.is_subtype("dtmi:digitaltwins:rec_3_3:agents:Company;1", "dtmi:digitaltwins:rec_3_3:core:Agent;1")
    assert ontology.paths("dtmi:digitaltwins:rec_3_3:agents:Company;1")["logo"].writable
    rating = ontology.paths("dtmi:digitaltwins:rec_3_3:asset:AccessPanel;1")["fireRating"]
    assert (rating.unit, rating.semantic_type) == ("h", "TimeSpan")
    assert sum(len(ontology.paths(dtmi)) for dtmi in ontology.interfaces) > 5000
