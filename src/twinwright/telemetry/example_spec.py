"""Examples kept inside a contract: payloads, and what has to become of them."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from twinwright.clock import from_iso
from twinwright.documents import Spec
from twinwright.errors import UsageError


def _time(text: Any) -> Any:
    if isinstance(text, str):
        try:
            from_iso(text)
        except UsageError as error:
            raise ValueError(str(error)) from None
    return text


class ExpectedReading(Spec):
    """One reading that is accepted."""

    twin: str = Field(description="the twin's id")
    time: str = Field(description="event time, ISO 8601 with a zone")
    values: dict[str, Any] = Field(default_factory=dict, description="each good value by its path, in the contract's unit")
    bad: list[str] = Field(default_factory=list, description="paths of which something was said that can't be used")

    _check_time = field_validator("time", mode="before")(_time)


class ExampleSpec(Spec):
    """A payload, and the readings that the contract makes of it; `contracts test` compares."""

    name: str | None = Field(None, max_length=128, description="how reports call it; its number unless given")
    payload: Any = Field(description="a document or a list of them, or text as it is received")
    captures: dict[str, str] = Field(default_factory=dict, description="what the source's template captures")
    received: str = Field("9000-01-01T00:00:00Z", description="when it arrives; nothing is ahead of it unless given")
    readings: list[ExpectedReading] = Field(default_factory=list, description="the accepted, in order")
    refused: dict[str, int] = Field(default_factory=dict, description="how many are refused, by reason")

    _check_received = field_validator("received", mode="before")(_time)
