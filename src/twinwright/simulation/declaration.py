"""What may be written in `models/*.yaml`, field by field; kinds of model extend `ModelSpec` with their own fields."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from twinwright.clock import SECOND, parse_duration
from twinwright.documents import Location, Spec
from twinwright.errors import UsageError

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
Range = tuple[float | None, float | None]
Hold = Literal["zero", "linear", "next"]


def duration_seconds(text: str) -> float:
    """Seconds of an ISO 8601 duration that is longer than nothing. Raises ValueError, as pydantic's validators do."""
    try:
        micros = parse_duration(text)
    except UsageError as error:
        raise ValueError(str(error)) from None
    if micros <= 0:
        raise ValueError(f"'{text}' is no time at all; write a duration longer than zero, such as PT1S")
    return micros / SECOND


def _ordered(value: Range | None) -> Range | None:
    if value is not None and value[0] is not None and value[1] is not None and value[0] > value[1]:
        raise ValueError(f"{value[0]:g} is greater than {value[1]:g}; write the lower one first")
    return value


class _Ranged(Spec):
    @field_validator("range", "bounds", check_fields=False)
    @classmethod
    def _check_order(cls, value: Range | None) -> Range | None:
        return _ordered(value)


class InputSpec(_Ranged):
    """A port that takes values: by default the observed history of `property`.

    `hold` is what lies between two readings: `zero` (the earlier one, for what is read at an instant), `linear`, or `next` (the later
    one, for means over the time that ends with the reading).
    """

    property: str | None = None
    unit: str | None = None
    range: Range | None = None
    hold: Hold = "zero"


class StateSpec(Spec):
    """A continuous state. It starts at a number, at a parameter's value, or at what was observed of `property`."""

    start: float | str | None = None
    unit: str | None = None
    property: str | None = None


class OutputSpec(_Ranged):
    """A port that gives values, compared with `property`. Where the model has no output function it shows `state`."""

    property: str | None = None
    state: str | None = None
    unit: str | None = None
    range: Range | None = None


class ParameterSpec(_Ranged):
    """A constant of the model. One that is `per: run` says how a run begins and is no argument of the model's functions."""

    value: float
    unit: str | None = None
    bounds: Range | None = None
    per: Literal["run"] | None = None


class ModelSpec(Spec):
    """What every kind declares; a kind adds its own fields in a subclass."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]
    version: Annotated[str, Field(min_length=1, max_length=64)]
    kind: str
    artefact: str
    files: list[str] = Field(default_factory=list)
    interface: str | None = None
    inputs: dict[Name, InputSpec] = Field(default_factory=dict)
    states: dict[Name, StateSpec] = Field(default_factory=dict)
    outputs: Annotated[dict[Name, OutputSpec], Field(min_length=1)]
    parameters: dict[Name, ParameterSpec] = Field(default_factory=dict)
    step: str
    assumptions: list[str] = Field(default_factory=list)
    validity: dict[Name, Range] = Field(default_factory=dict)

    def references(self) -> dict[Location, str]:
        """The files that this definition names, `file` or `file:function`, by the place that names them. A kind adds its own."""
        return {("artefact",): self.artefact, **{("files", index): name for index, name in enumerate(self.files)}}

    @field_validator("version", mode="before")
    @classmethod
    def _version_is_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("step")
    @classmethod
    def _step_is_a_duration(cls, value: str) -> str:
        duration_seconds(value)
        return value

    @field_validator("validity")
    @classmethod
    def _validity_in_order(cls, value: dict[str, Range]) -> dict[str, Range]:
        for one in value.values():
            _ordered(one)
        return value
