"""How connected components are ordered: what has to be solved together, what comes first, where outputs depend on themselves."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)
Port = tuple[str, str]  # component, port


@dataclass(frozen=True, slots=True)
class Block:
    """Components that have to be run side by side, in the order of one pass; one that stands alone needs nobody's future.

    `cyclic`: they depend on each other. `algebraic`: an output depends on itself at the same instant.
    """

    members: tuple[str, ...]
    cyclic: bool
    algebraic: bool


def blocks(
    components: Sequence[str], connections: Sequence[tuple[Port, Port]], feedthrough: Mapping[str, Mapping[str, Iterable[str]]]
) -> tuple[Block, ...]:
    """The components in blocks such that each block needs only those before it. `connections` are pairs of output and input.

    `feedthrough` has, by component and output, the inputs that the output depends on at the same instant.
    """
    after: dict[str, list[str]] = {name: [] for name in components}
    direct: dict[str, list[str]] = {name: [] for name in components}
    for (source, _), (target, port) in connections:
        after[source].append(target)
        if any(port in needed for needed in feedthrough[target].values()):
            direct[source].append(target)
    looping = {component for loop in algebraic_loops(connections, feedthrough) for component, _ in loop}
    found = []
    for members in strongly_connected(components, after):
        cyclic = len(members) > 1 or members[0] in after[members[0]]
        # Within a cycle, a component whose outputs follow its inputs at once comes after what feeds it.
        inside = {name: [one for one in direct[name] if one in members] for name in members}
        order = [name for group in strongly_connected(members, inside) for name in group]
        found.append(Block(tuple(order), cyclic, any(name in looping for name in members)))
    return tuple(found)


def algebraic_loops(
    connections: Sequence[tuple[Port, Port]], feedthrough: Mapping[str, Mapping[str, Iterable[str]]]
) -> tuple[tuple[Port, ...], ...]:
    """The groups of outputs that depend on themselves at the same instant, each in the order of the components."""
    after: dict[Port, list[Port]] = {(name, output): [] for name, outputs in feedthrough.items() for output in outputs}
    for source, (target, port) in connections:
        after[source] += [(target, output) for output, needed in feedthrough[target].items() if port in needed]
    groups = strongly_connected(tuple(after), after)
    return tuple(group for group in groups if len(group) > 1 or group[0] in after[group[0]])


def strongly_connected(nodes: Sequence[Node], after: Mapping[Node, Sequence[Node]]) -> list[tuple[Node, ...]]:
    """The strongly connected groups, each after those that lead to it; ties, and the nodes of a group, in the order given."""
    reached = {node: _reached(node, after) for node in nodes}
    groups: list[tuple[Node, ...]] = []
    taken: set[Node] = set()
    for node in nodes:
        if node not in taken:
            group = tuple(one for one in nodes if one == node or (one in reached[node] and node in reached[one]))
            groups.append(group)
            taken.update(group)
    ordered: list[tuple[Node, ...]] = []
    while groups:
        ready = next(one for one in groups if not any(one[0] in reached[other[0]] for other in groups if other is not one))
        groups.remove(ready)
        ordered.append(ready)
    return ordered


def _reached(node: Node, after: Mapping[Node, Sequence[Node]]) -> set[Node]:
    seen: set[Node] = set()
    waiting = list(after[node])
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += after[one]
    return seen
