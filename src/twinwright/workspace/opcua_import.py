"""The address space of an OPC UA server as a workspace: interfaces, twins, contracts and the connector that feeds them.

An object with variables of its own is a twin. Objects of one type and shape (the names, types and units of their variables) share
an interface and a contract; a twin `contains` those below it. Names become what DTDL admits, and get a number where two would be
one. The same address space gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from twinwright import units
from twinwright.connectors.opcua_units import DIMENSIONLESS, unit_of
from twinwright.errors import UsageError
from twinwright.schema.semantic_types import names, unit_type, units_of
from twinwright.telemetry.contract_spec import MAX_OBSERVATIONS

if TYPE_CHECKING:
    from twinwright.connectors.opcua_client import AccessSettings
    from twinwright.connectors.opcua_space import Space, SpaceObject, SpaceVariable

CONTAINS: Final = "contains"
MAX_WARNINGS: Final = 1_000

_EDITION: Final = 1
_CONTEXT: Final = ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"]
_SCHEMAS: Final = {
    "Boolean": "boolean", "SByte": "integer", "Byte": "integer", "Int16": "integer", "UInt16": "integer", "Int32": "integer",
    "UInt32": "long", "Int64": "long", "UInt64": "long", "Float": "float", "Double": "double", "String": "string", "Guid": "string",
    "LocalizedText": "string", "DateTime": "dateTime",
}  # fmt: skip
_NUMBERS: Final = frozenset({"integer", "long", "float", "double"})
_SEMANTIC: Final = {  # where several quantities have one unit, the one that says least
    "LengthUnit": "Length", "AngleUnit": "Angle", "PowerUnit": "Power", "DensityUnit": "Density", "ForceUnit": "Force",
    "Unitless": "Concentration",
}  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_LONGEST_WORD: Final = 60
_LONGEST_TWIN: Final = 128


@dataclass(frozen=True, slots=True)
class Draft:
    """A workspace that is not written yet: `files` by their names in it, and the `connector` section of twinwright.toml."""

    name: str
    files: Mapping[str, str]
    connector: str
    twins: int
    interfaces: int
    variables: int
    warnings: tuple[str, ...]


_HEAD = frozenset({"node", "twin", "time", "server_time"})  # what every payload of the connector has beside the value


@dataclass(frozen=True, slots=True)
class _Column:
    """A variable as a content of its interface."""

    name: str
    schema: str
    is_property: bool
    unit: str | None = None  # as the source measures
    dtdl_unit: str | None = None
    shown: str | None = None  # the server's name where it is another

    @property
    def shape(self) -> tuple[Any, ...]:
        return (self.name, self.schema, self.is_property, self.unit, self.dtdl_unit)

    @property
    def meaning(self) -> tuple[str, str | None]:
        """Its values, all of a float being those of a double too, and its unit."""
        return "double" if self.schema == "float" else self.schema, None if self.dtdl_unit is None else units.DTDL_UNITS[self.dtdl_unit]


@dataclass(slots=True)
class _Interface:
    """An interface, and for its contract each node with the twin, field and field of the status that it goes to."""

    name: str
    shown: str
    columns: tuple[_Column, ...]
    nodes: list[dict[str, str]] = field(default_factory=list)


def draft_workspace(space: Space, access: AccessSettings, name: str, *, status: bool = False) -> Draft:
    """What to write for an address space. `status`: beside each variable a text `..._status` with its status code."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"'{name}' is not a name", where="--name", remedy="Use 1 to 64 letters, digits, - and _")
    return _Drafting(name, status).draft(space, access)


