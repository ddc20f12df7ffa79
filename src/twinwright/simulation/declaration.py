"""What may be written in `models/*.yaml`, field by field; kinds of model extend `ModelSpec` with their own fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from twinwright.clock import SECOND, parse_duration
from twinwright.documents import Location, Spec
from twinwright.errors import UsageError

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
Range = tuple[float | None, float | None]
Hold = Literal["zero", "linear", "next"]


_FILE = re.compile(r"[^/\\:\x00-\x1f\x7f]+(?:/[^/\\:\x00-\x1f\x7f]+)*")  # as exporting tools name them: `Pump (v1).fmu`


def is_below(name: str) -> bool:
    """Whether it names a file below a folder: no way up or out of it, and no other separators than `/`."""
    return _FILE.fullmatch(name) is not None and not {".", ".."} & set(name.split("/"))


def duration_seconds(text: str) -> float:
    """Seconds of an ISO 8601 duration that is longer than nothing. Raises ValueError, as pydantic's validators do."""
    try:
        micros = parse_duration(text)
    except UsageError as error:
        raise ValueError(str(error)) from None
    if micros <= 0:
        raise ValueError(f"'{text}' is no time at all; write a duration longer than zero, such as PT1S")
    return micros / SECOND


def _is_duration(text: str) -> str:
    duration_seconds(text)
    return text


DurationText = Annotated[str, AfterValidator(_is_duration)]
"""An ISO 8601 duration longer than nothing, kept as it is written: it goes into records and digests."""


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

    property: str | None = Field(default=None, description="the path of the interface whose history is replayed")
    unit: str | None = Field(default=None, description="the unit that the model works in; none: dimensionless")
    range: Range | None = Field(default=None, description="values for which the model is meant, both ends included")
    hold: Hold = Field(default="zero", description="what lies between two readings")


class StateSpec(Spec):
    """A continuous state. It starts at a number, at a parameter's value, or at what was observed of `property`."""

    start: float | str | None = Field(default=None, description="a number in `unit`, or the name of a parameter")
    unit: str | None = Field(default=None, description="the unit that the model works in; none: dimensionless")
    property: str | None = Field(default=None, description="the path whose observed value it starts at, where there is no `start`")


class OutputSpec(_Ranged):
    """A port that gives values, compared with `property`. Where the model has no output function it shows `state`."""

    property: str | None = Field(default=None, description="the path that it is compared with")
    state: str | None = Field(default=None, description="the state that it shows, where there is no output function")
    unit: str | None = Field(default=None, description="the unit that the model works in; none: dimensionless")
    range: Range | None = Field(default=None, description="values for which the model is meant, both ends included")


class ParameterSpec(_Ranged):
    """A constant of the model. One that is `per: run` says how a run begins and is no argument of the model's functions."""

    value: float = Field(description="the value used until a parameter set is promoted, and where a fit begins")
    unit: str | None = Field(default=None, description="the unit that the model works in; none: dimensionless")
    bounds: Range | None = Field(default=None, description="where a calibration may look; without them the value is kept")
    per: Literal["run"] | None = Field(default=None, description="`run`: how a run begins, estimated for each window anew")


class ModelSpec(Spec):
    """What every kind declares; a kind adds its own fields in a subclass."""

    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128, description="by which scenarios and commands call it")
    ]
    version: Annotated[str, Field(min_length=1, max_length=64, description="raise it with every change")]
    kind: str = Field(description="ode, linear, function, executable, events, agents, or a kind that a plug-in brings")
    artefact: str = Field(description="what is run, beside this file: tanks.py:rhs")
    files: list[str] = Field(default_factory=list, description="further files that it reads or imports")
    interface: str | None = Field(default=None, description="the DTMI of the twins that it is a model of")
    inputs: Mapping[Name, InputSpec] = Field(default_factory=dict, description="by name, in the order of `u`")
    states: Mapping[Name, StateSpec] = Field(default_factory=dict, description="by name, in the order of `x`")
    outputs: Annotated[Mapping[Name, OutputSpec], Field(min_length=1, description="by name, in the order of `y`")]
    parameters: Mapping[Name, ParameterSpec] = Field(default_factory=dict, description="by name, in the order of `p`")
    step: DurationText = Field(description="the time between two samples, such as PT4S")
    assumptions: list[str] = Field(default_factory=list, description="said in every run and report")
    validity: dict[Name, Range] = Field(default_factory=dict, description="further ranges within which it is meant, by name")

    def references(self) -> dict[Location, str]:
        """The files that this definition names, `file` or `file:function`, by the place that names them. A kind adds its own."""
        own: dict[Location, str] = {("artefact",): self.artefact} if self.artefact else {}
        return {**own, **{("files", index): name for index, name in enumerate(self.files)}}

    def further_references(self, contents: Mapping[str, bytes]) -> list[tuple[Location, str]]:  # noqa: ARG002 -- a kind whose files name others looks into them
        """The files that the files read so far name in turn, with the place of this definition that leads there."""
        return []

    @field_validator("version", mode="before")
    @classmethod
    def _version_is_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("validity")
    @classmethod
    def _validity_in_order(cls, value: dict[str, Range]) -> dict[str, Range]:
        for one in value.values():
            _ordered(one)
        return value
