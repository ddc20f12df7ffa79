"""Numbers, units and times as people read them; charts as ECharts does."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinwright.console import charts, formats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (0.0, "0"),
        (3349, "3\u202f349"),
        (12.0, "12"),
        (354.921, "354.9"),
        (-0.1172, "−0.1172"),
        (0.00001234, "1.234e−05"),
        (12_345_678.0, "1.235e+07"),
        (99999.5, "100\u202f000"),
        ("auto", "auto"),
    ],
)
def test_numbers_have_four_digits_and_no_noise(value: object, text: str) -> None:
    assert formats.number(value) == text


@given(st.floats(-1e300, 1e300))
def test_a_shown_number_is_the_number_to_its_digits(value: float) -> None:
    shown = float(formats.number(value).replace("\u202f", "").replace("−", "-"))
    assert shown == pytest.approx(value, rel=6e-4, abs=1e-12)


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (0.0147, "0.0147 s"), (21.0, "21 s"), (300.0, "5 min"), (7200.0, "2 h"), (9e6, "104 d")]
)
def test_durations_take_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds) == text.replace(" ", "\u00a0")


def test_units_are_named_as_people_write_them() -> None:
    assert [formats.unit_name(unit) for unit in ("degC", "kPa", "V**0.5/s", None)] == ["°C", "kPa", "V^0.5/s", "no unit"]
    assert formats.quantity(2.5, "degC") == "2.5\u00a0°C" and formats.quantity(2.5, None) == "2.5" and formats.quantity(None, "kPa") == "–"


def test_names_are_titles() -> None:
    assert formats.title("motor/speed_set") == "Motor / speed set"
    assert formats.title("freshness.pump") == "Freshness · pump"
    assert formats.interface("dtmi:station:Pump;1") == "Pump v1"
    assert formats.interface("dtmi:station:Pump") == "Pump"


def test_kpis_are_shown_in_their_unit_with_their_target() -> None:
    assert formats.kpi_value({"value": 0.5, "unit": "1"}) == "50\u00a0%"
    assert formats.kpi_value({"value": 3.0, "unit": "kWh"}) == "3\u00a0kWh"
    assert formats.kpi_target("simulation_success", {"target": 0.95, "unit": "1"}) == "≥ 95\u00a0%"
    assert formats.kpi_target("freshness.x", {"target": 300.0, "unit": "s"}) == "≤ 5\u00a0min"
    assert formats.share(None) == "–"


def test_a_chart_has_its_unit_on_the_axis_and_every_point() -> None:
    series = {"times": ["2026-03-01T08:00:00Z", "2026-03-01T08:00:05Z"], "values": [1.5, None]}
    options = charts.line_chart([charts.Line("Observed", charts.points(series), "observed")], "degC", (0.0, 1.0))
    assert options["yAxis"]["name"] == "°C" and (options["xAxis"]["min"], options["xAxis"]["max"]) == (0.0, 1.0)
    (line,) = options["series"]
    assert line["data"] == [[1772352000000.0, 1.5], [1772352005000.0, None]]
    assert line["name"].split("\u001f") == ["Observed", "°C"] and line["showSymbol"], "two points would make no line to see"