class _Drafting:
    def __init__(self, name: str, status: bool) -> None:
        self._name, self._status = name, status
        self._warnings: list[str] = []
        self._meanings: dict[str, tuple[str, str | None]] = {}
        self._interfaces: dict[tuple[Any, ...], _Interface] = {}
        self._words = _Unique()
        self._ids = _Unique()

    def draft(self, space: Space, access: AccessSettings) -> Draft:
        twins: list[dict[str, Any]] = []
        ids: dict[tuple[str, ...], str] = {}
        relationships = []
        with_variables = [one for one in space.objects if one.variables]
        if not with_variables:
            raise UsageError("there is no object with variables", where=access.url, remedy="Begin elsewhere, with --root NODE")
        for one in with_variables:
            id = self._ids.take(_twin_id(one.path), _LONGEST_TWIN)
            interface = self._interface(one, id)
            twins.append({"$dtId": id, "$metadata": {"$model": self._dtmi(interface)}})
            parent = next((ids[one.path[:end]] for end in range(len(one.path) - 1, 0, -1) if one.path[:end] in ids), None)
            if parent is not None:
                relationships.append({"$sourceId": parent, "$targetId": id, "$relationshipName": CONTAINS})
            ids.setdefault(one.path, id)
        graph = {"twins": twins, **({"relationships": relationships} if relationships else {})}
        interfaces = list(self._interfaces.values())
        files = {f"schema/{one.name}.json": _json(self._document(one)) for one in interfaces}
        files["twins.yaml"] = _yaml(graph)
        files |= {f"contracts/{self._contract_name(one)}.yaml": _yaml(self._contract(one)) for one in interfaces}
        warnings = (*space.warnings, *self._warnings)
        left = (f"and {len(warnings) - MAX_WARNINGS} more",) if len(warnings) > MAX_WARNINGS else ()
        variables = sum(len(one.nodes) for one in interfaces)
        section = _connector(self._name, access)
        return Draft(self._name, files, section, len(twins), len(interfaces), variables, (*warnings[:MAX_WARNINGS], *left))

    def _interface(self, one: SpaceObject, twin: str) -> _Interface:
        """The interface of an object's shape, with its nodes noted."""
        room = MAX_OBSERVATIONS // (2 if self._status else 1)
        if len(one.variables) > room:
            self._warnings.append(f"{twin} has {len(one.variables)} variables: those after the first {room} are left out")
        used: set[str] = {CONTAINS}
        columns: list[_Column] = []
        nodes: list[dict[str, str]] = []
        for variable in one.variables[:room]:
            column = self._column(variable, twin, used)
            columns.append(column)
            node = {"node": variable.node, "twin": twin, "field": column.name}
            if self._status:
                told = self._named(f"{column.name}_status", used, _Column("", "string", False))
                columns.append(told)
                node["status"] = told.name
            nodes.append(node)
        key = (one.type, *(column.shape for column in columns))
        if key not in self._interfaces:
            shown = one.type or one.path[-1]
            self._interfaces[key] = _Interface(self._words.take(_word(shown), _LONGEST_WORD), shown, tuple(columns))
        self._interfaces[key].nodes += nodes
        return self._interfaces[key]

    def _column(self, variable: SpaceVariable, twin: str, used: set[str]) -> _Column:
        schema = _SCHEMAS[variable.type]
        unit, dtdl_unit = self._unit(variable, schema, twin)
        return self._named(variable.name, used, _Column("", schema, variable.is_property, unit, dtdl_unit))

    def _unit(self, variable: SpaceVariable, schema: str, twin: str) -> tuple[str | None, str | None]:
        if variable.unit is None or variable.unit == DIMENSIONLESS:
            return None, None
        known = unit_of(variable.unit) if schema in _NUMBERS else None
        if known is None:
            self._warnings.append(f"{variable.name} of {twin}: the unit {variable.unit} has no DTDL counterpart, it is left out")
            return None, None
        return known

    def _named(self, wanted: str, used: set[str], column: _Column) -> _Column:
        """The column under a name that its interface does not use yet, and that means the same in every interface."""
        word = _word(wanted)
        number = 1
        while True:
            name = word if number == 1 else f"{word}_{number}"
            if name not in used | _HEAD and self._same(self._meanings.setdefault(name, column.meaning), column.meaning):
                used.add(name)
                shown = None if name == wanted else wanted[:512]
                return _Column(name, column.schema, column.is_property, column.unit, column.dtdl_unit, shown)
            number += 1

    @staticmethod
    def _same(a: tuple[str, str | None], b: tuple[str, str | None]) -> bool:
        return a[0] == b[0] and units.compatible(a[1], b[1])

    def _dtmi(self, interface: _Interface) -> str:
        return f"dtmi:{_word(self._name)}:{interface.name};1"

    def _document(self, interface: _Interface) -> dict[str, Any]:
        contents = [_content(column) for column in interface.columns]
        contents.append({"@type": "Relationship", "name": CONTAINS})
        shown = {"displayName": interface.shown[:512]}
        return {"@context": _CONTEXT, "@id": self._dtmi(interface), "@type": "Interface", **shown, "contents": contents}

    def _contract_name(self, interface: _Interface) -> str:
        return f"{self._name}-{interface.name}"

    def _contract(self, interface: _Interface) -> dict[str, Any]:
        observations = [
            {"path": column.name, "field": column.name, **({} if column.unit is None else {"unit": column.unit})}
            for column in interface.columns
        ]
        return {
            "name": self._contract_name(interface),
            "revision": 1,
            "source": {"connector": self._name, "nodes": interface.nodes},
            "format": "json",
            "twin": "{twin}",
            "time": {"field": "time", "format": "iso8601"},
            "observations": observations,
        }


