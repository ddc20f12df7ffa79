"""What a contract says of the quality of its observations: the fields that are judged where history is read."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field, field_validator, model_validator

from twinwright.clock import parse_duration
from twinwright.documents import Spec
from twinwright.errors import UsageError

MAX_WINDOW: Final = 1_001
_LONGEST: Final = parse_duration("P366D")


def positive_duration(text: Any) -> Any:
    """A validator: an ISO 8601 duration above nothing, up to a year."""
    if isinstance(text, str):
        try:
            length = parse_duration(text)
        except (UsageError, OverflowError) as error:
            raise ValueError(str(error)) from None
        if not 0 < length <= _LONGEST:
            raise ValueError(f"'{text}' is not between PT0S and P366D")
    return text


class SpikeSpec(Spec):
    """A Hampel filter: an outlier among its neighbours in event time is marked `spike`."""

    window: int = Field(7, ge=3, le=MAX_WINDOW, description="how many values are compared, the one in the middle among them; odd")
    threshold: float = Field(3.0, gt=0, description="how many scales (1.4826 median absolute deviations) from the median are too far")
    least: float = Field(0.0, ge=0, description="a deviation up to this is never a spike (the sensor's resolution); in `unit`")

    @model_validator(mode="after")
    def _window_is_odd(self) -> SpikeSpec:
        if self.window % 2 == 0:
            raise ValueError(f"the window {self.window} is even, so no value is in its middle (write {self.window + 1})")
        return self


class SequenceSpec(Spec):
    """The value counts what the source sends, one by one: where a number is left out, something did not arrive."""

    wrap: int | None = Field(None, ge=2, le=2**53, description="the counter begins anew at 0 after `wrap` - 1; without it it never does")


class QualitySpec(Spec):
    """How one observation is judged beside its neighbours: the values of one source in the order of event time."""

    stuck: str | None = Field(None, description="a value that is unchanged for so long is marked `stuck`")
    spike: SpikeSpec | None = Field(None, description="an outlier among its neighbours is marked `spike`")
    gap: str | None = Field(None, description="a value that comes longer than this after the one before it is marked `gap`")
    sequence: SequenceSpec | None = Field(
        None, description="the value is a sequence number: one that does not follow the one before it is marked `gap`"
    )

    _check_lengths = field_validator("stuck", "gap", mode="before")(positive_duration)
