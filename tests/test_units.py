from __future__ import annotations

import math
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright import units
from twinwright.errors import UnitError
from twinwright.units import (
    Affine,
    canonical,
    check_dimension,
    compatible,
    convert,
    converter,
    dtdl_unit,
    facts,
    facts_rows,
    symbol,
    tabulate,
)
from twinwright.units.conversion import combined_by_pint


@pytest.mark.parametrize(
    ("written", "spelling"),
    [
        ("kPa", "kPa"), ("kilopascal", "kPa"), ("KiloPA", "kPa"), ("unit:KiloPA", "kPa"), ("http://qudt.org/vocab/unit/KiloPA", "kPa"),
        ("V**0.5/s", "V**0.5/s"), ("V^0.5 / s", "V**0.5/s"), ("degC", "degC"), ("°C", "degC"), ("degreeCelsius", "degC"), ("Cel", "degC"),
        ("%", "percent"), ("percent", "percent"), ("l/min", "l/min"), ("L/min", "l/min"), ("litrePerSecond", "l/s"), ("g", "g"),
        ("g_0", "g_0"), ("gravity", "g_0"), ("rpm", "rpm"), ("metrePerSecond", "m/s"), ("m3/h", "m**3/h"), ("m²", "m**2"), ("µm", "um"),
        ("1", None), ("", None), (None, None), ("unity", None), ("degC/min", "delta_degC/min"), ("1/s", "1/s"),
    ],
)  # fmt: skip
def test_a_unit_has_one_spelling_however_it_is_written(written: str | None, spelling: str | None) -> None:
    assert canonical(written) == spelling


def test_every_dtdl_unit_has_a_pint_unit_that_reads_back_as_itself() -> None:
    assert len(units.DTDL_UNITS) == 268
    for name in units.DTDL_UNITS:
        spelling = dtdl_unit(name)
        assert canonical(spelling) == spelling, name
        assert symbol(spelling) or name == "unity"


def test_every_name_of_the_other_vocabularies_is_a_unit() -> None:
    for name in units.OTHER_NAMES:
        assert canonical(canonical(name)) == canonical(name)


@pytest.mark.parametrize(
    ("name", "si", "factor"),
    [
        ("pound", "newton", 4.4482216152605), ("massPound", "kg", 0.45359237), ("gauss", "tesla", 1e-4), ("maxwell", "weber", 1e-8),
        ("footcandle", "lux", 10.763910416709722), ("partsPerBillion", None, 1e-9), ("tonOfRefrigeration", "kW", 3.5168533),
        ("voltAmpereReactive", "var", 1.0), ("inchesOfMercury", "Pa", 3386.38864), ("kibibytePerSecond", "bit/s", 8192.0),
        ("knot", "m/s", 1852 / 3600), ("revolutionPerMinute", "rad/s", math.pi / 30), ("bel", "dB", 10.0), ("foot", "m", 0.3048),
    ],
)  # fmt: skip
def test_dtdl_names_mean_the_quantity_of_the_specification(name: str, si: str | None, factor: float) -> None:
    assert convert(1.0, dtdl_unit(name), si) == pytest.approx(factor, rel=1e-7)


def test_pound_is_a_mass_to_users_and_a_force_in_dtdl() -> None:
    assert canonical("pound") == "lb"
    assert dtdl_unit("pound") == "lbf"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("kilopascl", "kilopascal"), ("degreeCelsus", "degreeCelsius"), ("10**10**10", "is not a unit"), ("m**99", "too large"),
        ("x" * 201, "201 characters"), ("9", "is not a unit"), ("5 kPa", "is not a unit"), ("m;import os", "is not a unit"),
        ("((((((((((m", "too large"),
        ("__import__('os')", "is not a unit"), ("m**2**2", "is not a unit"), ("no such", "not a known unit"),
    ],
)  # fmt: skip
def test_what_is_not_a_unit_is_refused_with_a_remedy(text: str, part: str) -> None:
    with pytest.raises(UnitError) as caught:
        canonical(text, where="pump.yaml:3")
    assert part in str(caught.value)
    assert str(caught.value).startswith("pump.yaml:3: ")
    assert caught.value.remedy


def test_a_unit_that_is_not_text_is_refused() -> None:
    with pytest.raises(UnitError, match="not int"):
        canonical(5)


def test_an_unknown_dtdl_unit_names_the_nearest() -> None:
    with pytest.raises(UnitError, match="kilopascal"):
        dtdl_unit("kiloPascal")


_ALPHABET = "kPamsgVKN0123456789*/^()%._ -+°²⁻eE[]{}'\"\n\\,;=#"


@given(st.text(alphabet=_ALPHABET, max_size=220) | st.text(max_size=40))
@settings(max_examples=400, deadline=None)
def test_hostile_text_is_a_unit_or_a_unit_error_and_soon(text: str) -> None:
    started = time.process_time()
    try:
        spelling = canonical(text)
    except UnitError:
        spelling = None
    assert time.process_time() - started < 10
    assert canonical(spelling) == spelling


_FAMILIES = (
    ("Pa", "kPa", "bar", "psi", "mmHg"), ("m", "km", "ft", "mile"), ("degC", "K", "degF", "degR"), ("l/min", "m**3/h", "gpm"),
    ("rpm", "rad/s", "turn/s"),
    ("percent", "1", "ppm"), ("J", "kWh", "Btu"), ("B", "Kibit"),
)  # fmt: skip


