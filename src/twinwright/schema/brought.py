"""The members that co-types bring to an element: literals, units, and names of other members (documents of the extensions)."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from twinwright.documents import Location
from twinwright.schema import context as contexts
from twinwright.schema import dtmi, literals, semantic_types
from twinwright.schema.context import Context
from twinwright.schema.extensions import QUANTITATIVE, Brought
from twinwright.schema.literals import Place
from twinwright.schema.node import Node, term_of
from twinwright.schema.report import Report
from twinwright.schema.sources import kind, shown


def read_brought(value: Any, location: Location, node: Node, member: Brought, report: Report) -> None:
    """Put the value of a member into the node; what is wrong with it goes into the report."""
    before = len(report.problems)
    place = Place(node.source, location, node.version, report, node.name, member.id)
    if member.kind == "unit":
        node.brought[member.id] = _unit(value, node, member, place)
    elif member.kind == "property":
        inner, place = literals.single(value, "identifier", True, place)
        if isinstance(inner, str):
            node.brought[member.id] = _member_named(inner, node)
        elif inner is not None or not isinstance(value, list):
            place.fail("identifierNotString", f"'{member.name}' is {kind(inner)}", "Write the name of a member")
    else:
        node.brought[member.id] = literals.checked(
            value, member.kind, place, member.required, member.pattern, member.max_length, member.minimum, None
        )
    node.wrong = node.wrong or len(report.problems) > before


def unit_names(context: Context, member: Brought) -> list[str]:
    """The names of the units that a member may have."""
    return sorted({name for name, _ in _units(context, member).values()})


@lru_cache(maxsize=512)
def _units(context: Context, member: Brought) -> Mapping[str, tuple[str, str]]:
    """Name and DTMI of the units of the unit type of a member, by term and by DTMI."""
    edition = 0 if member.id.endswith(";2") else int(member.id[len(QUANTITATIVE) + 2])
    names = semantic_types.units_of(member.unit_type or "", edition)
    return {key: pair for key, pair in contexts.units(context).items() if pair[0] in names}


def _member_named(written: str, node: Node) -> str:
    """The DTMI of a member that a co-type brings; of another member, its name as it is."""
    term = term_of(written, "dtmi:dtdl:property:", node.version)
    known = (extra for item in contexts.cotypes(node.context).values() for extra in item.members)
    return next((extra.id for extra in known if extra.name == term), term)


def _unit(value: Any, node: Node, member: Brought, place: Place) -> tuple[str, str] | None:
    """Name and DTMI of the unit."""
    named = Place(place.source, place.location, place.version, place.report, place.element, member.name)
    items = value if isinstance(value, list) else [value]
    if len(items) != 1:
        if items:
            named.fail("objectMultipleValues", f"'{member.name}' has {len(items)} values", "Keep one of them")
        elif member.required:
            place.fail("objectCountBelowMin", f"'{member.name}' has no value", "Give it one")
        return None
    inner, allowed = items[0], _units(node.context, member)
    if isinstance(inner, str) and inner in allowed:
        return allowed[inner]
    names = unit_names(node.context, member)
    near = get_close_matches(inner.rpartition(":")[2].partition(";")[0] if isinstance(inner, str) else "", names, 1)
    remedy = f"Did you mean '{near[0]}'?" if near else f"Use one of: {', '.join(names)}"
    message = f"{shown(inner)} is not a {member.unit_type}"
    if isinstance(inner, dict) and node.version == 2:
        place.fail("badType", "a unit is a word or a DTMI, not an object", remedy)
        _no_unit(member, named, remedy)
    elif isinstance(inner, dict):
        named.fail("refObjectNotAllowed", "a unit is a word or a DTMI, not an object", remedy)
        _no_unit(member, named, remedy)
    elif not isinstance(inner, str):
        named.fail("refNotStringOrObject", message, remedy)
        _no_unit(member, named, remedy)
    elif inner in contexts.units(node.context) or inner in contexts.schemas(node.context):
        _misplaced_unit(inner, node, member, place, message, remedy)
    elif dtmi.is_reserved(inner):
        named.fail("undefinedReservedId", message, remedy, value=inner)
    else:
        named.fail("badDtmiOrTerm", message, remedy, value=inner)
        _no_unit(member, named, remedy)
    return None


def _no_unit(member: Brought, place: Place, remedy: str) -> None:
    if member.required:
        place.fail("objectCountBelowMin", f"'{member.name}' has no unit", remedy)


def _misplaced_unit(written: str, node: Node, member: Brought, place: Place, message: str, remedy: str) -> None:
    known, schema = contexts.units(node.context).get(written), contexts.schemas(node.context).get(written)
    second = known[1] if known else schema.id if schema else None
    for code in ("notRequiredType" if node.version == 2 else "badType", "wrongParent"):
        place.report.add(
            node.source,
            place.location,
            code,
            message,
            remedy,
            primary=node.name,
            secondary=second,
            member=member.id,
            value=member.unit_type if code == "badType" else None,
        )
