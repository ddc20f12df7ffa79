"""What changed between two ontologies, and what each change does to twins and clients that exist already.

`additive`: something new that nobody has to know of. `compatible`: nothing stored or written becomes wrong (a title, a
wider number, a removed restriction). `breaking`: stored values, clients or twins of the old version may no longer fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from twinwright import units
from twinwright.errors import UnitError
from twinwright.schema import elements as e
from twinwright.schema.ontology import Ontology

Effect = Literal["additive", "compatible", "breaking"]

# Each may become any to its right without a stored value losing its meaning.
_WIDER: dict[str, frozenset[str]] = {
    "byte": frozenset({"short", "integer", "long", "float", "double"}),
    "short": frozenset({"integer", "long", "float", "double"}),
    "integer": frozenset({"long", "double"}),
    "unsignedByte": frozenset({"unsignedShort", "unsignedInteger", "unsignedLong", "short", "integer", "long", "float", "double"}),
    "unsignedShort": frozenset({"unsignedInteger", "unsignedLong", "integer", "long", "float", "double"}),
    "unsignedInteger": frozenset({"unsignedLong", "long", "double"}),
    "float": frozenset({"double"}),
    "uuid": frozenset({"string"}),
    "date": frozenset({"string"}),
    "dateTime": frozenset({"string"}),
    "time": frozenset({"string"}),
    "duration": frozenset({"string"}),
    "decimal": frozenset({"string"}),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One change: of which interface, of which content (None: the interface itself), its effect and the reason."""

    interface: str
    content: str | None
    effect: Effect
    what: str
    reason: str

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def diff(old: Ontology, new: Ontology) -> list[Change]:
    """Every change from `old` to `new`, by interface and content; inherited contents are compared where they arrive."""
    changes: list[Change] = []
    for dtmi in sorted(old.interfaces.keys() | new.interfaces.keys()):
        before, after = old.interfaces.get(dtmi), new.interfaces.get(dtmi)
        if before is None:
            changes.append(Change(dtmi, None, "additive", "interface added", "nothing refers to it yet"))
        elif after is None:
            changes.append(Change(dtmi, None, "breaking", "interface removed", "twins of it would have no model"))
        else:
            changes.extend(_interface(before, after, old, new))
    return changes


def _interface(before: e.Interface, after: e.Interface, old: Ontology, new: Ontology) -> Iterator[Change]:
    dtmi = before.id
    for base in (base for base in before.extends if not new.is_subtype(dtmi, base)):
        yield Change(dtmi, None, "breaking", f"no longer extends {base}", "relationships and queries that ask for the base would miss it")
    for base in (base for base in after.extends if base not in before.extends and not old.is_subtype(dtmi, base)):
        yield Change(dtmi, None, "additive", f"extends {base}", "the twin is also one of those")
    if (before.display_name, before.description, before.comment) != (after.display_name, after.description, after.comment):
        yield Change(dtmi, None, "compatible", "texts changed", "they are for people")
    for name in sorted(before.contents.keys() | after.contents.keys()):
        one, other = before.contents.get(name), after.contents.get(name)
        if one is None and other is not None:
            yield Change(dtmi, name, "additive", f"{_kind(other)} added", "twins may leave it out")
        elif other is None and one is not None:
            yield Change(dtmi, name, "breaking", f"{_kind(one)} removed", "what is stored or asked for under it would be lost")
        elif one is not None and other is not None and one != other:
            yield from _content(dtmi, one, other, new)


def _content(dtmi: str, before: e.Content, after: e.Content, new: Ontology) -> Iterator[Change]:
    def change(effect: Effect, what: str, reason: str) -> Change:
        return Change(dtmi, before.name, effect, what, reason)

    if type(before) is not type(after):
        yield change("breaking", f"{_kind(before)} became {_kind(after)}", "they are stored and asked for in different ways")
        return
    if (before.display_name, before.description) != (after.display_name, after.description):
        yield change("compatible", "texts changed", "they are for people")
    if isinstance(before, e.Property | e.Telemetry) and isinstance(after, e.Property | e.Telemetry):
        yield from _value(before, after, change)
    elif isinstance(before, e.Relationship) and isinstance(after, e.Relationship):
        yield from _relationship(before, after, new, change)
    elif isinstance(before, e.Component) and isinstance(after, e.Component):
        if before.schema != after.schema:
            fits = after.schema in new.interfaces and before.schema in new.interfaces and new.is_subtype(after.schema, before.schema)
            reason = "it extends the former one" if fits else "paths of the component may be missing or differ"
            yield change("compatible" if fits else "breaking", f"component became {after.schema}", reason)
    elif isinstance(before, e.Command) and isinstance(after, e.Command):
        yield from _command(before, after, change)


def _value(before: e.Property | e.Telemetry, after: e.Property | e.Telemetry, change: Any) -> Iterator[Change]:
    for effect, what, reason in _schema(before.schema, after.schema):
        yield change(effect, what, reason)
    yield from _unit(before, after, change)
    if isinstance(before, e.Property) and isinstance(after, e.Property) and before.writable != after.writable:
        if after.writable:
            yield change("compatible", "became writable", "readers see no difference")
        else:
            yield change("breaking", "is no longer writable", "clients that write it would be refused")


def _unit(before: e.Property | e.Telemetry, after: e.Property | e.Telemetry, change: Any) -> Iterator[Change]:
    if before.unit != after.unit:
        what = f"unit {before.unit or 'none'} became {after.unit or 'none'}"
        try:
            factor = units.converter(before.unit, after.unit)
        except UnitError:
            yield change("breaking", what, "the two units measure different quantities")
        else:
            yield change(
                "breaking",
                what,
                f"readers of plain numbers would be off; a migration can convert (x {factor.factor!r} + {factor.offset!r})",
            )
    elif before.semantic_type != after.semantic_type:
        yield change("compatible", f"semantic type {before.semantic_type} became {after.semantic_type}", "the unit stays")


