"""Computed observations of a contract: checked against the units of the fields that they use, and what they need decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from twinwright import units
from twinwright.documents import Document, Location, Problems
from twinwright.errors import ExpressionError, UnitError
from twinwright.expressions import Checked, Kind, Type, parse
from twinwright.schema import PathInfo
from twinwright.storage.layout import ColumnType, ReadingColumn
from twinwright.telemetry.contract_spec import ContractSpec, FieldKind, ObservationSpec
from twinwright.telemetry.conventions import MessageUnitSpec
from twinwright.telemetry.derivation import Derivation, derivation_of, is_structured
from twinwright.telemetry.matching import Matching

_KINDS: Mapping[ColumnType, Kind] = {"DOUBLE": "number", "BIGINT": "number", "BOOLEAN": "boolean", "VARCHAR": "text"}


class Needed(NamedTuple):
    """A field that has to be decoded: as the first of `kinds`, or as another of them where something else reads it so."""

    name: str
    kinds: tuple[FieldKind, ...]
    place: Location


_DECODED: Mapping[Kind, tuple[FieldKind, ...]] = {"number": ("number", "integer"), "boolean": ("boolean",), "text": ("string", "scalar")}


def compute_columns(
    spec: ContractSpec,
    columns: list[ReadingColumn | None],
    declared: Mapping[str, Type],
    paths: Mapping[str, PathInfo],
    document: Document,
    problems: Problems,
) -> dict[int, Checked]:
    """The expression of each computed observation, in the unit of its column; sets the units of these columns."""
    scope = {**_observed(spec, columns), **declared}
    found: dict[int, Checked] = {}
    for index, (observation, column) in enumerate(zip(spec.observations, columns, strict=True)):
        if observation.compute is None or column is None:
            continue
        place = ("observations", index, "compute")
        try:
            checked = _checked(observation, column, scope, paths[observation.path], place, document, problems)
        except UnitError as error:
            problems.add(document.problem(("observations", index, "unit"), error.what, error.remedy or "", "unknown_unit"))
        except ExpressionError as error:
            remedy = error.remedy or ""
            undeclared = [name for name in parse(observation.compute).names if name not in scope] if "convert" in error.what else []
            if undeclared:
                remedy = f"Say what '{undeclared[0]}' is: `fields: {{{undeclared[0]}: {{unit: ...}}}}`"
            problems.add(document.problem(place, f"{error.where}: {error.what}", remedy, "bad_expression"))
        else:
            if checked is not None:
                columns[index] = replace(column, unit=checked.type.unit)
                found[index] = checked
    return found


def _observed(spec: ContractSpec, columns: Sequence[ReadingColumn | None]) -> dict[str, Type]:
    """What fields are that an observation takes as they are."""
    types: dict[str, Type] = {}
    for observation, column in zip(spec.observations, columns, strict=True):
        plain = not (observation.map or observation.is_linear or isinstance(observation.unit, MessageUnitSpec))
        if column is not None and observation.field is not None and plain:
            types.setdefault(observation.field, Type(_KINDS[column.type], column.unit))
    return types


def _checked(
    observation: ObservationSpec,
    column: ReadingColumn,
    scope: Mapping[str, Type],
    info: PathInfo,
    place: Location,
    document: Document,
    problems: Problems,
) -> Checked | None:
    expression = parse(observation.compute or "")
    kinds = expression.kinds()
    checked = expression.check({**{name: Type(kind) for name, kind in kinds.items()}, **scope})
    if is_structured(info.schema) or checked.type.kind != _KINDS[column.type]:
        message = f"`{expression.text}` gives a {checked.type.kind}, and '{observation.path}' holds something else"
        problems.add(document.problem(place, message, "Compute what the property holds", "bad_expression"))
        return None
    if checked.type.kind != "number":
        return checked
    unit = units.canonical(observation.unit if isinstance(observation.unit, str) else info.unit)
    if not units.compatible(unit, info.unit) or not units.compatible(checked.type.unit, unit):
        undeclared = [name for name in expression.names if name not in scope]
        remedy = f"Say what '{undeclared[0]}' is: `fields: {{{undeclared[0]}: {{unit: ...}}}}`" if undeclared else "Correct the expression"
        given = checked.type.unit if units.compatible(unit, info.unit) else unit
        message = f"`{expression.text}` is in {given or 'no unit'}, and '{observation.path}' in {info.unit or 'none'}"
        problems.add(document.problem(place, message, remedy, "wrong_dimension"))
        return None
    return checked.converted(unit)


def needed_by_expressions(spec: ContractSpec, computed: Mapping[int, Checked], matching: Matching | None) -> list[Needed]:
    """The fields that computed observations, units of messages and the rule of matching read."""
    needed: list[Needed] = []
    for index, observation in enumerate(spec.observations):
        if isinstance(observation.unit, MessageUnitSpec):
            needed.append(Needed(observation.unit.field, ("string", "scalar"), ("observations", index, "unit", "field")))
        if index in computed:
            kinds = computed[index].kinds
            needed += [Needed(name, _DECODED[kind], ("observations", index, "compute")) for name, kind in kinds.items()]
    for condition in matching.conditions if matching else ():
        needed += [Needed(name, _DECODED[kind], ("match",)) for name, kind in condition.kinds.items()]
    return needed


def derivations_of(
    spec: ContractSpec,
    columns: Sequence[ReadingColumn | None],
    computed: Mapping[int, Checked],
    paths: Mapping[str, PathInfo],
    document: Document,
    problems: Problems,
) -> tuple[Derivation | None, ...]:
    """What is done with the fields of each observation; None where its field is its value."""
    found: list[Derivation | None] = []
    for index, (observation, column) in enumerate(zip(spec.observations, columns, strict=True)):
        if column is None or observation.map or (observation.compute and index not in computed):
            found.append(None)
            continue
        schema = paths[observation.path].schema
        if index in computed:
            found.append(Derivation(computed[index]))
            continue
        try:
            found.append(derivation_of(observation, observation.unit, column, schema))
        except UnitError as error:
            problems.add(document.problem(("observations", index, "unit", "names"), error.what, error.remedy or "", "unknown_unit"))
            found.append(None)
    return tuple(found)
