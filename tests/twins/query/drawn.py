"""Small graphs and random queries over them."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st
from tests.twins.query.naive import Asked, Hop
from tests.twins.query.plant import BASE, MODELS, OTHER, SPECIAL, Graph

TEXTS = st.sampled_from(["", "a", "b", "ab", "it's", 'a"b', "a\\b", "ä", "%", "_"])
NUMBERS = st.sampled_from([-3, -1, 0, 1, 2, 3, 0.5, 1.5, 20.0, 68.0, 293.15])
_WHOLE = st.integers(-3, 3)
_TEMPERATURES = st.sampled_from([0.0, 20.0, 25.0, 68.0, 77.0, -40.0])


def _some(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


_OF_BASE: dict[str, Any] = {
    "name": TEXTS,
    "on": st.booleans(),
    "temp": _TEMPERATURES,
    "count": _WHOLE,
    "tags": st.lists(TEXTS, max_size=3),
    "info": _some(a=_WHOLE, b=_some(c=TEXTS)),
    "labels": st.dictionaries(st.sampled_from(["k", "a b", "x/y~z"]), NUMBERS.map(float), max_size=2),
    "motor": _some(speed=NUMBERS.map(float), maker=TEXTS),
}
_BODIES = {
    BASE: _some(**_OF_BASE),
    SPECIAL: _some(**_OF_BASE, extra=NUMBERS.map(float)),
    OTHER: _some(name=_WHOLE, temp=_TEMPERATURES, order=TEXTS),
}


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    twins = []
    for number in range(draw(st.integers(1, 5))):
        model = draw(st.sampled_from(MODELS))
        body = draw(_BODIES[model])
        if model != OTHER:
            body = {**body, "motor": {"$metadata": {}, **body.get("motor", {})}}
        twins.append({"$dtId": f"t{number}", "$metadata": {"$model": model}, **body})
    edges = []
    for _ in range(draw(st.integers(0, 7))):
        source, target = draw(st.sampled_from(twins)), draw(st.sampled_from(twins))
        contains = source["$metadata"]["$model"] != OTHER and target["$metadata"]["$model"] != OTHER and draw(st.booleans())
        properties = {} if contains else draw(_some(weight=NUMBERS.map(float), note=TEXTS, open=st.booleans()))
        beside = sum(edge["$sourceId"] == source["$dtId"] for edge in edges)  # an id tells those of one twin apart, and no others
        ends = {"$relationshipId": f"r{7 - beside}", "$sourceId": source["$dtId"], "$targetId": target["$dtId"]}
        edges.append({**ends, "$relationshipName": "contains" if contains else "feeds", **properties})
    return Graph(twins, edges)


@st.composite
def queries(draw: st.DrawFn) -> Asked:
    shape = draw(st.sampled_from(["alone", "relationships", "join", "match"]))
    if shape == "relationships":
        asked = Asked("R", relationships=True)
        owners = {"R": "edge"}
    else:
        hops, owners = draw(_hops(shape))
        asked = Asked("A", hops, join=shape != "match")
    where = draw(st.none() | _condition(owners, 2) | _anchored(owners))
    select, groups = draw(_selected(owners))
    having = None
    aggregates = [what for what, _ in select if what[0] == "agg" and what[1] == "COUNT"]
    if groups or aggregates:
        counted = st.sampled_from([("agg", "COUNT", None), *aggregates])
        having = draw(st.none() | st.tuples(counted, _SIGN, st.integers(0, 3)))
    return Asked(asked.first, asked.hops, asked.join, asked.relationships, where, select, groups, having, draw(st.booleans()))


@st.composite
def _hops(draw: st.DrawFn, shape: str) -> tuple[tuple[Hop, ...], dict[str, str]]:
    owners = {"A": "any"}
    hops: list[Hop] = []
    if shape == "alone":
        return (), owners
    for number in range(draw(st.integers(1, 2))):
        source, target = "ABC"[number], "ABC"[number + 1]
        alias = draw(st.sampled_from([None, f"R{number}"]))
        if shape == "join":
            source = draw(st.sampled_from(sorted(one for one, kind in owners.items() if kind in ("any", "base"))))
            name = draw(st.sampled_from(["feeds", "contains"]))
            hops.append(Hop(source, target, "out", (name,), alias))
            owners[target] = "base" if name == "contains" else "any"
        else:
            if number and draw(st.booleans()):
                target = "A"  # the pattern closes
            names = tuple(draw(st.lists(st.sampled_from(["feeds", "contains"]), unique=True, max_size=2)))
            fewest = draw(st.integers(1, 3))
            most = draw(st.integers(fewest, 3))
            alias = alias if fewest == most == 1 else None
            hops.append(Hop(source, target, draw(st.sampled_from(["out", "in", "any"])), names, alias, fewest, most))
            owners.setdefault(target, "any")
        if alias:
            owners[alias] = "edge" if hops[-1].names != ("contains",) else "bare"
    return tuple(hops), owners


def _prop(alias: str, *steps: str) -> tuple[Any, ...]:
    return ("prop", alias, *steps)


def _lit(values: st.SearchStrategy[Any], unit: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just("lit"), values, unit if unit is not None else st.none())


_NUMERIC = [("count",), ("info", "a"), ("labels", "k"), ("labels", "a b"), ("labels", "x/y~z"), ("motor", "speed"), ("extra",)]
_TEXTUAL = [("info", "b", "c"), ("motor", "maker"), ("$dtId",)]
_ANY_PLACE = [*_NUMERIC, *_TEXTUAL, ("name",), ("on",), ("temp",), ("tags",), ("info",), ("info", "b"), ("labels",)]
_SIGN = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])


def _numbers_of(alias: str, kind: str) -> list[tuple[Any, ...]]:
    if kind in ("edge", "bare"):
        return [_prop(alias, "weight")] if kind == "edge" else []
    return [_prop(alias, *steps) for steps in _NUMERIC]


def _texts_of(alias: str, kind: str) -> list[tuple[Any, ...]]:
    fields = [_prop(alias, one) for one in ("$relationshipId", "$sourceId", "$targetId", "$relationshipName")]
    if kind in ("edge", "bare"):
        return [*fields, _prop(alias, "note")] if kind == "edge" else fields
    return [*(_prop(alias, *steps) for steps in _TEXTUAL), _prop(alias, "name")]


def _booleans_of(alias: str, kind: str) -> list[tuple[Any, ...]]:
    return [_prop(alias, "open")] if kind == "edge" else [_prop(alias, "on")] if kind != "bare" else []


def _all(owners: dict[str, str], of: Any) -> list[tuple[Any, ...]]:
    return [one for alias, kind in owners.items() for one in of(alias, kind)]


def _condition(owners: dict[str, str], depth: int) -> st.SearchStrategy[tuple[Any, ...]]:
    return _condition_of(tuple(owners.items()), depth)


@cache  # there are few shapes, and a strategy is dear to make
def _condition_of(items: tuple[tuple[str, str], ...], depth: int) -> st.SearchStrategy[tuple[Any, ...]]:
    owners = dict(items)
    simple = _simple(owners)
    if not depth:
        return simple
    below = _condition(owners, depth - 1)
    twins = [alias for alias, kind in owners.items() if kind in ("any", "base")]
    model = st.tuples(st.just("model"), st.sampled_from(twins), st.sampled_from(MODELS), st.booleans()) if twins else simple
    return st.one_of(
        simple,
        st.tuples(st.just("and"), below, below),
        st.tuples(st.just("or"), below, st.one_of(below, model)),
        st.tuples(st.just("not"), st.one_of(below, st.tuples(st.just("or"), model, below))),
    )


def _simple(owners: dict[str, str]) -> st.SearchStrategy[tuple[Any, ...]]:
    numbers, texts, truths = (_all(owners, of) for of in (_numbers_of, _texts_of, _booleans_of))
    twins = {alias: kind for alias, kind in owners.items() if kind in ("any", "base")}
    text = st.sampled_from([one for one in texts if one[-1] != "$relationshipName"])
    called = [one for one in texts if one[-1] == "$relationshipName"]
    words = st.one_of(TEXTS, st.sampled_from(["t0", "t1", "r7", "feeds"]))
    found = [
        st.tuples(st.just("cmp"), _SIGN, text, _lit(words)),
        st.tuples(st.just("cmp"), _SIGN, text, st.sampled_from(texts)),
        st.tuples(st.sampled_from(["in", "nin"]), text, _lit(words), _lit(words)),
        st.tuples(st.just("call"), st.sampled_from(["STARTSWITH", "ENDSWITH", "CONTAINS"]), text, _lit(words)),
    ]
    if called:  # a name that no relationship has is an error
        name, names = st.sampled_from(called), _lit(st.sampled_from(["feeds", "contains"]))
        found += [
            st.tuples(st.just("cmp"), st.sampled_from(["=", "!="]), name, names),
            st.tuples(st.sampled_from(["in", "nin"]), name, names),
        ]
    if numbers:
        number = st.sampled_from(numbers)
        made = st.tuples(st.just("math"), st.sampled_from(["+", "-", "*"]), number, st.one_of(number, _lit(NUMBERS)))
        plain = [one for one in numbers if one[-1] != "speed"]
        found += [
            st.tuples(st.just("cmp"), _SIGN, number, _lit(NUMBERS)),
            st.tuples(st.sampled_from(["in", "nin"]), number, _lit(NUMBERS), _lit(NUMBERS)),
        ]
        if plain:
            one = st.sampled_from(plain)
            made = st.tuples(st.just("math"), st.sampled_from(["+", "-", "*"]), one, st.one_of(one, _lit(NUMBERS)))
            found += [st.tuples(st.just("cmp"), _SIGN, made, _lit(NUMBERS)), st.tuples(st.just("cmp"), _SIGN, one, one)]
    if truths:
        truth = st.sampled_from(truths)
        found += [st.tuples(st.just("bool"), truth), st.tuples(st.just("cmp"), st.sampled_from(["=", "!="]), truth, _lit(st.booleans()))]
    if twins:
        found += _of_twins(twins)
    return st.one_of(found)


def _of_twins(twins: dict[str, str]) -> list[st.SearchStrategy[tuple[Any, ...]]]:
    alias = st.sampled_from(sorted(twins))
    free = [one for one, kind in twins.items() if kind == "any"]
    place = st.sampled_from(_ANY_PLACE)
    anything = st.builds(lambda one, steps: _prop(one, *steps), alias, place)
    tests = ["IS_DEFINED", "IS_NULL", "IS_NUMBER", "IS_STRING", "IS_BOOL", "IS_OBJECT", "IS_PRIMITIVE"]
    temperature = alias.map(lambda one: _prop(one, "temp"))
    degrees = st.sampled_from([19.9, 20.1, 67.9, 68.1, 293.1, 293.2, -41.0])  # never where rounding decides
    found = [
        st.tuples(st.just("call"), st.sampled_from(tests), anything),
        st.tuples(st.just("cmp"), _SIGN, temperature, _lit(degrees, st.sampled_from([None, "degC", "degF", "K"]))),
        st.tuples(st.just("call"), st.just("ARRAY_CONTAINS"), alias.map(lambda one: _prop(one, "tags")), _lit(TEXTS)),
        st.tuples(st.just("cmp"), st.just("="), alias.map(lambda one: _prop(one, "$metadata", "$model")), _lit(st.sampled_from(MODELS))),
    ]
    if free:
        either = st.sampled_from(free).map(lambda one: _prop(one, "name"))  # text on some, a number on others
        found.append(st.tuples(st.just("cmp"), _SIGN, either, _lit(st.one_of(TEXTS, _WHOLE))))
    return found


@st.composite
def _anchored(draw: st.DrawFn, owners: dict[str, str]) -> tuple[Any, ...]:
    twins = [alias for alias, kind in owners.items() if kind in ("any", "base")]
    if not twins:
        return draw(_condition(owners, 1))
    id = _prop(draw(st.sampled_from(twins)), "$dtId")
    ids = st.sampled_from(["t0", "t1", "t2", "nobody"])
    anchor = draw(
        st.one_of(
            st.tuples(st.just("cmp"), st.just("="), st.just(id), _lit(ids)), st.tuples(st.just("in"), st.just(id), _lit(ids), _lit(ids))
        )
    )
    return ("and", anchor, draw(_condition(owners, 1))) if draw(st.booleans()) else anchor


@st.composite
def _selected(draw: st.DrawFn, owners: dict[str, str]) -> tuple[tuple[tuple[Any, str], ...], tuple[Any, ...]]:
    values = [one for of in (_numbers_of, _texts_of, _booleans_of) for one in _all(owners, of)]
    numbers = _all(owners, _numbers_of)
    how = draw(st.sampled_from(["*", "aliases", "values", "count", "groups"]))
    if how == "aliases":
        chosen = draw(st.lists(st.sampled_from(sorted(owners)), min_size=1, unique=True))
        return tuple((("alias", one), one) for one in chosen), ()
    if how == "values":
        chosen = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))
        return tuple((one, f"v{index}") for index, one in enumerate(chosen)), ()
    if how == "count" or (how == "groups" and not numbers):
        return ((("agg", "COUNT", None), "COUNT"),), ()
    if how == "groups":
        keys = tuple(draw(st.lists(st.sampled_from(values), max_size=2, unique=True)))
        inner = st.sampled_from(numbers)
        aggregates = draw(
            st.lists(st.tuples(st.just("agg"), st.sampled_from(["COUNT", "SUM", "AVG", "MIN", "MAX"]), inner), min_size=1, max_size=2)
        )
        named = [(key, f"k{index}") for index, key in enumerate(keys)] + [(one, f"a{index}") for index, one in enumerate(aggregates)]
        return tuple(named), keys
    return (), ()
