"""A parsed query: what was written and where, before anything is known of what its names stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from twinwright.errors import QueryError


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression.

    `op`: `literal` (`value`, `unit`), `ref` (`value`: its names), `call` (`value`: the function in capitals), `compare` (`value`:
    the sign), `and`, `or`, `not`, `in`, `nin`, `+ - * /`, `neg`, or `unit` (`value`: the unit that its argument is wanted in).
    """

    op: str
    at: int
    args: tuple[Node, ...] = ()
    value: Any = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A column of the answer."""

    node: Node
    name: str | None
    at: int


@dataclass(frozen=True, slots=True)
class Join:
    """`JOIN target RELATED source.name [relationship]`."""

    target: str
    source: str
    name: str
    relationship: str | None
    at: int
    source_at: int
    name_at: int


@dataclass(frozen=True, slots=True)
class Hop:
    """A step of a pattern. `direction`: `out`, `in` or `any`; `fewest` to `most` relationships; `names` empty: of any name."""

    source: str
    target: str
    direction: Literal["out", "in", "any"]
    names: tuple[tuple[str, int], ...]
    relationship: str | None
    fewest: int
    most: int
    at: int


@dataclass(frozen=True, slots=True)
class Query:
    """`kind` is what FROM names; `items` None: all of it; `twins` are the aliases of a MATCH that no hop mentions as well."""

    text: str
    kind: Literal["twins", "relationships"]
    alias: str | None
    items: tuple[Item, ...] | None
    top: int | None = None
    joins: tuple[Join, ...] = ()
    hops: tuple[Hop, ...] = ()
    nodes: tuple[tuple[str, int], ...] = ()
    where: Node | None = None
    group_by: tuple[Node, ...] = ()
    having: Node | None = None
    order_by: tuple[tuple[Node, bool], ...] = ()
    as_of: str | None = None
    known_at: str | None = None
    explain: bool = False

    def error(self, at: int, what: str, remedy: str) -> QueryError:
        """What to raise of a place of the text."""
        return QueryError(what, text=self.text, position=at, remedy=remedy)

    def fail(self, at: int, what: str, remedy: str) -> NoReturn:
        """Raises QueryError at a place of the text."""
        raise self.error(at, what, remedy)


def conjuncts(node: Node | None) -> list[Node]:
    """The conditions that must all hold."""
    if node is None:
        return []
    return [part for arg in node.args for part in conjuncts(arg)] if node.op == "and" else [node]


def walk(node: Node) -> list[Node]:
    """A node and all below it."""
    return [node, *(part for arg in node.args for part in walk(arg))]
