"""An OPC UA server's address space, read once: objects and the variables that they have, as plain data in a fixed order.

Read are objects and variables below a root, along hierarchical references; of a variable its data type (a subtype counts as the
built-in type that it comes from), and its engineering unit. What a twin has no place for is left out with a warning.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import Client, ua

from twinwright.clock import SECOND
from twinwright.connectors.opcua_client import FAILURES, AccessSettings, connect, failed
from twinwright.connectors.opcua_nodes import OBJECTS, Browser, Reference, check_node_id, chunks, node_id, node_text
from twinwright.connectors.opcua_units import NAMESPACE, code_of
from twinwright.errors import NotFoundError, TooLargeError, UsageError

MAX_DEPTH: Final = 20
MAX_NODES: Final = 20_000

_BUILT_IN: Final = {
    1: "Boolean",
    2: "SByte",
    3: "Byte",
    4: "Int16",
    5: "UInt16",
    6: "Int32",
    7: "UInt32",
    8: "Int64",
    9: "UInt64",
    10: "Float",
    11: "Double",
    12: "String",
    13: "DateTime",
    14: "Guid",
    21: "LocalizedText",
    26: "Double",
    27: "Int64",
    28: "UInt64",
    29: "Int32",
}  # fmt: skip - Part 6, table 1; then the abstract Number, Integer, UInteger and Enumeration of Part 3
_SUBTYPES_ABOVE: Final = 30
_SCALARS: Final = (-1, -2, -3)  # value ranks that a scalar may have (Part 3, section 5.6.2)
_READABLE: Final = 1  # bit CurrentRead of an access level
_OF_THE_STANDARD: Final = frozenset({"Server", "Aliases", "Locations"})
_PLAIN_TYPES: Final = (ua.ObjectIds.BaseObjectType, ua.ObjectIds.FolderType)


@dataclass(frozen=True, slots=True)
class SpaceVariable:
    """A variable that can be read: `type` is a built-in type; `unit` a UN/ECE code, or None; a property describes its object."""

    name: str
    node: str
    type: str
    is_property: bool
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class SpaceObject:
    """An object: the browse names from the root to it, the name of its type where that says something, and its variables."""

    path: tuple[str, ...]
    node: str
    type: str | None
    variables: tuple[SpaceVariable, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """What was found, each object after the one that it is below; `warnings` say what was left out."""

    objects: tuple[SpaceObject, ...]
    warnings: tuple[str, ...] = ()


def read_space(access: AccessSettings, root: str | None = None, *, depth: int = MAX_DEPTH, limit: int = MAX_NODES) -> Space:
    """What a server has at and below `root` (a node id; default: the Objects folder), down to `depth` levels below it.

    Raises PlatformError where the server can't be reached or fails, NotFoundError for a root that it does not have, TooLargeError
    past `limit` objects and variables.
    """
    if root is not None and (wrong := check_node_id(root)):
        raise UsageError(wrong, where="--root", remedy="Correct the node id")
    return asyncio.run(_read(access, root, depth, limit))


async def _read(access: AccessSettings, root: str | None, depth: int, limit: int) -> Space:
    client = await connect(access)
    try:
        return await _Reader(client, depth, limit).read(root)
    except FAILURES as error:
        raise failed(access, f"it does not answer as it should: {type(error).__name__}: {error}") from error
    finally:
        with contextlib.suppress(Exception):  # what was wrong is told already
            await asyncio.wait_for(client.disconnect(), access.timeout / SECOND)


@dataclass(slots=True)
class _Found:
    """An object on the way: its place, and the variables below it that are still to be described."""

    path: tuple[str, ...]
    node: ua.NodeId
    type: ua.NodeId
    variables: list[Reference] = field(default_factory=list)


class _Reader:
    def __init__(self, client: Client, depth: int, limit: int) -> None:
        self._client = client
        self._session = client.uaclient.session
        self._browser = Browser(client, limit=20 * limit)
        self._depth, self._limit = depth, limit
        self._types: dict[str, str | None] = {}
        self._warnings: list[str] = []
        self._namespaces: list[str] = []

    async def read(self, root: str | None) -> Space:
        self._namespaces = await self._client.get_namespace_array()
        found = await self._objects(await self._root(root))
        variables = await self._variables([reference for one in found for reference in one.variables])
        types = await self._type_names([one.type for one in found])
        objects = [
            SpaceObject(
                one.path,
                node_text(one.node, self._namespaces),
                types[one.type.to_string()],
                tuple(variables[key] for key in (reference.node.to_string() for reference in one.variables) if key in variables),
            )
            for one in found
        ]
        return Space(tuple(sorted(objects, key=lambda one: (one.path, one.node))), tuple(self._warnings))

    async def _root(self, text: str | None) -> _Found:
        if text is None:
            return _Found(("Objects",), OBJECTS, ua.NodeId(ua.ObjectIds.FolderType))
        node = node_id(text, self._namespaces)
        names = [] if node is None else await self._attributes([node], ua.AttributeIds.BrowseName)
        if node is None or not names or names[0] is None:
            raise NotFoundError(f"the server has no node '{text}'", where="--root", remedy="Name an object of it as ns=2;s=Plant")
        return _Found((names[0].Name,), node, ua.NodeId(ua.ObjectIds.BaseObjectType))

    async def _objects(self, root: _Found) -> list[_Found]:
        """Breadth first, each object at the first place where it is met, so that references in a circle end."""
        found, level, seen = [root], [root], {root.node.to_string()}
        count = 0
        for _ in range(self._depth + 1):
            below: list[_Found] = []
            for owner, references in zip(level, await self._browser.below([one.node for one in level]), strict=True):
                for reference in references:
                    key = reference.node.to_string()
                    if key in seen or (reference.node.NamespaceIndex == 0 and reference.name in _OF_THE_STANDARD):
                        continue
                    seen.add(key)
                    count += 1
                    if not reference.is_object:
                        owner.variables.append(reference)
                        continue
                    path = (reference.name,) if owner.node == OBJECTS else (*owner.path, reference.name)
                    below.append(_Found(path, reference.node, reference.type))
            if count > self._limit:
                raise TooLargeError(f"more than {self._limit} objects and variables", remedy="Begin further down, with --root NODE")
            found += below
            level = below
            if not level:
                return found
        self._warnings.append(f"objects deeper than {self._depth} levels are left out")
        return found

    async def _variables(self, references: Sequence[Reference]) -> dict[str, SpaceVariable]:
        """Those that a twin has a place for, by the text of their ids."""
        nodes = [reference.node for reference in references]
        kinds = [await self._attributes(nodes, ua.AttributeIds[name]) for name in ("DataType", "ValueRank", "UserAccessLevel")]
        units = await self._units(nodes)
        variables: dict[str, SpaceVariable] = {}
        for reference, data_type, rank, level, unit in zip(references, *kinds, units, strict=True):
            name, text = reference.name, node_text(reference.node, self._namespaces)
            type = await self._built_in(data_type)
            if level is None or not level & _READABLE:
                self._warnings.append(f"{name} ({text}) can't be read: it is left out")
            elif rank not in _SCALARS:
                self._warnings.append(f"{name} ({text}) is an array: it is left out")
            elif type is None:
                self._warnings.append(f"{name} ({text}) has a type that a twin has no place for: it is left out")
            else:
                variables[reference.node.to_string()] = SpaceVariable(name, text, type, reference.is_property, unit)
        return variables

    async def _units(self, nodes: Sequence[ua.NodeId]) -> list[str | None]:
        """The UN/ECE code of each variable's property EngineeringUnits; the name in brackets where it is of another system."""
        holders: dict[int, ua.NodeId] = {}
        for index, references in enumerate(await self._browser.below(nodes)):
            for one in references:
                if one.qualified == "0:EngineeringUnits":
                    holders[index] = one.node
        values = dict(zip(holders, await self._attributes(list(holders.values()), ua.AttributeIds.Value), strict=True))
        return [_unit(values.get(index)) for index in range(len(nodes))]

    async def _built_in(self, data_type: Any) -> str | None:
        """The name of the built-in type that a data type is, or comes from."""
        if not isinstance(data_type, ua.NodeId):
            return None
        key = data_type.to_string()
        if key not in self._types:
            at: ua.NodeId | None = data_type
            for _ in range(_SUBTYPES_ABOVE):
                if at is None or (at.NamespaceIndex == 0 and at.Identifier in _BUILT_IN):
                    break
                at = await self._supertype(at)
            named = at is not None and at.NamespaceIndex == 0
            self._types[key] = _BUILT_IN.get(at.Identifier) if named and at is not None else None
        return self._types[key]

    async def _supertype(self, node: ua.NodeId) -> ua.NodeId | None:
        description = ua.BrowseDescription()
        description.NodeId = node
        description.BrowseDirection = ua.BrowseDirection.Inverse
        description.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HasSubtype)
        description.IncludeSubtypes = True
        description.ResultMask = ua.BrowseResultMask.None_
        request = ua.BrowseParameters()
        request.View = ua.ViewDescription()
        request.NodesToBrowse = [description]
        (result,) = await self._session.browse(request)
        for reference in result.References or ():
            found = reference.NodeId
            return ua.NodeId(found.Identifier, found.NamespaceIndex, found.NodeIdType)
        return None

    async def _type_names(self, types: Sequence[ua.NodeId]) -> dict[str, str | None]:
        """The names of object types; None for those that every object has."""
        distinct = list({one.to_string(): one for one in types}.values())
        names = await self._attributes(distinct, ua.AttributeIds.BrowseName)
        plain = [ua.NodeId(one).to_string() for one in _PLAIN_TYPES]
        return {
            one.to_string(): None if name is None or one.is_null() or one.to_string() in plain else name.Name
            for one, name in zip(distinct, names, strict=True)
        }

    async def _attributes(self, nodes: Sequence[ua.NodeId], attribute: ua.AttributeIds) -> list[Any]:
        """An attribute of each node; None where it has none."""
        values: list[Any] = []
        for part in chunks(nodes):
            for one in await self._session.read_attributes(list(part), attribute):
                good = one.StatusCode is None or one.StatusCode.is_good()
                values.append(one.Value.Value if good and one.Value is not None else None)
        return values


def _unit(value: Any) -> str | None:
    if not isinstance(value, ua.EUInformation):
        return None
    code = code_of(value.UnitId) if value.NamespaceUri in (NAMESPACE, "", None) else None
    shown = value.DisplayName.Text if value.DisplayName is not None else None
    return code or (f"[{shown or 'without a name'}]")
