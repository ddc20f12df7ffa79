"""JSON lines of one template, read column by column: its keys are read once, and each value by itself.

Whether the template, with a value in each of its gaps, is a JSON object in the plain form of `json_reader` is settled here; whether a
value is one is settled as each is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from twinwright.telemetry.line_template import Template

_GAP = b"\0"  # no plain JSON has it
_SPACE = rb"[ \t\r]*"
_PAIR = re.compile(
    _SPACE + rb'"([^"\\\x00-\x1f]*)"' + _SPACE + rb":" + _SPACE + rb'(\x00|"[^"\\\x01-\x1f]*"|[a-z]+|-?[0-9][-+.0-9eE]*)' + _SPACE
)
_BEGIN, _END = re.compile(_SPACE + rb"\{"), re.compile(rb"\}" + _SPACE + rb"\n\Z")


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """What a column of the lines holds: values of `field` (None: of none that is asked for), whole, or what is in the quotes of a text."""

    field: str | None
    in_quotes: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """How to read lines of a template: one entry for each column, and the values as JSON of fields that are the same in every line."""

    columns: tuple[ColumnPlan, ...]
    constants: Mapping[str, bytes]


def plan(template: Template, fields: Mapping[str, object]) -> Plan | None:
    """None where lines of the template are no plain JSON objects, or a value that is asked for is not one column whole."""
    if any(_GAP in segment for segment in template.segments):
        return None
    line = _GAP.join(template.segments)
    begin = _BEGIN.match(line)
    columns: list[ColumnPlan] = []
    constants: dict[str, bytes] = {}
    seen: set[str] = set()
    at = begin.end() if begin else len(line)
    while (pair := _PAIR.match(line, at)) is not None:
        try:
            name = pair[1].decode("utf-8")
        except UnicodeDecodeError:
            return None
        asked = name in fields
        found = _value(pair[2], name if asked else None)
        if found is None or (asked and name in seen):
            return None
        seen.add(name)
        columns += found
        if asked and not found:
            constants[name] = pair[2]
        at = pair.end()
        if line[at : at + 1] != b",":
            break
        at += 1
    return Plan(tuple(columns), constants) if _END.match(line, at) and line[at - 1 : at] != b"," else None


def _value(text: bytes, field: str | None) -> list[ColumnPlan] | None:
    """The columns in a value of the template; None where it can't be read by columns."""
    if text == _GAP:
        return [ColumnPlan(field, in_quotes=False)]
    if text == b'"' + _GAP + b'"':
        return [ColumnPlan(field, in_quotes=True)]
    gaps = text.count(_GAP)
    if gaps:
        return [ColumnPlan(None, in_quotes=True)] * gaps if field is None else None
    try:
        json.loads(text)
    except ValueError:
        return None
    return []
