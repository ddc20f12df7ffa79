"""What an element is called: its `@id`, where it has to have one, or a name of which an identifier is made.

Source: specification, "Digital Twin Model Identifier" and "Automatic Identifier Assignment". None of this depends on what the element
is, so that it is judged of elements whose class nobody can tell as well.
"""

from __future__ import annotations

from typing import Any

from twinwright.documents import Location
from twinwright.schema import context as contexts
from twinwright.schema import dtmi
from twinwright.schema.context import Context
from twinwright.schema.metamodel import LIMITS, ElementClass, Member
from twinwright.schema.node import Node
from twinwright.schema.report import Report, Source
from twinwright.schema.sources import kind


def read_id(
    data: dict[str, Any],
    cls: ElementClass | None,
    member: Member,
    context: Context,
    source: Source,
    location: Location,
    parent: Node | None,
    report: Report,
) -> str | None:
    """The identifier of an element of that class (None: it can't be told) that is a value of a member; None where it has none."""
    if "@id" not in data:
        _check_absent(cls, member, source, location, parent, report)
        return None
    value, limits = data["@id"], LIMITS[context.version, context.limits]

    def fail(code: str, message: str, remedy: str, shown: object = None) -> None:
        report.add(source, (*location, "@id"), code, message, remedy, value=shown)

    if not isinstance(value, str) or not value:
        fail("idNotString", f"'@id' is {kind(value) if value != '' else 'empty'}", "Write a DTMI")
    elif limits.id is not None and len(value) > limits.id:
        fail("idTooLong", f"'@id' has {len(value)} characters", f"At most {limits.id}", value)
    elif not dtmi.is_dtmi(value, context.version):
        fail("invalidId", f"'{value[:120]}' is not a DTMI", "Write it as dtmi:example:Thing;1", value)
    elif contexts.is_reserved(value, context):
        fail("reservedId", f"'{value[:120]}' is reserved for the language", "Use a path of your own", value)
    elif cls is not None and cls.name == "Interface" and limits.interface_id is not None and len(value) > limits.interface_id:
        fail("idTooLongForType", f"'@id' has {len(value)} characters", f"At most {limits.interface_id}", value)
    else:
        return value
    return None


def _check_absent(
    cls: ElementClass | None, member: Member, source: Source, location: Location, parent: Node | None, report: Report
) -> None:
    what = "element" if cls is None else cls.name
    if parent is None:
        report.add(source, location, "missingTopLevelId", f"the {what} has no '@id'", "Add a DTMI")
        return
    needed = member.classes == ("Interface",) if cls is None else cls.id_required
    if needed or (parent.cls.name == "Interface" and member.name == "schemas"):
        message = f"the {what} has no '@id'"
        report.add(source, location, "missingRequiredId", message, "Add a DTMI", primary=parent.name, member=member.name)


def check_unread_name(
    data: dict[str, Any], member: Member, context: Context, source: Source, location: Location, parent: Node | None, report: Report
) -> None:
    """Tell that an element whose class nobody can tell has no name, if an identifier would be made of it."""
    if parent is None or not member.named or "@id" in data or {"name", f"dtmi:dtdl:property:name;{context.version}"} & data.keys():
        return
    message, remedy = "the element has no 'name'", "Add 'name'"
    report.add(source, location, "missingDtmiSegPropertyValue", message, remedy, primary=parent.name, member=member.name, value="name")
