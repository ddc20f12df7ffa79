"""What an OPC UA server says of a variable, as a JSON document that a contract reads.

    {"node": "ns=2;s=P1.T", "twin": "pump-1", "time": "2026-03-01T08:00:00.250Z", "server_time": "...", "status": "Good", "value": 21.5}

A value whose status is Bad (OPC UA Part 4, section 7.39) stands inside an object, `{"bad": 21.5}`: that is of the wrong type for
every observation, and so the observation is `bad`, not missing. So does what JSON can't hold: NaN, structures, bytes.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from asyncua import ua
from asyncua.ua.status_codes import get_name_and_doc

from twinwright.clock import from_datetime, to_iso

MAX_ELEMENTS: Final = 1_000

_SEVERITY: Final = 0xC0000000
_UNCERTAIN: Final = 0x40000000
_INFO_OF_VALUE: Final = 0x00000400  # Part 4, table 180: the information bits are those of a data value
_INFO_TYPE: Final = 0x00000C00
_OVERFLOW: Final = 0x00000080
_NO_TIME_BEFORE: Final = datetime(1601, 1, 2, tzinfo=UTC)  # zero stands for "not given"


def status_of(value: ua.DataValue) -> int:
    """The whole status code; Good where none is given."""
    return int(value.StatusCode.value) if value.StatusCode is not None else 0


def is_bad(status: int) -> bool:
    """Whether the severity is Bad, or the reserved one, which is to be taken for it."""
    return bool(status & 0x80000000)


def is_uncertain(status: int) -> bool:
    """Whether the severity is Uncertain."""
    return status & _SEVERITY == _UNCERTAIN


def is_overflow(status: int) -> bool:
    """Whether the server's queue of this item ran over: values between this one and the one before are lost."""
    return status & _INFO_TYPE == _INFO_OF_VALUE and bool(status & _OVERFLOW)


def status_name(status: int) -> str:
    """The code's name without its information bits (`UncertainLastUsableValue`); the severity's for a code that is not in Part 6."""
    return str(get_name_and_doc(status & 0xFFFF0000)[0])


def times_of(value: ua.DataValue) -> tuple[str | None, str | None]:
    """When it was so: the source's time, or the server's where the source gives none; and the server's time."""
    server = _time(value.ServerTimestamp)
    return _time(value.SourceTimestamp) or server, server


def json_value(value: ua.DataValue, *, bad: bool) -> Any:
    """The value as JSON holds it, inside `{"bad": ...}` where it can't be used."""
    held = value.Value.Value if value.Value is not None else None
    try:
        plain = _plain(held)
    except _UnreadableError as error:
        return {"bad": str(error)}
    return {"bad": plain} if bad else plain


class _UnreadableError(Exception):
    """A value that JSON, or a contract, has no place for."""


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _UnreadableError(str(value))
        return float(value)
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, ua.LocalizedText):
        return _plain(value.Text)
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list | tuple) and len(value) <= MAX_ELEMENTS:
        return [_plain(element) for element in value]
    raise _UnreadableError(type(value).__name__)


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return to_iso(from_datetime(aware)) if aware > _NO_TIME_BEFORE else None
