"""The text of a record is read as the body that it was, and what is no JSON is refused, whichever way it is written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright.storage import record_text as written
from twinwright.storage.record_text import record_texts

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
lists = st.lists(scalars, max_size=3)
bodies = st.dictionaries(
    st.text(max_size=4), scalars | lists | st.dictionaries(st.text(max_size=4), scalars | lists, max_size=3), max_size=4
)


def record_text(body):
    (text,) = record_texts([body])
    return text


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(bodies, max_size=4))
def test_several_together_have_the_texts_that_each_has_alone(several):
    assert record_texts(dict(enumerate(several)).values()) == [record_text(body) for body in several]


def test_one_that_is_not_finite_is_refused_among_others():
    with pytest.raises(ValueError, match="JSON"):
        record_texts([{"a": 1.0}, {"a": {"b": float("inf")}}, {"a": "\n"}])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(bodies)
def test_a_body_is_read_as_it_was_and_equal_bodies_have_equal_texts(body):
    text = record_text(body)
    assert json.loads(text) == body == json.loads(text.encode("utf-8", "strict"))
    assert record_text(dict(reversed(body.items()))) == text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), np.float64("nan"), -np.inf])
def test_what_is_not_finite_is_refused_wherever_it_stands(number):
    for body in ({"a": number}, {"a": [1, {"b": number}]}, {"a": (number,)}):
        with pytest.raises(ValueError, match="JSON"):
            record_text(body)


def test_what_is_no_json_is_refused():
    with pytest.raises(TypeError):
        record_text({"a": object()})


def test_what_holds_itself_is_refused_and_what_is_long_is_kept():
    body = {"a": [1]}
    body["a"].append(body)
    with pytest.raises(ValueError, match="Circular"):
        record_text(body)
    assert json.loads(record_text({"a": [0.5] * 100_001})) == {"a": [0.5] * 100_001}


def test_without_the_look_at_each_number_one_that_is_not_finite_would_be_kept_as_missing(monkeypatch):
    """The broken variant."""
    monkeypatch.setattr(written, "_finite", lambda _: True)
    assert record_text({"a": float("nan")}) == '{"a":null}'
