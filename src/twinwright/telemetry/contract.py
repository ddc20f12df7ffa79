"""Contracts: how one kind of payload becomes readings. Checked whole, compiled once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from twinwright import units
from twinwright.clock import parse_duration
from twinwright.documents import Document, Problems
from twinwright.errors import UnitError, UsageError
from twinwright.schema import PathInfo, Schema
from twinwright.storage.layout import ColumnType, ReadingColumn, ReadingTable
from twinwright.telemetry.admitted import Admitted, admitted
from twinwright.telemetry.computation import Needed, compute_columns, derivations_of, needed_by_expressions
from twinwright.telemetry.contract_spec import PLACEHOLDER, ContractSpec, CorrectionSpec, FieldKind, ObservationSpec, captures_of
from twinwright.telemetry.conventions import MessageUnitSpec
from twinwright.telemetry.derivation import Derivation, is_structured
from twinwright.telemetry.event_time import EPOCH_FORMATS
from twinwright.telemetry.fields import Level, check_form, is_flat, levels_of
from twinwright.telemetry.formats import field_problem
from twinwright.telemetry.frames import in_frames
from twinwright.telemetry.held import check_map, column_type
from twinwright.telemetry.matching import ALONE, Group, Matching, check_field_units, matching_of

_KIND_OF: Mapping[ColumnType, FieldKind] = {"DOUBLE": "number", "BIGINT": "integer", "BOOLEAN": "boolean", "VARCHAR": "string"}


@dataclass(frozen=True, slots=True)
class Template:
    """`pump-{unit_no}`: literal texts around placeholders; len(texts) = len(names) + 1."""

    texts: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises UsageError for unbalanced braces and empty placeholders."""
        parts = PLACEHOLDER.split(text)
        texts, names = tuple(parts[0::2]), tuple(parts[1::2])
        if any("{" in part or "}" in part for part in texts) or not all(names):
            raise UsageError(f"'{text}' is not a template", remedy="Write placeholders as {name}, each with a name")
        return cls(texts, names)


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract compiled: what the decoder has to find (`fields`) and what the evaluator does with it. Times in microseconds."""

    spec: ContractSpec
    template: Template
    columns: tuple[ReadingColumn, ...]
    admitted: tuple[Admitted | None, ...]  # of each column, what its property admits
    fields: Mapping[str, FieldKind]
    lateness: int
    skew: int
    freshness: int
    journal: int | None  # how long payloads are kept; None: not here, the source can be read again
    derivations: tuple[Derivation | None, ...] = field(compare=False)  # for each observation; None: its field is its value
    levels: tuple[Level, ...] = ()
    matching: Matching | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def revision(self) -> int:
        return self.spec.revision

    @property
    def source(self) -> str:
        return self.spec.source_name

    @property
    def is_nested(self) -> bool:
        """Whether its JSON is more than documents of plain keys."""
        return bool(self.levels) or "json" in self.fields.values() or not all(map(is_flat, self.fields))

    def means_as(self, other: Contract) -> bool:
        """Whether it is the same as another, their examples aside."""
        mine, theirs = (one.spec.model_copy(update={"examples": []}) for one in (self, other))
        return replace(self, spec=mine) == replace(other, spec=theirs)

    def matches(self, table: ReadingTable) -> bool:
        """Whether `table` is what this revision writes."""
        return (table.contract, table.revision, table.columns) == (self.name, self.revision, self.columns)


def compile_contract(
    spec: ContractSpec, paths: Mapping[str, PathInfo], document: Document, problems: Problems, group: Group = ALONE
) -> Contract | None:
    """Check a contract against the paths of its twins by path and compile it; None when it has problems.

    `group` is what it shares its source with.
    """
    before = len(problems)
    template = _template(spec, document, problems)
    levels = levels_of(spec.each, document, problems)
    columns = [_column(spec, index, paths, document, problems) for index in range(len(spec.observations))]
    types = check_field_units(spec.fields, document, problems)
    computed = compute_columns(spec, columns, types, paths, document, problems)
    matching = matching_of(spec, group, document, problems)
    needed = needed_by_expressions(spec, computed, matching)
    fields = _fields(spec, template, columns, paths, needed, document, problems)
    check_form(spec, fields, len(levels), document, problems)
    derivations = derivations_of(spec, columns, computed, paths, document, problems)
    derivations = in_frames(spec, columns, derivations, document, problems)
    if len(problems) > before or template is None:
        return None
    return Contract(
        spec,
        template,
        tuple(column for column in columns if column is not None),
        tuple(admitted(paths[observation.path].schema) for observation in spec.observations),
        fields,
        parse_duration(spec.lateness),
        parse_duration(spec.skew),
        parse_duration(spec.freshness),
        None if spec.journal == "positions" else parse_duration(spec.journal),
        derivations,
        levels,
        matching,
    )


def _template(spec: ContractSpec, document: Document, problems: Problems) -> Template | None:
    try:
        return Template.parse(spec.twin)
    except UsageError as error:
        problems.add(document.problem(("twin",), error.what, error.remedy or "", "bad_template"))
        return None


def _column(spec: ContractSpec, index: int, paths: Mapping[str, PathInfo], document: Document, problems: Problems) -> ReadingColumn | None:
    observation = spec.observations[index]
    place = ("observations", index)
    info = paths.get(observation.path)
    if info is None:
        from difflib import get_close_matches

        near = get_close_matches(observation.path, list(paths), 1)
        remedy = f"Did you mean '{near[0]}'?" if near else "Name a Property or Telemetry of the twin's interface"
        problems.add(document.problem((*place, "path"), f"no twin has a path '{observation.path}'", remedy, "unknown_path"))
        return None
    unit = None if observation.compute else _unit(observation, info.unit, place, document, problems)
    kind = column_type(info.schema)
    if kind is None:
        message = f"'{observation.path}' has a schema that contracts can't fill: {info.schema}"
        problems.add(document.problem((*place, "path"), message, "Observe other schemas than this one", "bad_schema"))
        return None
    if kind not in ("DOUBLE", "BIGINT") and (observation.range or observation.max_rate or observation.spike):
        message = f"'{observation.path}' is not a number: it has no range, rate or spike"
        problems.add(document.problem(place, message, "Remove it", "bad_range"))
    if kind not in ("DOUBLE", "BIGINT") and observation.sequence:
        message = f"'{observation.path}' is not a number: it can't count"
        problems.add(document.problem((*place, "sequence"), message, "Observe the counter on a path of its own", "bad_sequence"))
    check_map(observation.map or {}, ReadingColumn(observation.path, kind, unit), info.schema, place, document, problems)
    if kind not in ("DOUBLE", "BIGINT") and (observation.is_linear or isinstance(observation.unit, MessageUnitSpec)):
        message = f"'{observation.path}' is not a number: it has no scale, offset, sign or unit"
        problems.add(document.problem(place, message, "Remove it", "bad_convention"))
    return ReadingColumn(observation.path, kind, unit)


def _unit(
    observation: ObservationSpec, declared: str | None, place: tuple[str | int, ...], document: Document, problems: Problems
) -> str | None:
    try:
        if isinstance(observation.unit, MessageUnitSpec):  # it is converted where it is read: a column has one unit
            return units.canonical(declared, where=document.file)
        unit = units.canonical(observation.unit, where=document.file)
        if observation.unit is None and declared is not None:
            message = f"the unit of '{observation.origin}' is missing; '{observation.path}' is in {declared}"
            problems.add(document.problem(place, message, "Add `unit: ...` as the source measures it", "missing_unit"))
        elif not units.compatible(unit, declared):
            message = f"'{observation.unit}' can't be converted to {declared or 'a dimensionless number'}, the unit of '{observation.path}'"
            problems.add(document.problem((*place, "unit"), message, "Correct the unit here or in the interface", "wrong_dimension"))
        return unit
    except UnitError as error:
        problems.add(document.problem((*place, "unit"), error.what, error.remedy or "", "unknown_unit"))
        return None


def _fields(
    spec: ContractSpec,
    template: Template | None,
    columns: list[ReadingColumn | None],
    paths: Mapping[str, PathInfo],
    needed: list[Needed],
    document: Document,
    problems: Problems,
) -> dict[str, FieldKind]:
    """Every field that is read, and as what. One field read as two kinds is a problem: it could not be both."""
    wanted: list[Needed] = []
    captured = captures_of(spec)
    wanted += [Needed(name, ("scalar",), ("twin",)) for name in (template.names if template else ()) if name not in captured]
    wanted.append(Needed(spec.time.field, ("number" if spec.time.format in EPOCH_FORMATS else "string",), ("time", "field")))
    if isinstance(spec.correction, CorrectionSpec):
        wanted.append(Needed(spec.correction.field, ("integer",), ("correction", "field")))
    for index, (observation, column) in enumerate(zip(spec.observations, columns, strict=True)):
        if column is not None and observation.field is not None:
            kind = _kind(observation, column, paths[observation.path].schema)
            wanted.append(Needed(observation.field, (kind,), ("observations", index, "field")))
    fields: dict[str, FieldKind] = {}
    for name, kinds, place in (*wanted, *needed):
        if wrong := field_problem(spec.format, name, as_number=kinds[0] == "number"):
            problems.add(document.problem(place, *wrong, "bad_field"))
        if fields.setdefault(name, kinds[0]) not in kinds:
            message = f"the field '{name}' is read as {fields[name]} and as {kinds[0]}"
            problems.add(document.problem(place, message, "Read it as one kind only", "two_kinds"))
    return fields


def _kind(observation: ObservationSpec, column: ReadingColumn, schema: Schema) -> FieldKind:
    if observation.map:
        return "scalar"
    if is_structured(schema):
        return "json"
    scaled = observation.is_linear or isinstance(observation.unit, MessageUnitSpec)
    return "number" if scaled else _KIND_OF[column.type]
