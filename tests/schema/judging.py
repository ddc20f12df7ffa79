"""Cases of DTDL suites, judged by `schema.load`: `python -m tests.schema.judging FILE...` prints the measures of each file.

A case is an object `{name, dtdl_version, case}`, one a line. A suite that names errors (`expect.parsingErrors[].ValidationID`) names
those that are *acceptable*: several parsers may see one mistake differently. So a case is *right* when we give at least one code and
each of ours is among those named; *strict* when the two sets are equal; *among* when all that are named are among ours.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinwright import schema
from twinwright.errors import NotFoundError, Problem, SchemaError, UsageError
from twinwright.schema.report import PREFIX

_FIELDS = {"PrimaryID": "primary_id", "SecondaryID": "secondary_id", "Property": "property", "Value": "value"}


@dataclass(slots=True)
class Outcome:
    """What came of one case: an ontology or problems, and the codes of these beside those that the case names."""

    name: str
    case: dict[str, Any]
    ontology: schema.Ontology | None
    problems: list[Problem]
    ours: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()

    @property
    def as_expected(self) -> bool:
        """Whether valid and invalid were told apart."""
        return (self.ontology is not None) == self.case["valid"]

    @property
    def right(self) -> bool:
        """Whether each code of ours is one that the case names; valid and invalid alone where it names none."""
        return self.as_expected and (not self.named or (bool(self.ours) and self.ours <= self.named))


@dataclass(slots=True)
class Tally:
    """The measures of a suite."""

    counts: Counter[str] = field(default_factory=Counter)
    misses: list[Outcome] = field(default_factory=list)
    partial: list[Outcome] = field(default_factory=list)  # right or not, but not every code that is named, or others

    def add(self, outcome: Outcome) -> None:
        self.counts["cases"] += 1
        self.counts["told apart"] += outcome.as_expected
        if not outcome.right:
            self.misses.append(outcome)
        if outcome.named:
            self.counts["with codes"] += 1
            self.counts["right"] += outcome.right
            self.counts["strict"] += outcome.ours == outcome.named
            if outcome.ours != outcome.named:
                self.partial.append(outcome)
            self.counts["among"] += outcome.named <= outcome.ours
            self.counts["one of them"] += bool(outcome.named & outcome.ours)
        for key, good in _checks(outcome):
            self.counts[f"{key}: {'right' if good else 'wrong'}"] += 1


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The cases of a file. Those for a parser that is told to tolerate mistakes are left out: ours can't be."""
    with gzip.open(path) as lines:
        for line in lines:
            entry = json.loads(line)
            if not entry["case"].get("quirks"):
                yield entry


def judge(entry: dict[str, Any]) -> Outcome:
    """Load what a case holds, in the way that it asks for."""
    case = entry["case"]
    options, steps = case["options"], case.get("resolution", ())
    allow = True if "AllowUndefinedExtensions" in options else False if "DisallowUndefinedExtensions" in options else None

    def resolver(wanted: list[str]) -> list[Any]:
        return [document for step in steps if {*wanted} & {*step["request"]} for document in step["response"] or ()]

    expect = case.get("expect", {})
    named = {error["ValidationID"] for error in expect.get("parsingErrors", ())}
    named |= {PREFIX + "unresolvedReference"} if "unresolvedIdentifiers" in expect else set()
    try:
        ontology = schema.load(
            case["input"], resolver if steps else None, allow, case.get("maxDtdlVersion", 4), case.get("acceptableLimits")
        )
    except SchemaError as error:
        codes = frozenset(problem.code for problem in error.problems)
        return Outcome(entry["name"], case, None, error.problems, codes, frozenset(named))
    return Outcome(entry["name"], case, ontology, [], frozenset(), frozenset(named))


def _checks(outcome: Outcome) -> Iterator[tuple[str, bool]]:
    """What else a case says: of each problem the elements it is about, of a model its elements, and values that conform or don't."""
    named = outcome.case.get("expect", {}).get("parsingErrors", ())
    for problem in outcome.problems:
        same = [error for error in named if error["ValidationID"] == problem.code]
        for key, attribute in _FIELDS.items():
            wanted = [error[key] for error in same if key in error]
            if wanted:
                found = getattr(problem, attribute)
                yield key, any(found == (one if isinstance(one, str | None) else json.dumps(one)) for one in wanted)
    if outcome.ontology is not None:
        for element in outcome.case.get("expect", {}).get("elements", ()):
            yield "element", _is_described(outcome.ontology, element)
        for instance in outcome.case.get("instances", ()):
            if not instance.get("throws"):
                yield "instance", _conforms(outcome.ontology, instance) == instance.get("conforms", False)


def _is_described(ontology: schema.Ontology, wanted: dict[str, Any]) -> bool:
    found = ontology.elements.get(wanted["id"])
    if found is None or found.type != wanted["type"]:
        return False
    return (
        all(_plain(found.properties.get(name)) == _plain(value) for name, value in wanted.get("properties", {}).items())
        and _plain(found.supplemental_types) == _plain(wanted.get("supplementalTypes", found.supplemental_types))
        and _plain(found.supplemental_properties) == _plain(wanted.get("supplementalProperties", found.supplemental_properties))
        and _plain(found.undefined_types) == _plain(wanted.get("undefinedTypes", found.undefined_types))
        and _plain(found.undefined_properties) == _plain(wanted.get("undefinedProperties", found.undefined_properties))
    )


def _plain(value: Any) -> Any:
    """A value in which only what counts differs: lists in any order, mappings of any kind, numbers as floats."""
    if hasattr(value, "items"):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return sorted(json.dumps(_plain(item), sort_keys=True) for item in value)
    return value if isinstance(value, str | bool | None) else float(value)


def _conforms(ontology: schema.Ontology, instance: dict[str, Any]) -> bool:
    try:
        return not ontology.check_instance(instance["subject"], json.loads(instance["submit"]))
    except (ValueError, NotFoundError, UsageError):
        return False


def main(paths: Iterable[str]) -> None:
    """Print the measures of each file, and its misses."""
    for path in paths:
        tally = Tally()
        for entry in read(Path(path)):
            tally.add(judge(entry))
        print(path, json.dumps(tally.counts, indent=1))
        for miss in tally.misses:
            ours, named = (sorted(code.removeprefix(PREFIX) for code in codes) for codes in (miss.ours, miss.named))
            print(f"  {miss.name}: {ours or 'valid'}, named {named or ('valid' if miss.case['valid'] else 'invalid')}")


if __name__ == "__main__":
    main(sys.argv[1:])