class _Unique:
    """Gives each text once, by whatever letter case; a number makes the difference."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wanted: str, longest: int) -> str:
        number = 1
        while True:
            end = "" if number == 1 else f"_{number}"
            text = wanted[: longest - len(end)] + end
            if text.casefold() not in self._taken:
                self._taken.add(text.casefold())
                return text
            number += 1


def _content(column: _Column) -> dict[str, Any]:
    kind = "Property" if column.is_property else "Telemetry"
    types: Any = kind
    unit = {}
    if column.dtdl_unit is not None:
        types, unit = [kind, _semantic_type(column.dtdl_unit)], {"unit": column.dtdl_unit}
    shown = {} if column.shown is None else {"displayName": column.shown}
    return {"@type": types, "name": column.name, **shown, "schema": column.schema, **unit}


def _semantic_type(dtdl_unit: str) -> str:
    """The quantity that a unit is of: DTDL wants it named beside the unit."""
    kinds = {unit_type(one, _EDITION): one for one in sorted(names(_EDITION), reverse=True)}
    kind = next(one for one in kinds if one is not None and dtdl_unit in units_of(one, _EDITION))
    return _SEMANTIC.get(kind, kinds[kind])


def _word(text: str) -> str:
    """A name of letters, digits and single underscores that begins with a letter, as DTDL has them."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    word = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")
    word = word if word[:1].isalpha() else f"n{word}"
    return word[:_LONGEST_WORD].rstrip("_")


def _twin_id(path: Iterable[str]) -> str:
    """The browse names in a form that stands in addresses and on command lines; a long one is cut, and its digest set behind."""
    id = re.sub(r"[^\w.-]+", "_", ".".join(path))
    return id if len(id) <= _LONGEST_TWIN else f"{id[:108]}-{hashlib.sha256(id.encode()).hexdigest()[:16]}"


def _connector(name: str, access: AccessSettings) -> str:
    """The section of twinwright.toml, with all that is not a default."""
    given = access.model_dump(exclude_defaults=True, exclude={"timeout"})
    lines = [f"[connectors.{name}]", 'type = "opcua"', *(f"{key} = {json.dumps(value)}" for key, value in given.items())]
    return "\n".join(lines) + "\n"


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=10_000)


def write_draft(draft: Draft, folder: Path) -> bool:
    """Write a draft into a folder, all of it or nothing. Whether twinwright.toml was written too: it is left alone if there is one.

    Raises UsageError where a file of the draft is there already, or can't be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError("it is not a folder", where=str(folder), remedy="Name a new one")
    fresh = not (folder / "twinwright.toml").exists()
    files = {**draft.files, **({"twinwright.toml": draft.connector, ".gitignore": ".twinwright/\n"} if fresh else {})}
    there = [name for name in draft.files if (folder / name).exists()]
    if there:
        more = f" and {len(there) - 3} more" if len(there) > 3 else ""
        remedy = "Name a new folder, and take over by hand what you want of it"
        raise UsageError(f"there is {', '.join(there[:3])}{more} already", where=str(folder), remedy=remedy)
    written: list[Path] = []
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                written.append(path)
                path.write_text(text, encoding="utf-8")
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise UsageError(f"can't be written: {error.strerror}", where=str(folder), remedy="Check the path and its permissions") from error
    return fresh
