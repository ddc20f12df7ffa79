"""Contracts as they are written, in `contracts/*.yaml`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from twinwright.clock import SECOND, parse_duration
from twinwright.documents import Document, Problems, Spec
from twinwright.errors import UsageError
from twinwright.telemetry.conventions import ConventionSpec, FieldSpec, MessageUnitSpec
from twinwright.telemetry.event_time import TimeSpec
from twinwright.telemetry.example_spec import ExampleSpec
from twinwright.telemetry.formats import Format, Precision
from twinwright.telemetry.frame_spec import FrameSpec
from twinwright.telemetry.quality_spec import QualitySpec, positive_duration

FieldKind = Literal["number", "integer", "boolean", "string", "scalar", "json"]
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
MAX_OBSERVATIONS = 1_000

_LONGEST = 36_525 * 86_400 * SECOND
PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")  # in a template


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


def captures_of(spec: ContractSpec) -> frozenset[str]:
    """The names that the source's templates capture (a topic, a file pattern)."""
    options = spec.source.model_extra or {}
    return frozenset(name.rstrip(".") for value in options.values() if isinstance(value, str) for name in PLACEHOLDER.findall(value))
