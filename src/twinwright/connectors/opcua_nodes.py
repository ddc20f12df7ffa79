"""Nodes of an OPC UA server: their ids as text, what lies below them, and which ones a browse path with captures names.

An id is written as in OPC UA Part 6, section 5.3.1.10: `ns=2;s=Pump.Speed`, or with the namespace's URI, which a server keeps
when it numbers its namespaces anew: `nsu=urn:plant;s=Pump.Speed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

from asyncua import Client, ua

from twinwright.connectors.topics import TopicTemplate, check_template
from twinwright.errors import TooLargeError, UsageError

OBJECTS: Final = ua.NodeId(ua.ObjectIds.ObjectsFolder)
HAS_PROPERTY: Final = ua.NodeId(ua.ObjectIds.HasProperty)
MAX_REFERENCES: Final = 200_000
AT_ONCE: Final = 250  # nodes in one request: what small servers still take

_ID: Final = re.compile(
    r"(?:(?:ns=\d{1,5}|nsu=(?P<uri>[^;]+));)?(?P<rest>(?:i=\d{1,10}|s=.+|g=[0-9A-Fa-f-]{36}|b=[A-Za-z0-9+/]+=*))", re.DOTALL
)
_LEVEL: Final = re.compile(r"(?:(\d{1,5}):)?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """What is below a node: its id, name (`index:name` in `qualified`), class, type definition, and whether it is a property."""

    node: ua.NodeId
    name: str
    qualified: str
    is_object: bool
    is_property: bool
    type: ua.NodeId


def check_node_id(text: str) -> str | None:
    """What is wrong with an id; None where it can be read."""
    if _ID.fullmatch(text) and len(text) <= 4_096:
        return None
    return f"'{text[:80]}' is not a node id (write it as ns=2;s=Pump.Speed or nsu=urn:plant;i=1001)"


def check_path(text: str) -> str | None:
    """What is wrong with a browse path; None where it can be read."""
    problems = [str(problem) for problem in check_template(text)]
    if not problems and TopicTemplate.parse(text).filter.endswith("#"):
        problems.append("a path names each level: '#' and {name...} are not read here")
    return "; ".join(problems) or None


def node_id(text: str, namespaces: Sequence[str]) -> ua.NodeId | None:
    """The id on a server with those namespaces (an index is a place in them); None where it has no such namespace."""
    match = _ID.fullmatch(text)
    if match is None:
        raise UsageError(check_node_id(text) or "", remedy="Correct the node id")
    if match["uri"] is None:
        return ua.NodeId.from_string(text)
    uri = unquote(match["uri"])
    return ua.NodeId.from_string(f"ns={namespaces.index(uri)};{match['rest']}") if uri in namespaces else None


def node_text(node: ua.NodeId, namespaces: Sequence[str]) -> str:
    """The id with its namespace's URI, where it has one."""
    text: str = node.to_string()
    _, separator, rest = text.partition(";") if node.NamespaceIndex else ("", "", "")
    if not separator or node.NamespaceIndex >= len(namespaces):
        return text
    return f"nsu={quote(namespaces[node.NamespaceIndex], safe=':/#?=&+,@!$()*~._-')};{rest}"


class Browser:
    """Reads what is below nodes, each once. Raises TooLargeError past `limit` references in all."""

    def __init__(self, client: Client, limit: int = MAX_REFERENCES) -> None:
        self._session = client.uaclient.session
        self._limit = limit
        self._known: dict[str, tuple[Reference, ...]] = {}
        self._read = 0

    async def below(self, nodes: Sequence[ua.NodeId]) -> list[tuple[Reference, ...]]:
        """For each node the objects and variables right below it, sorted by name and id."""
        fresh = list({node.to_string(): node for node in nodes if node.to_string() not in self._known}.values())
        for part in chunks(fresh):
            for node, references in zip(part, await self._browse(part), strict=True):
                found = {one.node.to_string(): one for one in map(_reference, references) if one is not None}
                self._known[node.to_string()] = tuple(sorted(found.values(), key=lambda one: (one.qualified, one.node.to_string())))
        return [self._known[node.to_string()] for node in nodes]

    async def _browse(self, nodes: Sequence[ua.NodeId]) -> list[list[Any]]:
        request = ua.BrowseParameters()
        request.View = ua.ViewDescription()
        request.RequestedMaxReferencesPerNode = 0
        request.NodesToBrowse = [_description(node) for node in nodes]
        answers = []
        for result in await self._session.browse(request):
            references = list(result.References or ())
            self._count(references)
            point = result.ContinuationPoint
            while point:
                (more,) = await self._session.browse_next(ua.BrowseNextParameters(False, [point]))
                self._count(more.References or ())
                references += more.References or ()
                point = more.ContinuationPoint
            answers.append(references)
        return answers

    def _count(self, references: Sequence[Any]) -> None:
        self._read += len(references)
        if self._read > self._limit:
            raise TooLargeError(f"more than {self._limit} nodes were met", remedy="Begin further down, or name nodes by their ids")

    async def match(self, path: str) -> list[tuple[ua.NodeId, Mapping[str, str]]]:
        """The variables that a path below the Objects folder names, each with its captures, in the order of their names."""
        found: list[tuple[ua.NodeId, Mapping[str, str]]] = [(OBJECTS, {})]
        levels = [_Level.parse(level) for level in path.split("/")]
        for depth, level in enumerate(levels):
            last = depth == len(levels) - 1
            below = await self.below([node for node, _ in found])
            found = [
                (reference.node, {**captures, **matched})
                for (_, captures), references in zip(found, below, strict=True)
                for reference in references
                if not (last and reference.is_object) and (matched := level.match(reference)) is not None
            ]
        return found


@dataclass(frozen=True, slots=True)
class _Level:
    """One level of a path: a namespace index where it is given, and a name with captures."""

    namespace: str | None
    template: TopicTemplate

    @classmethod
    def parse(cls, text: str) -> _Level:
        match = _LEVEL.fullmatch(text)
        assert match is not None
        return cls(match[1], TopicTemplate.parse(match[2] or "+"))

    def match(self, reference: Reference) -> dict[str, str] | None:
        if self.namespace is not None and reference.qualified.partition(":")[0] != self.namespace:
            return None
        return self.template.match(reference.name)


def chunks(items: Sequence[Any], size: int = AT_ONCE) -> Iterator[Sequence[Any]]:
    """The items in parts of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _description(node: ua.NodeId) -> ua.BrowseDescription:
    description = ua.BrowseDescription()
    description.NodeId = node
    description.BrowseDirection = ua.BrowseDirection.Forward
    description.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
    description.IncludeSubtypes = True
    description.NodeClassMask = ua.NodeClass.Object | ua.NodeClass.Variable
    description.ResultMask = ua.BrowseResultMask.All
    return description


def _reference(found: Any) -> Reference | None:
    """None for a node of another server, and for one without a name."""
    if getattr(found.NodeId, "ServerIndex", 0) or not found.BrowseName.Name:
        return None
    return Reference(
        _plain_id(found.NodeId),
        found.BrowseName.Name,
        f"{found.BrowseName.NamespaceIndex}:{found.BrowseName.Name}",
        found.NodeClass == ua.NodeClass.Object,
        found.ReferenceTypeId == HAS_PROPERTY,
        _plain_id(found.TypeDefinition),
    )


def _plain_id(node: Any) -> ua.NodeId:
    return ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType)
