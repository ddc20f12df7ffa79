"""The planner gives the answers of the naive evaluator, for any query over any small graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.twins.query import naive
from tests.twins.query.drawn import graphs, queries
from tests.twins.query.naive import Asked, Hop
from tests.twins.query.plant import BASE, CATALOGUE, OTHER, Fixed, Graph, ask, service

from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.twins.query import conditions, pattern, planner, projection
from twinwright.twins.query.adjacency import Adjacency
from twinwright.twins.query.conditions import Compiler
from twinwright.twins.query.forms import Forms
from twinwright.twins.query.pattern import Link, Relations, _link_source, relations_of
from twinwright.twins.query.projection import Projection

pairs, member = Adjacency.pairs, Compiler.member

PROJECTION = Projection(CATALOGUE, memory="300MB")  # made once: its graph is replaced
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking takes minutes
EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)


def check(graph: Graph, several: list[Asked]) -> None:
    """Raises AssertionError where the two differ."""
    queries = service(graph, Fixed(graph, PROJECTION))
    for asked in several:
        text = naive.text(asked)
        expected = sorted(map(naive.ids, naive.answer(asked, graph)))
        assert sorted(map(naive.ids, ask(queries, text))) == expected, text
    paged(graph, naive.text(several[0]))


def paged(graph: Graph, text: str) -> None:
    """Raises AssertionError where pages are not the whole, in its order, each read from a projection that was loaded anew."""
    whole, found, token = ask(service(graph, Fixed(graph, PROJECTION)), text), [], None
    most = max(1, len(whole) // 4)
    for nth in range(len(whole) // most + 1):
        queries = service(graph, Fixed(graph, PROJECTION, turned=nth % 2 == 0))
        page = queries.query(LOCAL_ADMIN, text, now=0, commit_of=int, continuation=token, most=most)
        found += page.value
        if (token := page.continuation) is None:
            break
    assert (found, token) == (whole, None), text


@EXAMPLES
@given(graphs(), st.lists(queries(), min_size=4, max_size=6))
def test_a_query_is_answered_as_by_trying_every_row(graph, several):
    check(graph, several)


# --- broken planners that must be caught -----------------------------------------------------------------------------


def _any_direction(link: Link, whole: bool) -> str:
    link.direction = "out"
    return _link_source(link, whole)


def _by_row(*given: Any) -> Relations:
    found = relations_of(*given)
    return replace(found, order=list(found.keys.values()))


def _start_counts(self, starts, direction, names, fewest, most):
    return pairs(self, starts, direction, names, max(1, fewest - 1), most)


def _always_true(self, node):
    forms = member(self, node)
    return replace(forms, sql={"boolean": f"coalesce({forms.sql['boolean']}, TRUE)"})


def _unconverted(self, unit):
    return self.sql["number"]


MUTANTS = {
    "a direction is forgotten": (pattern, "_link_source", _any_direction),
    "a range of hops begins too early": (Adjacency, "pairs", _start_counts),
    "what is missing is in no list": (Compiler, "member", _always_true),
    "units are not converted": (Forms, "number", _unconverted),
    "a page begins at what is missing again": (planner.Plan, "_behind", lambda self, place, descending: "TRUE"),
    "a page begins at the row where a relationship lay": (planner, "relations_of", _by_row),
    "a page does not tell there from back": (projection, "_KEY", "(hash(id) >> 1)::BIGINT"),
    "HAVING is forgotten": (planner._Selecting, "_having", lambda *_, **__: "TRUE"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_planner_disagrees(name, monkeypatch):
    owner, attribute, broken = MUTANTS[name]
    if name == "what is missing is in no list":
        monkeypatch.setitem(conditions._RULES, "nin", broken)
    monkeypatch.setattr(owner, attribute, broken)
    with pytest.raises(AssertionError):
        for graph, asked in WITNESSES:
            check(graph, [asked])


_TWINS = [
    {"$dtId": "t0", "$metadata": {"$model": OTHER}, "temp": 68.0},
    {"$dtId": "t1", "$metadata": {"$model": BASE}, "temp": 25.0, "motor": {"$metadata": {}}},
    {"$dtId": "t2", "$metadata": {"$model": BASE}, "count": 1, "motor": {"$metadata": {}}},
]
_LINE = [{"$relationshipId": f"r{n}", "$sourceId": f"t{n}", "$targetId": f"t{n + 1}", "$relationshipName": "feeds"} for n in range(2)]
_GRAPH = Graph(_TWINS, _LINE)
_BESIDE = [{**_LINE[0], "$relationshipId": f"r{n}"} for n in range(5)]
_BACK = {**_LINE[0], "$sourceId": "t1", "$targetId": "t0"}
WITNESSES = [
    (_GRAPH, Asked("A")),
    (_GRAPH, Asked("A", (Hop("A", "B", "in", ("feeds",)),), join=False)),
    (_GRAPH, Asked("A", (Hop("A", "B", "out", (), None, 2, 3),), join=False)),
    (_GRAPH, Asked("A", where=("nin", ("prop", "A", "count"), ("lit", 2, None)))),
    (_GRAPH, Asked("A", where=("cmp", ">", ("prop", "A", "temp"), ("lit", 77.9, "degF")))),
    (_GRAPH, Asked("A", where=("cmp", "<", ("prop", "A", "temp"), ("lit", 20.1, "degC")))),
    (Graph(_TWINS, _BESIDE), Asked("A", (Hop("A", "B", "out", ("feeds",), "R"),))),
    (Graph(_TWINS, [_LINE[0], _BACK]), Asked("A", (Hop("A", "B", "any", (), "R"),), join=False)),
    (_GRAPH, Asked("A", select=((("agg", "COUNT", None), "n"),), having=(("agg", "COUNT", None), ">", 3))),
]


def test_the_witnesses_are_answered_alike_by_the_planner_as_it_is():
    for graph, asked in WITNESSES:
        check(graph, [asked])
