"""How a contract says where the event time of a reading is, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from twinwright.clock import SECOND
from twinwright.documents import Spec

EPOCH_FORMATS: Mapping[str, int] = {"epoch_s": SECOND, "epoch_ms": 1_000, "epoch_us": 1}


class TimeSpec(Spec):
    """Event time: the field it is in and how it is written."""

    field: str = Field(min_length=1, description="the field that holds the event time")
    format: str = Field("iso8601", description="iso8601, epoch_s, epoch_ms, epoch_us, or a strptime pattern")
    zone: str | None = Field(None, description="IANA zone of times that carry none")

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str | None) -> str | None:
        if zone is not None and not _is_zone(zone):
            raise ValueError(f"there is no time zone '{zone}' (write it as Europe/Berlin or UTC)")
        return zone

    @field_validator("format")
    @classmethod
    def _format_is_known(cls, text: str) -> str:
        if text != "iso8601" and text not in EPOCH_FORMATS and "%" not in text:
            raise ValueError(f"'{text}' is none of iso8601, {', '.join(EPOCH_FORMATS)}, or a strptime pattern such as %d.%m.%Y %H:%M")
        if "%" in text:
            from twinwright.telemetry.timestamps import pattern_problem  # a compiler comes with it, and few contracts have a pattern

            if problem := pattern_problem(text):
                raise ValueError(f"'{text}' reads no times: {problem} (write a strptime pattern such as %d.%m.%Y %H:%M:%S.%f)")
        return text


def _is_zone(name: str) -> bool:
    """Whether both the standard library and the reader of columns know the zone; some know `localtime`, or `posix/Europe/Berlin`."""
    from twinwright.telemetry.timestamps import knows_zone  # a compiler comes with it

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return name == "UTC" or knows_zone(name)
