"""What the settings of several connectors have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from twinwright.clock import parse_duration
from twinwright.documents import Spec
from twinwright.errors import UsageError


def _micros(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("a duration is text such as PT5S")  # pydantic turns a ValueError into its own report
    try:
        return parse_duration(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


Duration = Annotated[int, BeforeValidator(_micros)]
"""An ISO 8601 duration in the document (`PT5S`), microseconds in the program."""


class TlsSettings(Spec):
    """`ca`: a PEM file (default: the system's); `certificate` and `key`: ours, where the broker wants one."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
