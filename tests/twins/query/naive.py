"""The language evaluated the slow way, straight from its description: rows are tried one by one, over documents.

A query is a tree of tuples, which `text` writes down and `answer` evaluates. None is *unknown*: what is missing makes a comparison
unknown, and a row counts only where its condition is true.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.twins.query.plant import BASE, OTHER, SPECIAL, Document, Graph

Row = dict[str, Document]
_SIGNS = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_SUBTYPES = {BASE: {BASE, SPECIAL}, SPECIAL: {SPECIAL}, OTHER: {OTHER}}


@dataclass(frozen=True)
class Hop:
    source: str
    target: str
    direction: str  # out, in, any
    names: tuple[str, ...] = ()
    alias: str | None = None
    fewest: int = 1
    most: int = 1


@dataclass(frozen=True)
class Asked:
    """`join`: the hops are written as JOINs. `select`: () for *, else (what, name) pairs; `groups`: operands."""

    first: str
    hops: tuple[Hop, ...] = ()
    join: bool = True
    relationships: bool = False
    where: tuple[Any, ...] | None = None
    select: tuple[tuple[Any, str], ...] = ()
    groups: tuple[Any, ...] = ()
    having: tuple[Any, ...] | None = None  # (aggregate, sign, number)
    named: bool = False  # what is grouped by is called by the names of its columns


# --- written ---------------------------------------------------------------------------------------------------------


def text(asked: Asked) -> str:
    selected = ", ".join(f"{operand(what)} AS {name}" if what[0] != "alias" else what[1] for what, name in asked.select) or "*"
    written = f"SELECT {selected} FROM {'RELATIONSHIPS' if asked.relationships else 'DIGITALTWINS'}"
    if asked.join or not asked.hops:
        written += f" {asked.first}" + "".join(f" JOIN {h.target} RELATED {h.source}.{h.names[0]} {h.alias or ''}" for h in asked.hops)
    else:
        written += f" MATCH ({asked.first})" + "".join(map(_arrow, asked.hops))
    if asked.where is not None:
        written += f" WHERE {condition(asked.where)}"
    columns = dict(asked.select) if asked.named else {}
    written += f" GROUP BY {', '.join(columns.get(one) or operand(one) for one in asked.groups)}" if asked.groups else ""
    if asked.having is not None:
        aggregate, sign, number = asked.having
        called = next((name for what, name in asked.select if what == aggregate), None)  # by the name of its column where it has one
        written += f" HAVING {called or operand(aggregate)} {sign} {number}"
    return written


def _arrow(hop: Hop) -> str:
    names = f":{'|'.join(hop.names)}" if hop.names else ""
    many = "" if hop.most == 1 and hop.fewest == 1 else f"*{hop.most}" if hop.fewest == hop.most else f"*{hop.fewest - 1}..{hop.most}"
    left, right = ("<-" if hop.direction == "in" else "-"), ("->" if hop.direction == "out" else "-")
    return f"{left}[{hop.alias or ''}{names}{many}]{right}({hop.target})"


def operand(node: tuple[Any, ...]) -> str:
    match node:
        case ("prop", alias, *steps):
            return ".".join([alias, *(step if step.replace("_", "a").replace("$", "a").isalnum() else f"[[{step}]]" for step in steps)])
        case ("lit", value, unit):
            if isinstance(value, str):
                return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
            return str(value).lower() if isinstance(value, bool) else f"{value!r} {unit or ''}".strip()
        case ("math", sign, left, right):
            return f"({operand(left)} {sign} {operand(right)})"
        case ("agg", name, inner):
            return f"{name}({operand(inner) if inner else ''})"
    raise AssertionError(node)


def condition(node: tuple[Any, ...], within: str = "") -> str:
    """With no more parentheses than it takes."""
    match node:
        case ("and" | "or" as word, *parts):
            written = f" {word.upper()} ".join(condition(part, word) for part in parts)
            return f"({written})" if (word, within) == ("or", "and") else written
        case ("not", part):
            return f"NOT ({condition(part)})"
        case ("cmp", sign, left, right):
            return f"{operand(left)} {sign} {operand(right)}"
        case ("in" | "nin" as word, left, *values):
            return f"{operand(left)} {word.upper()} [{', '.join(map(operand, values))}]"
        case ("model", alias, dtmi, exact):
            return f"IS_OF_MODEL({alias}, '{dtmi}'{', exact' if exact else ''})"
        case ("call", name, *args):
            return f"{name}({', '.join(map(operand, args))})"
        case ("bool", inner):
            return operand(inner)
    raise AssertionError(node)


# --- evaluated -------------------------------------------------------------------------------------------------------


def answer(asked: Asked, graph: Graph) -> list[Any]:
    found = [row for row in rows(asked, graph) if asked.where is None or truth(asked.where, row) is True]
    if asked.groups or any(what[0] == "agg" for what, _ in asked.select):
        return _grouped(asked, found)
    if not asked.select:
        names = [name for name in (asked.first, *(h.target for h in asked.hops)) if name]
        names += [h.alias for h in asked.hops if h.alias]
        if len(set(names)) == 1:
            return [row[names[0]] for row in found]
        return [{name: row[name] for name in dict.fromkeys(names)} for row in found]
    return [_shown(asked, row) for row in found]


def _shown(asked: Asked, row: Row) -> dict[str, Any]:
    values = {name: row[what[1]] if what[0] == "alias" else value(what, row) for what, name in asked.select}
    return {name: one for name, one in values.items() if one is not None}


def _grouped(asked: Asked, found: list[Row]) -> list[Any]:
    groups: dict[Any, list[Row]] = {() if not asked.groups else None: []} if not asked.groups else {}
    for row in found:
        groups.setdefault(tuple(value(one, row) for one in asked.groups), []).append(row)
    shown = []
    for mine in groups.values():
        if asked.having is not None:
            found_of = _aggregate(asked.having[0], mine)
            if found_of is None or not _SIGNS[asked.having[1]](found_of, asked.having[2]):
                continue
        values = {n: _aggregate(what, mine) if what[0] == "agg" else value(what, mine[0]) for what, n in asked.select}
        shown.append({name: one for name, one in values.items() if one is not None})
    return shown


def _aggregate(node: tuple[Any, ...], mine: list[Row]) -> Any:
    _, name, inner = node
    if inner is None:
        return len(mine)
    values = [one for row in mine if (one := value(inner, row)) is not None]
    if name == "COUNT":
        return len(values)
    if not values:
        return None
    return {"SUM": sum(values), "AVG": sum(values) / len(values), "MIN": min(values), "MAX": max(values)}[name]


def rows(asked: Asked, graph: Graph) -> Iterator[Row]:
    if asked.relationships:
        yield from ({asked.first: edge} for edge in graph.edges)
        return
    for twin in graph.twins:
        yield from _along(asked, list(asked.hops), {asked.first: twin}, [], graph)


def _along(asked: Asked, hops: list[Hop], row: Row, taken: list[str], graph: Graph) -> Iterator[Row]:
    if not hops:
        yield row
        return
    hop, rest = hops[0], hops[1:]
    if hop.fewest == hop.most == 1:
        for edge, other in _steps(hop, row[hop.source]["$dtId"], graph):
            key = f"{edge['$sourceId']} {edge['$relationshipId']}"
            if (asked.join or key not in taken) and row.get(hop.target, {}).get("$dtId", other) == other:
                grown = {**row, hop.target: graph.by_id[other], **({hop.alias: edge} if hop.alias else {})}
                yield from _along(asked, rest, grown, [*taken, key], graph)
        return
    for other in sorted(_reached(hop, row[hop.source]["$dtId"], graph, (), 0)):
        if row.get(hop.target, {}).get("$dtId", other) == other:
            yield from _along(asked, rest, {**row, hop.target: graph.by_id[other]}, taken, graph)


def _steps(hop: Hop, id: str, graph: Graph) -> Iterator[tuple[Document, str]]:
    for edge in graph.edges:
        if hop.names and edge["$relationshipName"] not in hop.names:
            continue
        if hop.direction in ("out", "any") and edge["$sourceId"] == id:
            yield edge, edge["$targetId"]
        if (hop.direction == "in" and edge["$targetId"] == id) or (
            hop.direction == "any" and edge["$targetId"] == id and edge["$sourceId"] != id
        ):
            yield edge, edge["$sourceId"]


def _reached(hop: Hop, id: str, graph: Graph, taken: tuple[str, ...], length: int) -> set[str]:
    """The ends of every path that takes no relationship twice."""
    found = {id} if hop.fewest <= length <= hop.most and length else set()
    if length < hop.most:
        for edge, other in _steps(hop, id, graph):
            key = f"{edge['$sourceId']} {edge['$relationshipId']}"
            if key not in taken:
                found |= _reached(hop, other, graph, (*taken, key), length + 1)
    return found


def truth(node: tuple[Any, ...], row: Row) -> bool | None:
    match node:
        case ("and", *parts):
            values = [truth(part, row) for part in parts]
            return False if False in values else None if None in values else True
        case ("or", *parts):
            values = [truth(part, row) for part in parts]
            return True if True in values else None if None in values else False
        case ("not", part):
            inner = truth(part, row)
            return None if inner is None else not inner
        case ("cmp", sign, left, right):
            return _compare(sign, left, right, row)
        case ("in" | "nin" as word, left, *values):
            found = truth(("or", *(("cmp", "=", left, one) for one in values)), row)
            return found if word == "in" or found is None else not found
        case ("model", alias, dtmi, exact):
            model = row[alias]["$metadata"]["$model"]
            return model == dtmi if exact else model in _SUBTYPES[dtmi]
        case ("bool", inner):
            return value(inner, row)
        case ("call", name, *args):
            return _called(name, [value(arg, row) for arg in args])
    raise AssertionError(node)


def _called(name: str, args: list[Any]) -> bool | None:
    first = args[0]
    number = isinstance(first, int | float) and not isinstance(first, bool)
    tests = {
        "IS_DEFINED": first is not None,
        "IS_NULL": first is None,
        "IS_NUMBER": number,
        "IS_STRING": isinstance(first, str),
        "IS_BOOL": isinstance(first, bool),
        "IS_OBJECT": isinstance(first, dict),
        "IS_PRIMITIVE": number or isinstance(first, str | bool),
    }
    if name in tests:
        return tests[name]
    if first is None:
        return None
    if name == "ARRAY_CONTAINS":
        return any(type(one) is type(args[1]) and one == args[1] for one in first)
    if not isinstance(first, str):
        return None
    return {"STARTSWITH": first.startswith(args[1]), "ENDSWITH": first.endswith(args[1]), "CONTAINS": args[1] in first}[name]


def _compare(sign: str, left: tuple[Any, ...], right: tuple[Any, ...], row: Row) -> bool | None:
    a, b = value(left, row), value(right, row)
    if a is None or b is None or _kind(a) != _kind(b):
        return None
    if _kind(a) == "number":
        units = _unit(left, row), _unit(right, row)
        if None not in units and units[0] != units[1]:
            a, b = _kelvin(a, units[0]), _kelvin(b, units[1])
    return bool(_SIGNS[sign](a, b))


def _kind(one: Any) -> str:
    return "boolean" if isinstance(one, bool) else "number" if isinstance(one, int | float) else type(one).__name__


def _unit(node: tuple[Any, ...], row: Row) -> str | None:
    if node[0] == "lit":
        return node[2]
    if node[0] == "prop" and node[2:] == ("temp",):
        return "degF" if row[node[1]]["$metadata"]["$model"] == OTHER else "degC"
    return None


def _kelvin(one: float, unit: str | None) -> float:
    return {"degC": one + 273.15, "degF": (one + 459.67) * 5 / 9, "K": one}[unit or ""]


def value(node: tuple[Any, ...], row: Row) -> Any:
    match node:
        case ("lit", literal, _):
            return literal
        case ("prop", alias, *steps):
            found: Any = row[alias]
            for step in steps:
                found = found.get(step) if isinstance(found, dict) else None
            return found
        case ("math", sign, left, right):
            a, b = value(left, row), value(right, row)
            if _kind(a) != "number" or _kind(b) != "number":
                return None
            return {"+": operator.add, "-": operator.sub, "*": operator.mul}[sign](float(a), float(b))
    raise AssertionError(node)


def ids(row: Any) -> Any:
    """A row that can be sorted: floats rounded, documents by their keys."""
    if isinstance(row, dict):
        return tuple((key, ids(one)) for key, one in sorted(row.items()))
    if isinstance(row, list):
        return tuple(map(ids, row))
    return (type(row) is bool, f"{row:.9g}" if isinstance(row, int | float) else str(row))