def _relationship(before: e.Relationship, after: e.Relationship, new: Ontology, change: Any) -> Iterator[Change]:
    if before.target != after.target:
        known = before.target in new.interfaces and after.target is not None
        wider = after.target is None or (known and new.is_subtype(str(before.target), after.target))
        reason = "every edge that exists still fits" if wider else "edges that exist may point to other twins"
        yield change("compatible" if wider else "breaking", f"target became {after.target or 'any'}", reason)
    most_before, most_after = before.max_multiplicity, after.max_multiplicity
    if most_before != most_after:
        tighter = most_after is not None and (most_before is None or most_after < most_before)
        reason = "twins may have more edges than that" if tighter else "every twin still fits"
        yield change("breaking" if tighter else "compatible", f"maxMultiplicity became {most_after}", reason)
    if before.writable != after.writable:
        effect: Effect = "compatible" if after.writable else "breaking"
        reason = "readers see no difference" if after.writable else "clients that write it would be refused"
        yield change(effect, "became writable" if after.writable else "is no longer writable", reason)
    old_properties, new_properties = ({item.name: item for item in side.properties} for side in (before, after))
    for name in sorted(old_properties.keys() | new_properties.keys()):
        one, other = old_properties.get(name), new_properties.get(name)
        if one is None:
            yield change("additive", f"edge property {name} added", "edges may leave it out")
        elif other is None:
            yield change("breaking", f"edge property {name} removed", "what edges store under it would be lost")
        elif one != other:
            yield from _value(one, other, change)


def _command(before: e.Command, after: e.Command, change: Any) -> Iterator[Change]:
    for side in ("request", "response"):
        one, other = getattr(before, side), getattr(after, side)
        if (one is None and other is None) or one == other:
            continue
        if one is None or other is None:
            yield change("breaking", f"{side} {'added' if one is None else 'removed'}", "callers send or expect something else")
            continue
        for effect, what, reason in _schema(one.schema, other.schema):
            yield change(effect, f"{side}: {what}", reason)
        if (one.name, one.nullable, one.unit) != (other.name, other.nullable, other.unit):
            yield change("breaking", f"{side}: name, unit or nullability changed", "callers send or expect something else")


def value_changes(before: e.Schema, after: e.Schema) -> list[tuple[Effect, str, str]]:
    """How the values of a schema change: effect, what, and why."""
    return list(_schema(before, after))


def _schema(before: e.Schema, after: e.Schema) -> Iterator[tuple[Effect, str, str]]:
    """The changes of a schema; a named one that only got another identifier is no change."""
    if before == after:
        return
    if isinstance(before, e.Primitive) and isinstance(after, e.Primitive):
        wider = after.name in _WIDER.get(before.name, frozenset())
        reason = "every stored value fits" if wider else "stored values may not fit"
        yield "compatible" if wider else "breaking", f"{before.name} became {after.name}", reason
    elif isinstance(before, e.Enum) and isinstance(after, e.Enum):
        yield from _enum(before, after)
    elif isinstance(before, e.Array) and isinstance(after, e.Array):
        yield from _schema(before.element_schema, after.element_schema)
    elif isinstance(before, e.Map) and isinstance(after, e.Map):
        if (before.key_name, before.value_name) != (after.key_name, after.value_name):
            yield "compatible", "names of key and value changed", "no stored value has them"
        yield from _schema(before.value_schema, after.value_schema)
    elif isinstance(before, e.Object) and isinstance(after, e.Object):
        yield from _object(before, after)
    else:
        names = [type(schema).__name__ if not isinstance(schema, e.Primitive | e.Geospatial) else schema.name for schema in (before, after)]
        yield "breaking", f"{names[0]} became {names[1]}", "stored values don't fit"


def _enum(before: e.Enum, after: e.Enum) -> Iterator[tuple[Effect, str, str]]:
    if before.value_schema != after.value_schema:
        yield "breaking", f"enum of {before.value_schema} became one of {after.value_schema}", "stored values don't fit"
        return
    old_values, new_values = ({item.value: item.name for item in side.values} for side in (before, after))
    for value in sorted(old_values.keys() | new_values.keys(), key=str):
        if value not in old_values:
            yield "additive", f"enum value {value!r} added", "stored values still fit"
        elif value not in new_values:
            yield "breaking", f"enum value {value!r} removed", "stored values may have it"
        elif old_values[value] != new_values[value]:
            yield "breaking", f"enum value {value!r} renamed", "it means something else by name"


def _object(before: e.Object, after: e.Object) -> Iterator[tuple[Effect, str, str]]:
    old_fields, new_fields = ({field.name: field for field in side.fields} for side in (before, after))
    for name in sorted(old_fields.keys() | new_fields.keys()):
        one, other = old_fields.get(name), new_fields.get(name)
        if one is None and other is not None and other.required:
            yield "breaking", f"required field {name} added", "stored values don't have it"
        elif one is None:
            yield "additive", f"field {name} added", "stored values may leave it out"
        elif other is None:
            yield "breaking", f"field {name} removed", "stored values have it"
        else:
            for effect, what, reason in _schema(one.schema, other.schema):
                yield effect, f"field {name}: {what}", reason
            if other.required and not one.required:
                yield "breaking", f"field {name} became required", "stored values may leave it out"
            elif one.required and not other.required:
                yield "compatible", f"field {name} is no longer required", "every stored value fits"
            if one.unit != other.unit:
                yield "breaking", f"field {name}: unit {one.unit} became {other.unit}", "stored numbers would be misread"


def _kind(content: e.Content) -> str:
    return type(content).__name__.lower()
