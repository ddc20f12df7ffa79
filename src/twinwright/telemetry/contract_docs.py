"""The data-contract document of a contract, for those who send and those who read: Markdown and HTML. And the JSON Schema for editors."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twinwright import units
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.contract_spec import ContractSpec, CorrectionSpec, ObservationSpec
from twinwright.telemetry.conventions import MessageUnitSpec
from twinwright.telemetry.frame_spec import FrameSpec

SCHEMA_FILE = "contract.schema.json"


@dataclass(frozen=True, slots=True)
class _Part:
    """A heading with text, a table (its first row is the head) or code below it."""

    heading: str
    text: str = ""
    table: Sequence[Sequence[str]] = ()
    code: str = ""


def markdown(contract: Contract) -> str:
    """The document as Markdown."""
    lines = [f"# Data contract: {contract.name}", ""]
    for part in _parts(contract):
        lines += [f"## {part.heading}", ""]
        if part.text:
            lines += [_escaped(part.text), ""]
        if part.table:
            head, *rows = part.table
            lines += [_row(head), "|" + "---|" * len(head), *map(_row, rows), ""]
        if part.code:
            lines += ["```json", part.code, "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def page(contract: Contract) -> str:
    """The same as one HTML page that needs nothing else."""
    body = [f"<h1>Data contract: {html.escape(contract.name)}</h1>"]
    for part in _parts(contract):
        body.append(f"<h2>{html.escape(part.heading)}</h2>")
        if part.text:
            body.append(f"<p>{html.escape(part.text)}</p>")
        if part.table:
            head, *rows = part.table
            cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
            body.append(f"<table><tr>{cells}</tr>")
            body += ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
            body.append("</table>")
        if part.code:
            body.append(f"<pre>{html.escape(part.code)}</pre>")
    return _PAGE.format(title=html.escape(contract.name), body="\n".join(body))


def json_schema() -> dict[str, Any]:
    """JSON Schema of `contracts/*.yaml`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ContractSpec.model_json_schema(), "title": "Twinwright contract"}


def _parts(contract: Contract) -> list[_Part]:
    spec = contract.spec
    facts = [
        ["", ""],
        ["revision", str(spec.revision)],
        ["source", spec.source_name],
        ["comes from", _comes_from(spec)],
        ["format", spec.format],
        [
            "a reading is",
            f"each element of {' in '.join(reversed([level.text for level in contract.levels]))}"
            if contract.levels
            else "a document or row",
        ],
        ["only where", spec.match or "-"],
        ["twin", spec.twin],
        *([one.kind, _turned(one)] for one in spec.frames),
        ["event time", f"{spec.time.field} ({spec.time.format}{', ' + spec.time.zone if spec.time.zone else ''})"],
        ["correction", spec.correction.field if isinstance(spec.correction, CorrectionSpec) else spec.correction or "-"],
    ]
    service = [
        ["", ""],
        ["freshness", f"{spec.freshness}: an older newest reading misses the target"],
        ["late", f"further than {spec.lateness} behind the source"],
        ["refused", f"further than {spec.skew} ahead of the clock"],
        *([["clock", f"further than {spec.clock_drift} from ours is told in the KPIs"]] if spec.clock_drift else []),
        ["payloads are kept", "at the source" if spec.journal == "positions" else f"for {spec.journal}"],
    ]
    observed = [["path", "is", "from", "rules"]]
    observed += [[one.path, _held(contract, at), _from(one), _rules(one, spec.gap)] for at, one in enumerate(spec.observations)]
    parts = [_Part("What it reads", table=facts), _Part("Observations", table=observed), _Part("Service", table=service)]
    for number, example in enumerate(spec.examples, 1):
        code = example.payload if isinstance(example.payload, str) else json.dumps(example.payload, indent=2, ensure_ascii=False)
        outcome = f"{len(example.readings)} accepted" + "".join(
            f", {count} refused as {reason}" for reason, count in example.refused.items()
        )
        parts.append(_Part(f"Example: {example.name or number}", text=outcome, code=code))
    return parts


def _comes_from(spec: ContractSpec) -> str:
    options = ", ".join(f"{key} {value}" for key, value in (spec.source.model_extra or {}).items())
    return f"{spec.source.connector}: {options}" if spec.source.connector else "ingest and HTTP push"


def _turned(one: FrameSpec) -> str:
    text = f"{', '.join(one.of)}: from {one.from_} to {one.to}"
    if one.at is not None:
        text += f", at {one.at.latitude:g}, {one.at.longitude:g}, {one.at.height:g} m"
    return text + (f", lengths in {one.unit}" if one.kind == "position" else "")


def _held(contract: Contract, at: int) -> str:
    column, domain = contract.columns[at], contract.admitted[at]
    if contract.fields.get(contract.spec.observations[at].field or "") == "json":
        return "an object, array or map"
    name = {"DOUBLE": "number", "BIGINT": "whole number", "BOOLEAN": "true or false", "VARCHAR": "text"}[column.type]
    name = name if domain is None else str(domain)
    return f"{name} in {units.symbol(column.unit)}" if column.unit else name


def _from(one: ObservationSpec) -> str:
    text = one.field or f"computed: {one.compute}"
    if isinstance(one.unit, MessageUnitSpec):
        text += f", in the unit that {one.unit.field} names"
    if one.is_linear:
        text += f", times {one.scale if one.scale is not None else 1:g}, plus {one.offset or 0:g}" + (", sign inverted" if one.sign else "")
    return text + (f", as {json.dumps(one.map, ensure_ascii=False)}" if one.map else "")


def _rules(one: ObservationSpec, gap: str | None) -> str:
    gap = one.gap or gap
    rules = ["required"] if one.required else []
    if one.range is not None:
        rules.append(f"{one.range[0]:g} to {one.range[1]:g}, else {'refused' if one.reject or one.required else 'bad'}")
    if one.max_rate is not None:
        rules.append(f"at most {one.max_rate.value:g} per {one.max_rate.per}")
    if one.sequence is not None:
        rules.append("a sequence number" + (f" up to {one.sequence.wrap - 1}" if one.sequence.wrap else ""))
    if one.spike is not None:
        rules.append(f"spike: further than {one.spike.threshold:g} scales from the median of {one.spike.window}")
    if one.stuck is not None:
        rules.append(f"stuck: unchanged for {one.stuck}")
    if gap is not None:
        rules.append(f"gap: longer than {gap} after the one before")
    return "; ".join(rules) or "-"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(" ".join(cell.split())) for cell in cells) + " |"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in text)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Data contract: {title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
body {{ color: light-dark(#1c2329, #e4e8eb); background: light-dark(#fff, #12161a); }}
table {{ border-collapse: collapse; }} td, th {{ padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top; }}
td, th {{ border-bottom: 1px solid light-dark(#ddd, #333b42); }}
pre {{ background: light-dark(#f5f5f5, #1c2329); padding: 1rem; overflow: auto; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""