@given(st.sampled_from(_FAMILIES), st.data(), st.floats(-1e9, 1e9))
@settings(deadline=None)
def test_there_and_back_is_the_same_value(family: tuple[str, ...], data: st.DataObject, value: float) -> None:
    a, b, c = (data.draw(st.sampled_from(family)) for _ in range(3))
    assert compatible(a, b)
    assert convert(convert(value, a, b), b, a) == pytest.approx(value, rel=1e-12, abs=1e-9)
    assert convert(convert(value, a, b), b, c) == pytest.approx(convert(value, a, c), rel=1e-12, abs=1e-9)


def test_temperatures_convert_as_points_and_exactly() -> None:
    assert converter("degC", "K") == Affine(1.0, 273.15)
    assert converter("degC", "degF") == Affine(1.8, 32.0)
    assert convert(100.0, "degC", "K") == 373.15
    assert converter("delta_degC", "K") == Affine(1.0, 0.0)
    assert converter("degC/min", "K/min").is_identity


def test_common_factors_are_the_decimals_they_stand_for() -> None:
    pairs = [("kPa", "Pa"), ("Pa", "kPa"), ("ft", "m"), ("percent", None), ("bar", "kPa"), ("h", "s"), ("l/min", "m3/h")]
    assert [converter(a, b).factor for a, b in pairs] == [1000.0, 0.001, 0.3048, 0.01, 100.0, 3600.0, 0.06]


@pytest.mark.parametrize(
    ("a", "b"), [("kPa", "m"), ("Hz", "rpm"), ("Hz", "rad/s"), ("dB", "1"), ("bit/s", "Hz"), ("K", None), ("degC", "degRe")]
)
def test_what_is_not_the_same_quantity_does_not_convert(a: str, b: str | None) -> None:
    assert not compatible(a, b)
    with pytest.raises(UnitError):
        converter(a, b)


def test_a_wrong_dimension_names_both() -> None:
    with pytest.raises(UnitError, match=r"\[mass\].*\[length\]") as caught:
        check_dimension("kPa", "m", where="model.yaml:7")
    assert caught.value.where == "model.yaml:7"
    check_dimension("psi", "kPa", where="model.yaml:7")


def test_conversion_is_vectorised_and_identity_copies_nothing() -> None:
    values = np.array([0.0, 25.0, np.nan])
    assert convert(values, "degC", "degC") is values
    np.testing.assert_allclose(convert(values, "degC", "K"), [273.15, 298.15, np.nan])


@pytest.mark.parametrize(("a", "b"), [("degC", "K"), ("degF", "degC"), ("psi", "bar"), ("kPa", "kPa"), ("percent", None)])
def test_sql_is_the_same_map(a: str, b: str | None) -> None:
    mapping = converter(a, b)
    rows = duckdb.connect().execute(f"select {mapping.sql('x - 1')} from (select 38.5::DOUBLE as x)").fetchall()
    assert rows == [(mapping.apply(37.5),)]


@pytest.mark.parametrize(("unit", "shown"), [("kPa", "kPa"), ("degC", "°C"), ("V", "V"), ("percent", "%"), ("m**3/h", "m³/h"), (None, "")])
def test_symbols_are_short_and_pretty(unit: str | None, shown: str) -> None:
    assert symbol(unit) == shown


def test_importing_units_does_not_load_pint() -> None:
    code = "import sys, twinwright.units as u; u.canonical(None); u.dtdl_unit('volt'); sys.exit('pint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_table_of_units_is_what_pint_says() -> None:
    assert facts_rows.ROWS.splitlines()[1:] == tabulate.rows()


def test_units_that_are_met_most_are_known_without_pint() -> None:
    code = (
        "import sys; from twinwright import units; units.convert(1.0, 'degC', 'kelvin'); units.convert(1, 'V**0.5/s', 'V**0.5/s');"
        "units.canonical('kilopascal'); units.symbol('m3/h'); print('pint' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_products_of_the_table_are_those_of_pint() -> None:
    amounts = [unit for unit in facts.FACTS if not units.is_offset(unit or None)]
    found = [(a, b, e, facts.product(a, b, e)) for a in amounts for b in amounts for e in (1.0, -1.0)]
    known = [one for one in found if one[3] is not None]
    assert ("W", "h", 1.0, "h*W") in known and ("m", "s", -1.0, "m/s") in known and ("m", "m", -1.0, "") in known
    for a, b, exponent, spelling in random.Random(1).sample(known, 1_000):
        assert combined_by_pint(a or None, b or None, exponent) == (spelling or None), (a, b, exponent)
    assert [facts.product("V", "m", 0.5), facts.product("K", "", 3.0), facts.product("m", "", 1.0)] == [None, "K", "m"]


@pytest.mark.parametrize("example", ["building", "pump"])
def test_the_examples_need_no_pint(tmp_path: Path, example: str) -> None:
    command = [sys.executable, "-X", "importtime", str(Path(sys.executable).with_name("twinwright"))]
    subprocess.run([*command, "init", str(tmp_path / "w"), "--example", example], capture_output=True, check=True)
    done = subprocess.run([*command, "apply", "-w", str(tmp_path / "w")], capture_output=True, text=True, check=True)
    assert "twinwright.units" in done.stderr and not re.search(r"\| +pint$", done.stderr, re.MULTILINE)
