"""Twins are found by their ids as in a dictionary, however they were added."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright.twins.twin_index import TwinIndex

IDS = st.text(st.sampled_from("ab0é€"), max_size=4)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(IDS, max_size=120), max_size=4), st.lists(st.none() | IDS, max_size=60), st.integers(0, 5))
def test_each_is_found_where_it_was_added_and_no_other(parts, asked, cut):
    index, known = TwinIndex(), {}
    for part in parts:
        added = [name for name in dict.fromkeys(part) if name not in known]
        known.update({name: len(known) + at for at, name in enumerate(added)})
        index.add(added)
    assert len(index) == len(known)
    assert index.find(pa.array(list(known), pa.string())).tolist() == list(known.values())
    asked = pa.array(asked, pa.large_string())[cut:]
    assert index.find(asked).tolist() == [-1 if name is None else known.get(name, -1) for name in asked.to_pylist()]


@pytest.mark.parametrize("step", [1, 7])
def test_many_are_found_in_any_order(step):
    index, ids = TwinIndex(), [f"pump-{number}" for number in range(5_000)]
    for first in range(0, 5_000, 1_250):
        index.add(ids[first : first + 1_250])
    asked = [number * step % 5_000 for number in range(6_000)]
    assert index.find(pa.array([ids[number] for number in asked])).tolist() == asked
    assert (index.find(pa.array([f"pump-{number}" for number in range(5_000, 6_000)])) == -1).all()


def test_who_looks_while_others_add_is_not_led_past_the_end():
    index = TwinIndex()
    index.add(["a", "b"])
    held = index._held
    index.add(["a long name " * 20])  # more bytes than there was room for
    places, bounds, texts, count = held
    assert (count, places.astype(bool).sum(), bounds[count] <= len(texts)) == (2, 2, True)
