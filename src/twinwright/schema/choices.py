"""Members that admit a few standard elements only, by name: `commandType`, `valueSchema` and the `schema` of a MapKey.

Source: specification, "Command", "Enum" and "Map".
"""

from __future__ import annotations

from typing import Any

from twinwright.schema import context as contexts
from twinwright.schema import dtmi, metamodel
from twinwright.schema.context import Context
from twinwright.schema.literals import Place
from twinwright.schema.metamodel import Member
from twinwright.schema.sources import kind


def read_choice(value: Any, context: Context, member: Member, place: Place) -> str | None:
    """The term of the value, or None after what is wrong with it was put into the report."""
    if isinstance(value, list) and len(value) != 1:
        if value:
            place.fail("objectMultipleValues", f"'{member.name}' has {len(value)} values", "Keep one of them")
        elif member.required:
            place.fail("objectCountBelowMin", f"'{member.name}' has no value", "Give it one")
        return None
    inner = value[0] if isinstance(value, list) else value
    if isinstance(inner, str) and inner in member.choices:
        return inner.rpartition(":")[2].partition(";")[0]
    remedy = f"It must be one of: {', '.join(name for name in member.choices if ':' not in name)}"
    if isinstance(inner, dict):
        _of_object(inner, member, place, remedy)
    elif isinstance(inner, str):
        _of_name(inner, context, member, place, remedy)
    else:
        place.fail("refNotStringOrObject", f"'{member.name}' is {kind(inner)}", remedy)
        _nothing_fits(member, place, remedy)
    return None


def _of_object(inner: dict[str, Any], member: Member, place: Place, remedy: str) -> None:
    id, of = inner.get("@id"), inner.get("@type")
    if isinstance(id, str):
        _misplaced(of if isinstance(of, str) else None, id, place, remedy)
    else:
        place.fail("missingRequiredId", f"'{member.name}' is an object that names nothing", remedy)


def _of_name(inner: str, context: Context, member: Member, place: Place, remedy: str) -> None:
    message, schema = f"'{member.name}' is {inner:.60}", contexts.schemas(context).get(inner)
    known = contexts.standard_element(inner, context)
    if member.name == "valueSchema" and schema is not None and schema.kind == "primitive":
        place.fail("incorrectPropertyValue", message, remedy, value=inner)
    elif known is not None:
        _misplaced(*known, place, remedy)
    elif inner in metamodel.reserved_terms(context.version):
        _misplaced(None, None, place, remedy)
    elif dtmi.is_reserved(inner):
        place.fail("undefinedReservedId", message, remedy, value=inner)
    else:
        place.fail("badDtmiOrTerm", message, remedy, value=inner)
        _nothing_fits(member, place, remedy)


def _misplaced(of: str | None, id: str | None, place: Place, remedy: str) -> None:
    """Something that the language or a document defines, but that is none of the values of this member."""
    place.report.add(
        place.source,
        place.location,
        "badType",
        f"'{place.member}' is something else than its few values",
        remedy,
        primary=place.element,
        secondary=id,
        member=place.member,
        value=of,
    )


def _nothing_fits(member: Member, place: Place, remedy: str) -> None:
    if member.required:
        place.fail("objectCountBelowMin", f"'{member.name}' has no value that fits", remedy)
