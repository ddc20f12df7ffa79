"""Contracts: how one kind of payload becomes readings. Written in YAML, checked whole, compiled once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from twinwright import units
from twinwright.clock import SECOND, parse_duration
from twinwright.documents import Document, Problems, Spec
from twinwright.errors import UnitError, UsageError
from twinwright.schema import PathInfo, Schema
from twinwright.storage.layout import ColumnType, ReadingColumn, ReadingTable
from twinwright.telemetry.admitted import Admitted, admitted
from twinwright.telemetry.computation import Needed, compute_columns, derivations_of, needed_by_expressions
from twinwright.telemetry.conventions import ConventionSpec, FieldSpec, MessageUnitSpec
from twinwright.telemetry.derivation import Derivation, is_structured
from twinwright.telemetry.event_time import EPOCH_FORMATS, TimeSpec
from twinwright.telemetry.example_spec import ExampleSpec
from twinwright.telemetry.fields import Level, check_form, is_flat, levels_of
from twinwright.telemetry.formats import Format, Precision, field_problem
from twinwright.telemetry.frames import FrameSpec, in_frames
from twinwright.telemetry.held import check_map, column_type
from twinwright.telemetry.matching import ALONE, Group, Matching, check_field_units, matching_of
from twinwright.telemetry.quality_spec import QualitySpec, positive_duration

FieldKind = Literal["number", "integer", "boolean", "string", "scalar", "json"]
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
MAX_OBSERVATIONS = 1_000

_LONGEST = 36_525 * 86_400 * SECOND
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_KIND_OF: Mapping[ColumnType, FieldKind] = {"DOUBLE": "number", "BIGINT": "integer", "BOOLEAN": "boolean", "VARCHAR": "string"}


class SourceSpec(Spec):
    """Where payloads come from. Options other than `connector` and `name` belong to the connector."""

    model_config = ConfigDict(extra="allow", frozen=True)
    connector: Name | None = Field(None, description="the name of a connector in twinwright.toml")
    name: Name | None = Field(None, description="who says so; the contract's name unless given")


class CorrectionSpec(Spec):
    """A payload field that numbers corrections: the greater one wins."""

    field: str = Field(min_length=1, description="an integer field; a greater value corrects a smaller one")


class RateSpec(Spec):
    """A rate of change beyond which a value is marked."""

    value: float = Field(gt=0, description="in the observation's unit")
    per: Literal["s", "min", "h"] = Field("s", description="per second, minute or hour")


class ObservationSpec(ConventionSpec, QualitySpec):
    """One value of a reading: which field, in which unit, onto which path of the twin."""

    path: str = Field(min_length=1, max_length=256, description="the property or telemetry, through a component as motor/speed")
    field: str | None = Field(None, min_length=1, description="the payload's field: data.pressure in JSON, a column of CSV or Parquet")
    unit: str | MessageUnitSpec | None = Field(
        None, description="the unit of the field; needed where the property has one. `{field: u}`: every message says it"
    )
    range: tuple[float, float] | None = Field(None, description="plausible values, both ends included, in `unit`; outside is `bad`")
    required: bool = Field(False, description="a missing or bad value refuses the whole reading")
    reject: bool = Field(False, description="a value out of range refuses the whole reading")
    map: dict[str, str | int | float | bool] | None = Field(None, description="the payload's values to the property's; others are bad")
    max_rate: RateSpec | None = Field(None, description="a faster change between neighbours is marked `rate` where history is read")

    @field_validator("range")
    @classmethod
    def _range_is_ordered(cls, limits: tuple[float, float] | None) -> tuple[float, float] | None:
        if limits is not None and not limits[0] <= limits[1]:
            raise ValueError(f"the range runs from {limits[0]:g} down to {limits[1]:g}")
        return limits

    @model_validator(mode="after")
    def _one_origin(self) -> ObservationSpec:
        by_message = isinstance(self.unit, MessageUnitSpec)
        if (self.field is None) == (self.compute is None):
            raise ValueError(f"'{self.path}' has {'both' if self.field else 'neither'} `field` and `compute`: give it one of them")
        if self.compute is not None and (self.map is not None or self.is_linear or by_message):
            raise ValueError(f"'{self.path}' is computed: write map, scale, offset, sign and unit of messages into its expression")
        if self.map is not None and (self.is_linear or by_message):
            raise ValueError(f"'{self.path}' is mapped: its values have no scale, offset, sign or unit of messages")
        if by_message and self.offset is not None:
            raise ValueError(f"the offset of '{self.path}' has no unit: each message gives another")
        return self

    @property
    def origin(self) -> str:
        """What the value comes from, for people."""
        return self.field or f"`{self.compute}`"


def _duration(text: Any) -> Any:
    if isinstance(text, str):
        try:
            length = parse_duration(text)
        except UsageError as error:
            raise ValueError(str(error)) from None
        except OverflowError:
            length = _LONGEST + 1
        if length > _LONGEST:
            raise ValueError(f"'{text}' is longer than 100 years (P36525D)")
    return text


class ContractSpec(Spec):
    """A contract as written in `contracts/*.yaml`."""

    name: Name = Field(description="the contract's name; the source too, unless `source.name` says otherwise")
    revision: int = Field(1, ge=1, le=32_000, description="raise it with every change")
    source: SourceSpec = Field(
        default_factory=lambda: SourceSpec(connector=None, name=None), description="without a connector: `ingest` and HTTP push"
    )
    format: Format = Field(
        "json", description="json (a document, an array, or one a line), csv, parquet, arrow, cloudevents (in JSON) or line-protocol"
    )
    delimiter: str = Field(",", min_length=1, max_length=1, description="between the columns of CSV")
    precision: Precision = Field("ns", description="what timestamps of line protocol count, where the request does not say it")
    each: str | list[str] | None = Field(
        None, description="where in JSON the elements lie that are a reading each: readings, [devices, samples], pumps.* (members)"
    )
    match: str | None = Field(
        None, min_length=1, description="a condition over fields; readings for which it fails are not this contract's"
    )
    fields: dict[str, FieldSpec] = Field(
        default_factory=dict, max_length=MAX_OBSERVATIONS, description="fields of expressions whose unit no observation says"
    )
    twin: str = Field(min_length=1, description="template of the twin's id over captures and fields: pump-{unit_no}")
    time: TimeSpec = Field(description="event time")
    correction: CorrectionSpec | Literal["ingest"] | None = Field(
        None, description="a field that numbers corrections, or `ingest`: the later arrival wins"
    )
    observations: list[ObservationSpec] = Field(min_length=1, max_length=MAX_OBSERVATIONS, description="what a reading is made of")
    frames: list[FrameSpec] = Field(default_factory=list, max_length=100, description="vectors that the source gives in another frame")
    lateness: str = Field("PT10M", description="further behind the source's watermark than this is marked late")
    skew: str = Field("PT30S", description="further ahead of the receive time than this is refused")
    gap: str | None = Field(None, description="the `gap` of every observation that has none of its own")
    clock_drift: str | None = Field(None, description="further than this from the receive time the source's clock is marked in the KPIs")
    freshness: str = Field("PT5M", description="the age that the freshness KPI allows")
    journal: str = Field("P30D", description="how long payloads are kept; `positions` where the source can be read again")
    examples: list[ExampleSpec] = Field(default_factory=list, max_length=1_000, description="payloads, and what becomes of them")

    _check_durations = field_validator("lateness", "skew", "freshness", mode="before")(_duration)

    _check_lengths = field_validator("gap", "clock_drift", mode="before")(positive_duration)

    @field_validator("journal", mode="before")
    @classmethod
    def _journal(cls, text: Any) -> Any:
        return text if text == "positions" else _duration(text)

    @property
    def source_name(self) -> str:
        """Who says so, in every key that this contract writes."""
        return self.source.name or self.name


@dataclass(frozen=True, slots=True)
class Template:
    """`pump-{unit_no}`: literal texts around placeholders; len(texts) = len(names) + 1."""

    texts: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises UsageError for unbalanced braces and empty placeholders."""
        parts = _PLACEHOLDER.split(text)
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


def parse_contract(document: Document, problems: Problems) -> ContractSpec | None:
    """The contract as written; what is wrong with it alone goes into `problems`."""
    spec = document.parse(ContractSpec, problems)
    seen: set[str] = set()
    for index, observation in enumerate(spec.observations if spec else ()):
        if observation.path in seen:
            message = f"the path '{observation.path}' is observed twice"
            place = ("observations", index, "path")
            problems.add(document.problem(place, message, "Keep one: a source says one value of a path", "duplicate_path"))
            spec = None
        seen.add(observation.path)
    return spec


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


def captures_of(spec: ContractSpec) -> frozenset[str]:
    """The names that the source's templates capture (a topic, a file pattern)."""
    options = spec.source.model_extra or {}
    return frozenset(name.rstrip(".") for value in options.values() if isinstance(value, str) for name in _PLACEHOLDER.findall(value))
