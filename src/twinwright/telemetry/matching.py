"""Several contracts on one source: which of them takes a reading.

Contracts that name the same connector with the same options, and of which at least one has a `match`, share a source. They are asked
in the order of their names, one without a `match` last; the first whose condition holds takes the reading. What none takes is refused
by the last. Each reading is counted once, by the contract that takes or refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from twinwright.documents import Document, Location, Problems
from twinwright.errors import ExpressionError, UnitError
from twinwright.expressions import Checked, Type, parse
from twinwright.telemetry.contract_spec import ContractSpec
from twinwright.telemetry.conventions import FieldSpec


@dataclass(frozen=True, slots=True)
class Rule:
    """The condition of a contract, and what its fields are."""

    contract: str
    text: str
    fields: Mapping[str, FieldSpec]


@dataclass(frozen=True, slots=True)
class Group:
    """What a contract shares its source with: the rules that are asked before it, and whether it is the last."""

    earlier: tuple[Rule, ...] = ()
    last: bool = True


@dataclass(frozen=True, slots=True)
class Matching:
    """Which readings are this contract's: those for which `own` holds (None: all) and none of `earlier` does."""

    text: str | None
    before: tuple[str, ...]
    last: bool
    own: Checked | None = field(compare=False)
    earlier: tuple[Checked, ...] = field(compare=False)

    @property
    def conditions(self) -> tuple[Checked, ...]:
        return self.earlier if self.own is None else (*self.earlier, self.own)


ALONE = Group()


def groups_of(specs: Mapping[str, tuple[ContractSpec, Document]], problems: Problems) -> dict[str, Group]:
    """The group of every contract that shares its source, by name."""
    sharing: dict[str, list[str]] = {}
    for name, (spec, _) in sorted(specs.items()):
        if spec.source.connector is not None:
            options = json.dumps([spec.source.connector, spec.source.model_extra], sort_keys=True, default=str)
            sharing.setdefault(options, []).append(name)
    groups: dict[str, Group] = {}
    for names in sharing.values():
        if len(names) > 1 and any(specs[name][0].match is not None for name in names):
            groups |= _group(names, specs, problems)
    return groups


def _group(names: list[str], specs: Mapping[str, tuple[ContractSpec, Document]], problems: Problems) -> dict[str, Group]:
    ordered = sorted(names, key=lambda name: (specs[name][0].match is None, name))
    rules: list[Rule] = []
    groups: dict[str, Group] = {}
    first = specs[ordered[0]][0]
    for name in ordered:
        spec, document = specs[name]
        if (spec.format, spec.delimiter, spec.each) != (first.format, first.delimiter, first.each):
            message = f"the contract '{first.name}' reads the same source in another way (format, delimiter or each)"
            problems.add(document.problem(("source",), message, "Contracts that share a source by `match` read it alike", "other_form"))
        if spec.match is None and name != ordered[-1]:
            message = f"neither this contract nor '{ordered[-1]}' has a `match`, and others on this source do"
            problems.add(document.problem(("source",), message, "Only one can take what no other matches", "two_rests"))
        groups[name] = Group(tuple(rules), name == ordered[-1])
        if spec.match is not None:
            rules.append(Rule(name, spec.match, spec.fields))
    return groups


def matching_of(spec: ContractSpec, group: Group, document: Document, problems: Problems) -> Matching | None:
    """The compiled rule of a contract; None where it takes all that comes, or has problems."""
    if spec.match is None and not group.earlier:
        return None
    rules = [*group.earlier, *([Rule(spec.name, spec.match, spec.fields)] if spec.match is not None else [])]
    conditions: list[Checked] = []
    for rule in rules:
        try:
            conditions.append(condition(rule))
        except (ExpressionError, UnitError) as error:
            if rule.contract == spec.name:  # one of another contract is told there
                problems.add(document.problem(("match",), f"{error.where}: {error.what}", error.remedy or "", "bad_match"))
            return None
    own = conditions.pop() if spec.match is not None else None
    return Matching(spec.match, tuple(rule.text for rule in group.earlier), group.last, own, tuple(conditions))


def condition(rule: Rule) -> Checked:
    """Raises ExpressionError for what is no condition, UnitError for a unit of a field that is none."""
    expression = parse(rule.text)
    kinds = expression.kinds()
    checked = expression.check(types_of(rule.fields) | {name: Type(kind) for name, kind in kinds.items() if name not in rule.fields})
    if checked.type.kind != "boolean":
        expression.fail(expression.root, "this neither holds nor fails", 'Compare it with something: type == "pump"')
    return checked


def types_of(fields: Mapping[str, FieldSpec]) -> dict[str, Type]:
    """What declared fields are in expressions. Raises UnitError."""
    from twinwright import units

    return {name: Type(spec.type, units.canonical(spec.unit)) for name, spec in fields.items()}


def check_field_units(fields: Mapping[str, FieldSpec], document: Document, problems: Problems) -> dict[str, Type]:
    """The types of declared fields; one whose unit is unknown goes into `problems`."""
    types: dict[str, Type] = {}
    for name, spec in fields.items():
        place: Location = ("fields", name, "unit")
        try:
            types |= types_of({name: spec})
        except UnitError as error:
            problems.add(document.problem(place, error.what, error.remedy or "", "unknown_unit"))
    return types
