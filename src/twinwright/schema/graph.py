"""Walks over elements that refer to each other, without recursion: how deep they go is what is to be found out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

N = TypeVar("N")
SATURATED = 1 << 40


def walk(nodes: Sequence[N], edges: Callable[[N], Iterator[tuple[str, N]]]) -> tuple[list[N], list[tuple[N, str, N]]]:
    """All nodes, each after those it leads to, and the edges (from, name, to) that close a cycle."""
    order: list[N] = []
    cycles: list[tuple[N, str, N]] = []
    open_nodes: set[N] = set()
    seen: set[N] = set()
    for start in nodes:
        if start in seen:
            continue
        seen.add(start)
        open_nodes.add(start)
        stack = [(start, edges(start))]
        while stack:
            node, remaining = stack[-1]
            step = next(remaining, None)
            if step is None:
                stack.pop()
                open_nodes.discard(node)
                order.append(node)
                continue
            name, target = step
            if target in open_nodes:
                cycles.append((node, name, target))
            elif target not in seen:
                seen.add(target)
                open_nodes.add(target)
                stack.append((target, edges(target)))
    return order, cycles


def depths(order: Iterable[N], steps: Callable[[N], Iterable[tuple[int, N | None]]]) -> dict[N, int]:
    """The weight of the heaviest path from each node; `steps` gives (weight, target, None for a leaf). `order` as from `walk`."""
    found: dict[N, int] = {}
    for node in order:
        found[node] = max((weight + (found[target] if target is not None else 0) for weight, target in steps(node)), default=0)
    return found


def along(node: N, steps: Callable[[N], Iterable[tuple[int, N | None]]], found: dict[N, int], depth: int) -> N:
    """The first node of that depth or less on the heaviest path from a node; `found` as from `depths`."""
    while found[node] > depth:
        weight = found[node]
        following = next((target for step, target in steps(node) if target is not None and step + found[target] == weight), None)
        if following is None:
            break
        node = following
    return node


def sizes(order: Iterable[N], targets: Callable[[N], Iterable[N]]) -> dict[N, int]:
    """How many nodes each one unfolds to, shared ones counted wherever they are reached; saturates."""
    found: dict[N, int] = {}
    for node in order:
        found[node] = min(SATURATED, 1 + sum(found[target] for target in targets(node)))
    return found
