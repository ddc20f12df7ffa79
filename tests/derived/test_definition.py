"""What can be written in `derived/*.yaml`, and what every mistake is answered with: where it is and what to do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.derived.documents import DOCUMENTS, PLANT, PUMP, compiled, hourly, written

from twinwright.clock import HOUR

P = {"p": {"path": "pressure"}}
WRONG = {
    "no such interface": (written("a", "mean", "p", P, interface="dtmi:example:No;1"), "unknown_interface", "$.interface"),
    "no such twin": (written("a", "mean", "p", P, interface=None, twins=["x", "z"]), "unknown_twin", "$.twins[1]"),
    "of nothing": (written("a", "mean", "p", P, interface=None), "value_error", "$"),
    "of both": (written("a", "mean", "p", P, twins=["x"]), "value_error", "$"),
    "no such output": (written("a", "meen", "p", P), "unknown_path", "$.output.path"),
    "an output that is no value": (written("a", "place", "p", P), "bad_type", "$.output.path"),
    "an output in another dimension": (written("a", "mean", "p", P, output={"path": "mean", "unit": "V"}), "bad_unit", "$.output.unit"),
    "no such input": (written("a", "mean", "p", {"p": {"path": "presure"}}), "unknown_path", "$.inputs.p.path"),
    "an input in another dimension": (written("a", "mean", "p", {"p": {"path": "pressure", "unit": "V"}}), "bad_unit", "$.inputs.p.unit"),
    "an expression in another dimension": (written("a", "ratio", "p", P), "bad_expression", "$.expression"),
    "an expression of another kind": (written("a", "mode", "p > 1 kPa", P), "bad_type", "$.expression"),
    "an expression that can't be read": (written("a", "mean", "p +", P), "bad_expression", "$.expression"),
    "an unknown name": (written("a", "mean", "p + q", P), "bad_expression", "$.expression"),
    "an input that is not used": (written("a", "mean", "p", {**P, "q": {"path": "flow"}}), "unused_input", "$.inputs.q"),
    "the mean of text": (written("a", "mode", "m", {"m": hourly("mode")}), "bad_aggregate", "$.inputs.m.window"),
    "an aggregate that is none": (written("a", "mean", "p", {"p": hourly("pressure", "median")}), "literal_error", "$.inputs.p.window.agg"),
    "no length": (
        written("a", "mean", "p", {"p": {"path": "pressure", "window": {"every": "an hour"}}}),
        "value_error",
        "$.inputs.p.window.every",
    ),
    "no time at all": (
        written("a", "mean", "p", {"p": {"path": "pressure", "window": {"every": "PT0S"}}}),
        "value_error",
        "$.inputs.p.window.every",
    ),
    "two lengths": (
        written("a", "mean", "p + q", {"p": hourly("pressure"), "q": {"path": "pressure", "window": {"every": "PT1M"}}}),
        "value_error",
        "$",
    ),
    "no such relationship": (
        written("a", "mean", "p", {"p": {"path": "pressure", "relationship": "fed", "across": "max"}}),
        "unknown_relationship",
        "$.inputs.p.relationship",
    ),
    "related without an aggregate": (
        written("a", "mean", "p", {"p": {"path": "pressure", "relationship": "feeds"}}),
        "value_error",
        "$.inputs.p",
    ),
    "what nobody derives": (written("a", "mean", "p", {"p": {"path": "peak", "lane": "derived"}}), "not_derived", "$.inputs.p.path"),
    "itself": (written("a", "mean", "p", {"p": {"path": "mean", "lane": "derived"}}), "cycle", "$.inputs.p"),
    "a field that there is not": (written("a", "mean", "p", P, window="PT1M"), "extra_forbidden", "$"),
}


@pytest.mark.parametrize(("document", "code", "place"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_refused_where_it_stands(document, code, place):
    _, problems = compiled({key: value for key, value in document.items() if value is not None})
    one = problems.items[0]
    assert (one.code, one.file) == (code, "derived/0.yaml")
    assert one.path is not None and one.path.startswith(place)
    assert one.line is not None and one.remedy
    assert len(problems) == 1


def test_what_is_in_order_is_compiled_with_its_units():
    found, problems = compiled(*DOCUMENTS)
    assert not problems, problems.items
    assert list(found) == ["mean", "ratio", "inflow", "readings", "wet", "peak"]
    assert found["peak"].unit == "Pa"
    assert found["mean"].every == HOUR
    assert found["ratio"].every is None
    assert {name: one.type for name, one in found.items()}["wet"] == "BOOLEAN"


def test_a_cycle_is_refused_by_the_names_in_it():
    _, problems = compiled(
        written("one", "mean", "p", {"p": {"path": "peak", "lane": "derived"}}),
        written("other", "peak", "p", {"p": {"path": "mean", "lane": "derived"}}),
    )
    assert [problem.code for problem in problems.items] == ["cycle"]
    assert "one <- other <- one" in problems.items[0].message


def test_what_is_derived_from_the_same_path_of_others_is_no_cycle():
    related = {"p": {"path": "mean", "lane": "derived", "relationship": "feeds", "across": "max"}}
    first = written("first", "mean", "p", P, interface=None, twins=["y"])
    second = written("second", "mean", "p", related, interface=None, twins=["x"])
    found, problems = compiled(*({k: v for k, v in one.items() if v is not None} for one in (first, second)))
    assert not problems, problems.items
    assert set(found) == {"first", "second"}


def test_a_path_is_derived_in_one_way():
    _, problems = compiled(written("one", "mean", "p", P), written("other", "mean", "p * 2", P))
    assert [problem.code for problem in problems.items] == ["derived_twice"]
    assert "'mean' of 'x' is derived by 'one' as well" in problems.items[0].message


def test_a_name_is_given_once():
    _, problems = compiled(written("one", "mean", "p", P), written("one", "peak", "p", P))
    assert [problem.code for problem in problems.items] == ["duplicate_derived"]


def test_every_problem_of_every_document_is_told():
    _, problems = compiled(written("one", "meen", "p", {"p": {"path": "presure"}}), "name: [", written("three", "mean", "q", P))
    assert {problem.file for problem in problems.items} == {"derived/0.yaml", "derived/1.yaml", "derived/2.yaml"}
    assert len(problems) >= 4


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=8)
        | st.sampled_from([PUMP, "p", "pressure", "PT1M"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*DOCUMENTS[5], "path", "window", "every", "twins"]), inner, max_size=6)
        ),
        max_leaves=12,
    )
)
def test_whatever_is_written_is_answered_with_problems(document):
    _, problems = compiled(
        {**written("a", "mean", "p", P), "extra": document}
        if not isinstance(document, dict)
        else {**written("a", "mean", "p", P), **document}
    )
    assert PLANT.twins
    assert problems or isinstance(document, dict)
