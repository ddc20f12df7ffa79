"""Who a reading is of: by id, by event time, by what the interface has."""

import numpy as np
import pyarrow as pa
import pytest

from twinwright.errors import NotFoundError
from twinwright.storage.layout import Lifetime
from twinwright.twins.registry import TwinRegistry

PUMP, VALVE = "dtmi:example:Pump;1", "dtmi:example:Valve;1"
LIVES = [
    Lifetime(1, "always", PUMP),
    Lifetime(2, "twice", PUMP, 10, 20),
    Lifetime(3, "twice", PUMP, 30),
    Lifetime(4, "ended", PUMP, None, 10),
    Lifetime(5, "valve", VALVE),
]
REGISTRY = TwinRegistry(LIVES, {PUMP: {"p": 0, "q": 0}, VALVE: {"q": 0}})


def numbers(ids, times, paths=("p",), contract="c"):
    return REGISTRY.numbers(pa.array(ids, pa.string()), np.array(times, np.int64), contract, paths).tolist()


def test_event_time_falls_in_a_lifetime_or_in_none():
    assert numbers(["twice"] * 6, [9, 10, 19, 20, 29, 30]) == [-1, 2, 2, -1, -1, 3]
    assert numbers(["ended", "ended", "always"], [9, 10, -(2**60)]) == [4, -1, 1]


def test_unknown_and_missing_ids_have_no_number():
    assert numbers(["nobody", None, "always", ""], [0, 0, 0, 0]) == [-1, -1, 1, -1]
    assert numbers([], []) == []
    assert numbers([None], [0]) == [-1]


def test_an_interface_has_to_have_every_path():
    assert numbers(["valve", "always"], [0, 0], ("p",)) == [-1, 1]
    assert numbers(["valve", "always"], [0, 0], ("q",), "other") == [5, 1]
    assert numbers(["always"], [0], ("p", "x"), "third") == [-1]


def test_columns_that_are_encoded_or_chunked_are_read_alike():
    chunked = pa.chunked_array([["always"], ["valve", "always"]])
    times = np.zeros(3, np.int64)
    assert REGISTRY.numbers(chunked, times, "c", ("p",)).tolist() == [1, -1, 1]
    assert REGISTRY.numbers(pa.array(["always", "valve", "always"]).dictionary_encode(), times, "c", ("p",)).tolist() == [1, -1, 1]


@pytest.mark.parametrize(
    ("twin", "paths", "reason"),
    [
        (None, ("p",), "id is missing"),
        ("nobody", ("p",), "no twin 'nobody'"),
        ("valve", ("p", "q"), "has no path p"),
        ("ended", ("p",), "outside the lifetimes"),
    ],
)
def test_the_sender_is_told_why(twin, paths, reason):
    assert reason in REGISTRY.why_unknown(twin, paths)


def test_a_long_id_is_cut_in_messages():
    assert len(REGISTRY.why_unknown("x" * 100_000, ())) < 300


def test_twins_are_found_with_all_their_lifetimes():
    assert REGISTRY.twins == ["always", "twice", "valve"]
    assert (len(REGISTRY), "twice" in REGISTRY, "nobody" in REGISTRY, REGISTRY.highest) == (4, True, False, 5)
    assert REGISTRY.current("twice").number == 3
    assert [life.number for life in REGISTRY.lifetimes_of("twice")] == [2, 3]
    assert REGISTRY.lifetime(4).twin == "ended"
    assert (REGISTRY.alive("ended"), REGISTRY.newest("ended").number) == (None, 4)
    with pytest.raises(NotFoundError, match="no twin 'ended' any more"):
        REGISTRY.current("ended")


def test_lifetimes_that_begin_change_and_end_are_taken_in():
    registry = TwinRegistry([Lifetime(1, "a", PUMP)], {PUMP: {"p": 0}})

    def found(*times):
        return registry.numbers(pa.array(["a"] * len(times)), np.array(times, np.int64), "c", ("p",)).tolist()

    assert found(5) == [1]
    registry.take(Lifetime(1, "a", PUMP, until=10), {"p": 0})
    assert (found(5, 10), registry.alive("a"), registry.taken) == ([1, -1], None, [1])
    registry.take(Lifetime(2, "a", VALVE, since=20), {"q": 0})
    assert (found(5, 30), registry.highest, registry.twins) == ([1, -1], 2, ["a"])
    registry.take(Lifetime(2, "a", PUMP, since=20), {"p": 0})
    assert registry.taken == [1, 2, 2]
    assert found(5, 15, 20) == [1, -1, 2]


def test_an_unknown_twin_is_refused_with_the_nearest_name():
    with pytest.raises(NotFoundError, match="Did you mean 'always'") as refused:
        REGISTRY.current("alway")
    assert refused.value.http_status == 404
    with pytest.raises(NotFoundError, match="twinwright state"):
        REGISTRY.lifetimes_of("zzzzzzzz")
    assert TwinRegistry([], {}).highest == 0
