"""Numbers that are taken for numbers are written again to the byte, and mean what JSON says."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright.errors import StoreError
from twinwright.telemetry import journal, line_template, number_columns
from twinwright.telemetry.decode import Joined
from twinwright.telemetry.payloads import Payload

quick = settings(max_examples=300, deadline=None, derandomize=True)
SPARE = b"\n" * 16
texts = st.one_of(
    st.integers(-(10**11), 10**11).map(str),
    st.floats(-1e6, 1e6).map(lambda x: f"{x:.3f}"),
    st.floats(-1e3, 1e3).map(repr),
    st.from_regex(r"-?[0-9]{0,12}\.?[0-9]{0,4}", fullmatch=True),
    st.sampled_from(["null", "-0", "-0.0", "0", "00", "0.50", "1e5", "-", ".", "1.", ".5", "007", "999999999", "1000000000", "0.00000001"]),
)


def column(values: list[str], delimiter: str = ",") -> np.ndarray:
    return np.frombuffer("".join(value + delimiter for value in values).encode() + SPARE, np.uint8)


@quick
@given(st.lists(texts, max_size=60))
def test_a_column_is_written_again_to_the_byte(values: list[str]) -> None:
    data = column(values)
    end = len(data) - len(SPARE)
    found = number_columns.numbers(data, 0, end, ord(","), len(values))
    assert found is not None  # so few others are kept
    assert number_columns.text(found.part().tobytes(), len(values), ord(",")) == data[:end].tobytes()


@quick
@given(st.lists(texts, min_size=1, max_size=60))
def test_what_is_taken_for_a_number_is_the_one_that_json_reads(values: list[str]) -> None:
    found = number_columns.numbers(column(values), 0, len(column(values)) - len(SPARE), ord(","), len(values))
    assert found is not None
    taken = found.form != 255
    for value, is_number in zip(values, taken.tolist(), strict=True):
        assert not is_number or isinstance(json.loads(value), int | float), value
    numbers, state = np.full(len(values), np.nan), np.zeros(len(values), np.uint8)
    read = found.fill(numbers, state, np.ones(len(values), np.bool_), 1)
    assert read == taken.all()
    if read:
        expected = [float(json.loads(value)) for value in values]
        assert numbers.tobytes() == np.array(expected).tobytes()
        assert state.all()


def test_values_go_to_the_lines_that_fit() -> None:
    found = number_columns.numbers(column(["1.5", "-2"]), 0, 7, ord(","), 2)
    assert found is not None
    numbers, state = np.zeros(4), np.zeros(4, np.uint8)
    assert found.fill(numbers, state, np.array([False, True, False, True]), 7)
    assert (numbers.tolist(), state.tolist()) == ([0, 1.5, 0, -2], [0, 7, 0, 7])


def test_a_column_of_mostly_other_texts_is_none() -> None:
    values = ["low", "high"] * 100
    assert number_columns.numbers(column(values), 0, len(column(values)) - len(SPARE), ord(","), 200) is None


@quick
@given(st.binary(max_size=80), st.integers(0, 20))
def test_a_damaged_part_is_refused_or_is_some_column(part: bytes, count: int) -> None:
    try:
        text = number_columns.text(part, count, ord(","))
    except ValueError:
        return
    assert text.count(b",") == count


LINES = [b'{"t": "%d:%02d", "n": %d.%d}' % (i // 60, i % 60, i * 7, i % 10) for i in range(400)]


def test_a_journal_keeps_numbers_as_numbers_and_gives_the_payloads_back() -> None:
    rng = random.Random(5)
    payloads = [Payload(rng.choice([line, line, line, b'{"n": null}', line.replace(b".", b"e")])) for line in LINES]
    assert [payload.body for payload in journal.unpack(journal.pack(payloads))] == [payload.body for payload in payloads]


def test_a_block_of_the_version_before_is_still_read() -> None:
    whole = b"\n".join([*LINES, b""])
    split = line_template.split(whole, len(LINES))
    assert split is not None
    split._numbers.update(dict.fromkeys(range(split.template.columns)))  # as it was then: no numbers, and no check sum
    block = journal.pack([Payload(line) for line in LINES], Joined(whole, len(LINES), split))
    head, check = journal._HEAD.size, journal._CHECK.size
    before = bytes([2]) + block[1:head] + block[head + check :]
    assert [payload.body for payload in journal.unpack(before)] == LINES


def test_damage_of_a_block_is_seen_wherever_it_is() -> None:
    block = journal.pack([Payload(line) for line in LINES])
    for at in range(1, len(block)):
        damaged = bytearray(block)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(StoreError, match="journal block"):
            journal.unpack(bytes(damaged))
