"""The formats of payloads, and how a contract names what is in them.

JSON is addressed by its keys, a table by its columns. A CloudEvent is addressed as it is written in JSON: attributes by their plain
names (`time`, `subject`), what is in its data as `data.pressure`. A point of line protocol has a `measurement`, a `timestamp`,
`tags.host` and `fields.usage_idle`; a dot within a key is a dot within a key.
"""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

Format = Literal["json", "csv", "parquet", "arrow", "cloudevents", "line-protocol"]
Precision = Literal["ns", "us", "ms", "s"]
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)
PRECISION_CAPTURE: Final = "precision"  # beside a payload of line protocol: what its timestamps count
EVENT_CAPTURE: Final = "ce-"  # and before the name of a CloudEvents attribute that came beside its data
DATA: Final = "data."
TAGS: Final = "tags."
FIELDS: Final = "fields."
MEASUREMENT: Final = "measurement"
TIMESTAMP: Final = "timestamp"
_ATTRIBUTE: Final = re.compile(r"(?!data\Z)[a-z0-9]+")  # CloudEvents 1.0, 3.1 "Attribute naming convention"


def field_problem(format: Format, field: str, *, as_number: bool) -> tuple[str, str] | None:
    """What is wrong with a field's name in this format, and what to do; `as_number` where a number is wanted of it."""
    if format == "cloudevents" and not _ATTRIBUTE.fullmatch(field) and not _is_below(field, DATA):
        return f"a CloudEvent has no '{field}'", f"Write '{DATA}{field}' for what is in its data, or an attribute such as time or subject"
    if format != "line-protocol":
        return None
    if field == TIMESTAMP and as_number:
        return "the timestamp of line protocol is read as a time already", "Leave `format` out; say what it counts in `precision`"
    if field not in (MEASUREMENT, TIMESTAMP) and not _is_below(field, TAGS) and not _is_below(field, FIELDS):
        return (
            f"line protocol has no '{field}'",
            f"Write '{FIELDS}{field}' or '{TAGS}{field}'; there are also {MEASUREMENT} and {TIMESTAMP}",
        )
    return None


def _is_below(field: str, prefix: str) -> bool:
    return field.startswith(prefix) and len(field) > len(prefix)
