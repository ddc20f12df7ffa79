"""Answers of runs that share a child are read as they were told, wherever the child ended, and a liar among children is found out."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright.errors import UsageError
from twinwright.simulation import answers, bench, plain_data
from twinwright.simulation.answers import framed, told

numbers = st.floats(width=64)
COUNTED = Path("/proc/self/fd").stat().st_size > 0  # since Linux 6.2


VALUES = np.array([0.0, -0.0, np.nan, np.inf, 5e-324, 1.5])
SHAPES = [(0, 1, 1), (1, 0, 0), (2, 3, 1), (2, 2, 2), (4, 1, 1), (4, 2, 0), (2, 0, 4)]  # rows, outputs, states: some of one length


def made(what, cost, text, events, warnings):
    """An answer: of a shape, or (-1) a failure."""
    costs = {"seconds": cost, "cpu_seconds": -cost, "peak_memory": cost, "log": text}
    if what < 0:
        return {"failure": "nan", "message": "state 'x'", **costs}
    rows, *columns = SHAPES[what]
    tables = [np.resize(VALUES, rows * count).reshape(rows, count) for count in columns]
    return {"outputs": tables[0], "states": tables[1], "events": [[0.5, "bounce"]] * events, "warnings": ["slow"] * warnings, **costs}


seldom = st.sampled_from([0, 0, 0, 1])
several = st.builds(made, st.integers(-1, len(SHAPES) - 1), numbers, st.sampled_from(["", "", "said"]), seldom, seldom)


def plain(found):
    """By bytes, so that a NaN equals itself."""
    return [plain_data.encode(dict(sorted(one.items()))) for one in found]


def holds(given_answers, repeated):
    sent = [one for one in given_answers for _ in range(repeated)]
    frames = [framed(one) for one in sent]
    body = b"".join(frames)
    assert plain(told(memoryview(body))) == plain(sent)
    whole = 0
    for index, frame in enumerate(frames):  # a child that ended within an answer has told those before it
        assert plain(told(memoryview(body[: whole + len(frame) - 1]))) == plain(sent[:index])
        whole += len(frame)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(several, max_size=4), st.integers(1, 3))
def test_answers_are_read_as_they_were_told_and_only_those_that_were_told_whole(given_answers, repeated):
    holds(given_answers, repeated)


def test_a_reader_that_takes_every_answer_for_one_of_the_first_shape_is_caught(monkeypatch):
    """The broken variant: neighbours of the same length and another shape."""
    wide = {"outputs": np.arange(6.0).reshape(2, 3), "states": np.ones((2, 1)), "events": [], "warnings": [], "log": ""}
    wide |= {"seconds": 1.0, "cpu_seconds": 0.5, "peak_memory": 4096.0}
    long = {**wide, "outputs": np.arange(6.0).reshape(2, 3)[:, :2].copy(), "states": np.ones((2, 2))}
    holds([wide, long], 1)
    monkeypatch.setattr(answers, "_SHAPE", 8)
    with pytest.raises((AssertionError, ValueError, struct.error)):
        holds([wide, long], 1)


@pytest.mark.parametrize("spoilt", [(16, 7), (20, 1 << 30), (0, 20)])
def test_an_answer_that_is_not_as_long_as_it_says_is_refused(spoilt):
    body = bytearray(framed({"outputs": np.zeros((2, 1)), "states": np.zeros((2, 1)), "events": [], "warnings": [], "log": "",
                             "seconds": 1.0, "cpu_seconds": 1.0, "peak_memory": 0.0}))  # fmt: skip
    struct.pack_into("<I", body, *spoilt)
    with pytest.raises(UsageError):
        list(told(memoryview(bytes(body))))


def test_a_folder_and_descriptors_that_are_as_they_were_are_not_listed_and_what_changed_is_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = []
    look = bench.Bench._seen
    monkeypatch.setattr(bench.Bench, "_seen", lambda self: listed.append(1) or look(self))
    one = bench.Bench(1.0, 1 << 30, 1 << 20)
    _age(one)
    assert one.tidy() and one.tidy() and one.tidy()
    assert len(listed) <= 2 or not COUNTED  # the first, and the one after the folder had come to rest
    (tmp_path / "left").touch()
    assert not one.tidy()
    (tmp_path / "left").unlink()
    assert one.tidy()
    _age(one)
    assert one.tidy()
    left = os.open(".", os.O_RDONLY)
    assert not one.tidy() and not one.tidy()
    os.close(left)
    assert one.tidy()


def test_a_mark_that_stays_the_same_is_caught(tmp_path, monkeypatch):
    """The broken variant: with it nothing that is left would be seen."""
    monkeypatch.chdir(tmp_path)
    one = bench.Bench(1.0, 1 << 30, 1 << 20)
    monkeypatch.setattr(bench, "_mark", lambda _: (1,))
    assert one.tidy()
    (tmp_path / "left").touch()
    assert one.tidy()


def test_right_after_a_change_the_folder_is_looked_at_itself(tmp_path, monkeypatch):
    """Clocks of file systems are coarse: a second change may have the time of the first."""
    monkeypatch.chdir(tmp_path)
    one = bench.Bench(1.0, 1 << 30, 1 << 20)
    (tmp_path / "new").touch()
    assert bench._mark(one._descriptors) is None


def _age(one):
    """The last change of the folder seems old to what is read of it."""
    while bench._mark(one._descriptors) is None and COUNTED:
        time.sleep(0.01)
