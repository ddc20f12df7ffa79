"""What co-types ask of the elements around theirs: schemas, fields, siblings and parents.

Source: the documents of the extensions; the rules themselves are rows in `extensions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from twinwright.schema import elements as e
from twinwright.schema import metamodel
from twinwright.schema.extensions import CoType
from twinwright.schema.metamodel import StandardSchema
from twinwright.schema.node import Node
from twinwright.schema.report import Report
from twinwright.schema.values import check_value

Linked = Callable[[Node, str], list[Node]]
_VALUED = ("Property", "Telemetry")


class Constraints:
    """Checks elements one by one; `linked` gives the elements of a member, included or referred to."""

    def __init__(self, report: Report, linked: Linked, schemas: Callable[[Node, str], list[Node | StandardSchema]]) -> None:
        self.report, self.linked, self.schemas = report, linked, schemas

    def check(self, node: Node) -> None:
        """The rules of the co-types of one element, and of those of its fields."""
        for item in node.cotypes.values():
            if item.schema or item.schema_values:
                self._check_schema(node, item)
            for member in item.members:
                if member.conforms and isinstance(node.brought.get(member.id), Decimal):
                    self._check_conforms(node, member.name, node.brought[member.id])
        if node.cls.name == "Object":
            self._check_fields(node)
        for name in ("fields", "enumValues"):
            self.check_unique(node, name, self.linked(node, name))

    def check_contents(self, interface: Node, contents: list[Node]) -> None:
        """The rules of co-types that speak of other contents of the same interface, inherited ones included."""
        self.check_unique(interface, "contents", contents)
        by_name = {item.values["name"]: item for item in contents if isinstance(item.values.get("name"), str)}
        seen: dict[tuple[object, object], Node] = {}
        for node in contents:
            annotated = by_name.get(node.value_of("annotates"))
            if any(item.annotates for item in node.cotypes.values()) and annotated is not None:
                self._check_annotated(node, annotated)
            if any(item.overrides for item in node.claimed):
                key = (node.value_of("annotates"), node.value_of("overrides"))
                if key in seen and None not in key:
                    message = f"'{key[1]}' of '{key[0]}' is overridden twice"
                    overriding = next(item for item in node.claimed if item.overrides)
                    self.report.add(
                        node.source,
                        (*node.location, "overrides"),
                        "multipleReference",
                        message,
                        "Keep one of them",
                        primary=interface.id,
                        secondary=overriding.members[0].id,
                        member="contents",
                        value=f"'{key[0]}' and '{_name(annotated, key[1])}'",
                    )
                seen[key] = node
                if annotated is not None and isinstance(key[1], str):
                    self._check_overridden(node, annotated, key[1])

    def check_unique(self, parent: Node, member: str, siblings: Iterable[Node]) -> None:
        """Members that co-types bring and whose values tell siblings apart (`index` of MQTT)."""
        seen: dict[tuple[str, object], Node] = {}
        for node in siblings:
            for item in node.cotypes.values():
                for brought in item.members:
                    value = node.brought.get(brought.id)
                    if not brought.unique or value is None:
                        continue
                    if seen.setdefault((brought.id, value), node) is not node:
                        message = f"two elements have the {brought.name} {value}"
                        self._fail(parent, (member,), "nonUniquePropertyValue", message, "Change one of them", member, str(value))

    def _fail(
        self,
        node: Node,
        inside: tuple[str, ...],
        code: str,
        message: str,
        remedy: str,
        member: str,
        value: object = None,
        secondary: Node | StandardSchema | None = None,
    ) -> None:
        self.report.add(
            node.source,
            (*node.location, *inside),
            code,
            message,
            remedy,
            primary=node.name,
            member=member,
            value=value,
            secondary=secondary.id if isinstance(secondary, StandardSchema) else secondary.name if secondary is not None else None,
        )

    def _check_schema(self, node: Node, item: CoType) -> None:
        for schema in self.schemas(node, "schema"):
            if item.schema_values and not (isinstance(schema, StandardSchema) and schema.name in item.schema_values):
                remedy = f"Use one of: {', '.join(item.schema_values)}"
                message = f"the schema of {item.name} is not one of a few"
                self._fail(node, ("schema",), "notRequiredValue", message, remedy, "schema", _shown(schema), schema)
            elif item.schema and not _kinds(schema, node.version).intersection(item.schema):
                remedy = f"Use one of: {', '.join(_numeric(node.version))}" if "NumericSchema" in item.schema else "Change the schema"
                message = f"the schema of {item.name} is {' or '.join(item.schema)}"
                self._fail(node, ("schema",), "notRequiredType", message, remedy, "schema", _shown(schema), schema)

    def _check_conforms(self, node: Node, member: str, value: Decimal) -> None:
        for schema in self.schemas(node, "schema"):
            number = int(value) if value == value.to_integral_value() else float(value)
            name = schema.name if isinstance(schema, StandardSchema) else ""
            if name == "decimal":
                continue
            if name not in _numeric(node.version) or check_value(number, e.Primitive(name)):
                message = f"'{member}' is {value}, which is no value of the schema"
                self._fail(node, (member,), "nonConformantPropertyValue", message, "Change it, or the schema", member, str(value))

    def _check_fields(self, node: Node) -> None:
        fields = self.linked(node, "fields")
        mine = _names(node.cotypes)
        for item in node.cotypes.values():
            for field in fields if item.fields else ():
                if not _names(field.cotypes).intersection(item.fields):
                    message = f"a field of {item.name} is {' or '.join(item.fields)}"
                    self._fail(node, ("fields",), "notRequiredType", message, "Add that co-type", "fields", secondary=field)
        holders: dict[str, Node] = {}
        for field in fields:
            for item in (item for item in field.cotypes.values() if item.parent):
                if not mine.intersection(item.parent):
                    message = f"{item.name} is for fields of {' or '.join(item.parent)}"
                    self._fail(field, ("@type",), "parentMissingCotype", message, "Add that co-type to the Object", "fields")
                elif item.name in holders:
                    message = f"two fields are {item.name}"
                    self._fail(field, ("@type",), "siblingDuplicatesCotype", message, "Keep one", "fields", secondary=holders[item.name])
                elif item.beside is not None and not any(item.beside in _names(other.cotypes) for other in fields):
                    message = f"{item.name} is for an Object with {item.beside}"
                    self._fail(field, ("@type",), "siblingMissingCotype", message, f"Add a field that is {item.beside}", "fields")
                holders.setdefault(item.name, field)

    def _check_annotated(self, node: Node, annotated: Node) -> None:
        name = annotated.values["name"]
        if annotated.cls.name not in _VALUED:
            message = f"'{name}' is a {annotated.cls.name}"
            self._fail(
                node, ("annotates",), "notSiblingRequiredType", message, "Name a Property or Telemetry", "annotates", name, annotated
            )
        elif any(item.annotates for item in annotated.cotypes.values()):
            message = f"'{name}' is an annotation itself"
            self._fail(node, ("annotates",), "disallowedType", message, "Name what it annotates", "annotates", name, annotated)

    def _check_overridden(self, node: Node, annotated: Node, member: str) -> None:
        brought = next((item for cotype in annotated.cotypes.values() for item in cotype.members if member in (item.name, item.id)), None)
        if member in annotated.cls.members:
            message = f"'{member}' belongs to {annotated.cls.name} itself"
            remedy = "Only members that co-types bring can be overridden"
            name = annotated.values["name"]
            self._fail(node, ("overrides",), "matchingPropertyNotSupplemental", message, remedy, "annotates", name, annotated)
        elif brought is None:
            name = annotated.values["name"]
            message = f"no type of '{name}' brings '{member[:80]}'"
            self._fail(node, ("overrides",), "noMatchingSupplementalProperty", message, "Correct its name", "annotates", name, annotated)
        elif brought.kind == "unit" and node.elements.get("schema"):
            schema = node.elements["schema"][0]
            if not (isinstance(schema, StandardSchema) and schema.name == brought.unit_type):
                message = f"the schema is not {brought.unit_type}"
                self._fail(node, ("schema",), "siblingPropertyMismatch", message, f"Write {brought.unit_type}", "schema", _shown(schema))


def _name(node: Node | None, member: object) -> object:
    """The name of a member that a co-type of the element brings, where it is given by its identifier."""
    brought = (item for cotype in node.cotypes.values() for item in cotype.members) if node is not None else iter(())
    return next((item.name for item in brought if item.id == member), member)


def _names(cotypes: Mapping[str, CoType]) -> set[str]:
    return {item.name for item in cotypes.values()}


def _numeric(version: int) -> tuple[str, ...]:
    return metamodel.NUMERIC_V4 if version == 4 else metamodel.NUMERIC_V2


def _kinds(schema: Node | StandardSchema, version: int) -> set[str]:
    """The class of a schema and all that it counts as."""
    if isinstance(schema, Node):
        return {schema.cls.name, *_names(schema.cotypes)}
    if schema.kind == "primitive":
        return {schema.name[0].upper() + schema.name[1:], *(["NumericSchema"] if schema.name in _numeric(version) else [])}
    return {"Enum" if schema.kind == "enum" else "Object"}


def _shown(schema: object) -> str | None:
    return schema.name if isinstance(schema, StandardSchema | Node) else getattr(schema, "dtmi", None)
