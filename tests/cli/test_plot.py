"""Plots in the terminal: every value is drawn where it belongs, whatever the numbers are."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from twinwright.cli.plot import HEIGHT, MAX_PLOTS, WIDTH, lines_of, plotted

NUMBERS = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=2, max_size=400).filter(lambda one: any(v is not None for v in one))
TIMES = ["2026-03-01T08:00:00Z", "2026-03-01T09:00:00Z"]


def lit(lines: list[str], column: int, row: int) -> bool:
    """Whether a dot is there, by the table of the Unicode block: bits 0 to 2 and 6 left, 3 to 5 and 7 right."""
    bit = {0: (0, 3), 1: (1, 4), 2: (2, 5), 3: (6, 7)}[row % 4][column % 2]
    line = lines[row // 4].ljust(WIDTH)
    character = line[column // 2]
    return character != " " and bool((ord(character) - 0x2800) >> bit & 1)


@given(NUMBERS)
def test_every_value_has_its_dot(values: list[float | None]) -> None:
    known = [one for one in values if one is not None]
    low, high = min(known), max(known)
    lines = lines_of(values, low, high)
    assert len(lines) == HEIGHT
    assert all(len(line) <= WIDTH for line in lines)
    for index, value in enumerate(values):
        if value is not None:
            column = round(index / (len(values) - 1) * (2 * WIDTH - 1))
            row = round((1 - (value - low) / (high - low)) * (4 * HEIGHT - 1)) if high > low else 2 * HEIGHT
            assert lit(lines, column, row), (index, value)


def test_a_plot_says_its_range_its_unit_and_its_times() -> None:
    values = [math.sin(one / 10) for one in range(100)]
    text = plotted({"level": {"unit": "V", "times": TIMES, "values": values}})
    assert "level [V]" in text
    assert text.splitlines()[1].strip().startswith("0.9996 ")
    assert all(one in text for one in TIMES)
    assert "-0.9999" in text.splitlines()[HEIGHT]


def test_what_can_not_be_drawn_is_told_or_left_out() -> None:
    one = {"unit": None, "times": TIMES, "values": [None, None]}
    assert plotted({"y": one}) == "y: no value"
    assert plotted({"y": {**one, "values": [1.0]}}) == ""
    assert plotted({}) == ""
    many = {f"y{index}": {**one, "values": [1.0, 1.0]} for index in range(MAX_PLOTS + 2)}
    assert plotted(many).endswith("(2 more outputs)")
