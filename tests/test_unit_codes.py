"""Units as meaning: what UCUM and QUDT call each DTDL unit is read here by small readers of their own, and must be the same unit."""

from __future__ import annotations

import math
import re

import pytest

from twinwright import units
from twinwright.schema import semantic_types
from twinwright.units import CODES, DTDL_UNITS, canonical, compatible, convert

# In SI base units; UCUM, table of units (ucum.org), with the dimensions that the codes need to be told apart left to pint.
_PREFIXES = {
    "Yi": 2.0**80, "Zi": 2.0**70, "Ei": 2.0**60, "Ti": 2.0**40, "Gi": 2.0**30, "Mi": 2.0**20, "Ki": 2.0**10, "T": 1e12, "G": 1e9,
    "M": 1e6, "k": 1e3, "h": 1e2, "da": 10.0, "c": 1e-2, "d": 0.1, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12,
}  # fmt: skip
_UCUM = {
    "m": 1.0, "s": 1.0, "g": 1e-3, "A": 1.0, "K": 1.0, "cd": 1.0, "rad": 1.0, "lm": 1.0, "lx": 1.0, "N": 1.0, "Pa": 1.0, "J": 1.0,
    "W": 1.0, "V": 1.0, "Ohm": 1.0, "F": 1.0, "C": 1.0, "H": 1.0, "T": 1.0, "Wb": 1.0, "Hz": 1.0, "Bq": 1.0, "Gy": 1.0, "Sv": 1.0,
    "bit": 1.0, "By": 8.0, "B": 1.0, "L": 1e-3, "min": 60.0, "h": 3600.0, "d": 86400.0, "a": 31557600.0, "bar": 1e5, "t": 1e3,
    "eV": 1.602176634e-19, "AU": 149597870700.0, "har": 1e4, "[acr_us]": 4046.872609874252, "[ft_i]": 0.3048, "[in_i]": 0.0254,
    "[mi_i]": 1609.344, "[nmi_i]": 1852.0, "[kn_i]": 1852 / 3600, "[foz_us]": 2.95735295625e-5, "[gal_us]": 3.785411784e-3,
    "[lb_av]": 0.45359237, "[oz_av]": 0.028349523125, "[ston_av]": 907.18474, "[g]": 9.80665, "[lbf_av]": 4.4482216152605,
    "[psi]": 6894.757293168361, "[HP]": 745.6998715822702, "[Btu_IT]": 1055.05585262, "deg": math.pi / 180, "'": math.pi / 10800,
    "''": math.pi / 648000, "circ": 2 * math.pi, "{rev}": 2 * math.pi, "%": 0.01, "[ppm]": 1e-6, "[ppb]": 1e-9, "[pptr]": 1e-12,
    "10*-15": 1e-15, "1": 1.0, "Mx": 1e-8, "G": 1e-4, "P": 0.1, "St": 1e-4, "m[Hg]": 133322.387415, "[in_i'Hg]": 3386.38864034,
    "[in_i'H2O]": 249.08891, "12000": 12000.0,
}  # fmt: skip
_QUDT = {
    "M": "m", "SEC": "s", "GM": "g", "A": "A", "K": "K", "CD": "cd", "RAD": "rad", "LM": "lm", "LUX": "lx", "N": "N", "PA": "Pa",
    "J": "J", "W": "W", "V": "V", "OHM": "Ohm", "FARAD": "F", "C": "C", "H": "H", "T": "T", "WB": "Wb", "HZ": "Hz", "BQ": "Bq",
    "GRAY": "Gy", "SV": "Sv", "BIT": "bit", "BYTE": "By", "B": "B", "L": "L", "MIN": "min", "HR": "h", "DAY": "d", "YR": "a",
    "BAR": "bar", "TONNE": "t", "EV": "eV", "AU": "AU", "HA": "har", "AC": "[acr_us]", "FT": "[ft_i]", "IN": "[in_i]", "MI": "[mi_i]",
    "MI_N": "[nmi_i]", "KN": "[kn_i]", "OZ_VOL_US": "[foz_us]", "GAL_US": "[gal_us]", "LB": "[lb_av]", "G": "[g]", "LB_F": "[lbf_av]",
    "PSI": "[psi]", "HP": "[HP]", "BTU_IT": "[Btu_IT]", "DEG": "deg", "ARCMIN": "'", "ARCSEC": "''", "REV": "circ", "PERCENT": "%",
    "PPM": "[ppm]", "PPB": "[ppb]", "PPTR": "[pptr]", "PPQ": "10*-15", "UNITLESS": "1", "MX": "Mx", "GAUSS": "G", "POISE": "P",
    "ST": "St", "IN_HG": "[in_i'Hg]", "IN_H2O": "[in_i'H2O]", "A_Reactive": "A",
}  # fmt: skip
_QUDT_WHOLE = {
    "MilliM_HG": 133.322387415, "SLUG": 14.593902937206, "FC": 10.763910416709722, "OZ_F": 0.27801385095378125,
    "TON_F_US": 8896.443230521, "TON_FG": 3516.8528420667,
}  # fmt: skip
_QUDT_PREFIXES = {
    "Yobi": 2.0**80, "Zebi": 2.0**70, "Exbi": 2.0**60, "Tebi": 2.0**40, "Gibi": 2.0**30, "Mebi": 2.0**20, "Kibi": 2.0**10,
    "Tera": 1e12, "Giga": 1e9, "Mega": 1e6, "Kilo": 1e3, "Hecto": 1e2, "Deca": 10.0, "Centi": 1e-2, "Deci": 0.1, "Milli": 1e-3,
    "Micro": 1e-6, "Nano": 1e-9, "Pico": 1e-12,
}  # fmt: skip
_POINTS = {"degreeCelsius", "degreeFahrenheit"}


def _ucum_atom(text: str) -> float:
    match = re.fullmatch(r"(.*?)(-?\d+)?", text) if text not in _UCUM else None
    base, exponent = (match[1], int(match[2] or 1)) if match else (text, 1)
    if base in _UCUM:
        return _UCUM[base] ** exponent
    prefix = next(name for name in _PREFIXES if base.startswith(name) and base[len(name) :] in _UCUM)
    return (_PREFIXES[prefix] * _UCUM[base[len(prefix) :]]) ** exponent


def _ucum_factor(code: str) -> float:
    over, *under = code.split("/")
    result = math.prod(_ucum_atom(part) for part in over.split(".") if part)
    return result / math.prod(_ucum_atom(part) for group in under for part in group.split("."))


def _qudt_factor(name: str) -> float:
    if name in _QUDT_WHOLE:
        return _QUDT_WHOLE[name]
    over, _, under = name.partition("PER-")
    parts = [*((part, 1) for part in over.split("-") if part), *((part, -1) for part in under.split("-") if part)]
    result = 1.0
    for part, sign in parts:
        base, exponent = (part[:-1], int(part[-1])) if part[-1].isdigit() else (part, 1)
        prefix = next((word for word in _QUDT_PREFIXES if base not in _QUDT and base.startswith(word)), "")
        result *= (_QUDT_PREFIXES.get(prefix, 1.0) * _UCUM[_QUDT[base[len(prefix) :]]]) ** (exponent * sign)
    return result


def _si_factor(name: str) -> float:
    """What one of a unit is in SI base units, by pint (bits, bels and turns apart, which count as in the tables here)."""
    from twinwright.units.conversion import _registry

    spelling = DTDL_UNITS[name]
    return 1.0 if spelling is None else float((1 * _registry().parse_units(spelling)).to_base_units().magnitude)


def test_every_unit_of_every_edition_has_its_codes() -> None:
    named = frozenset().union(*(semantic_types.units(edition) for edition in semantic_types.EDITIONS))
    assert named == CODES.keys() == DTDL_UNITS.keys()


@pytest.mark.parametrize("name", sorted(CODES.keys() - _POINTS))
def test_the_codes_of_ucum_and_qudt_are_that_unit(name: str) -> None:
    expected = _si_factor(name)
    assert _ucum_factor(CODES[name].ucum) == pytest.approx(expected, rel=2e-5)
    assert _qudt_factor(CODES[name].qudt) == pytest.approx(expected, rel=2e-5)


def test_a_code_that_is_one_digit_beside_is_found_out() -> None:
    assert _ucum_factor("[gal_us]/h") != pytest.approx(_si_factor("gallonPerMinute"), rel=2e-5)
    assert _qudt_factor("MilliM3-PER-SEC") != pytest.approx(_si_factor("millilitrePerSecond"), rel=2e-5)


@pytest.mark.parametrize("edition", semantic_types.EDITIONS)
def test_every_unit_converts_to_the_others_of_its_unit_type_and_back(edition: int) -> None:
    for unit_type, names in semantic_types.unit_types(edition).items():
        base = DTDL_UNITS[min(names)]
        for name in names:
            assert compatible(DTDL_UNITS[name], base), (unit_type, name)
            for value in (0.0, 1.0, -12.5):
                there = convert(value, DTDL_UNITS[name], base)
                assert convert(there, base, DTDL_UNITS[name]) == pytest.approx(value, rel=1e-12, abs=1e-9), (unit_type, name)


def test_the_dimension_of_a_semantic_type_is_that_of_its_quantity() -> None:
    si = {
        "AccelerationUnit": "m/s**2", "AngleUnit": "rad", "AngularAccelerationUnit": "rad/s**2", "AngularVelocityUnit": "rad/s",
        "ApparentEnergyUnit": "J", "ApparentPowerUnit": "W", "AreaUnit": "m**2", "CapacitanceUnit": "F", "ChargeUnit": "C",
        "CurrentUnit": "A", "DataRateUnit": "bit/s", "DataSizeUnit": "bit", "DensityUnit": "kg/m**3", "DynamicViscosityUnit": "Pa*s",
        "EnergyUnit": "J", "ForceUnit": "N", "FrequencyUnit": "Hz", "GasLeakageRateUnit": "Pa*m**3/s", "IlluminanceUnit": "lx",
        "InductanceUnit": "H", "IonizingRadiationDoseUnit": "J/kg", "IrradianceUnit": "W/m**2", "KinematicViscosityUnit": "m**2/s",
        "LengthUnit": "m", "LuminanceUnit": "cd/m**2", "LuminousFluxUnit": "lm", "LuminousIntensityUnit": "cd",
        "MagneticFluxUnit": "Wb", "MagneticInductionUnit": "T", "MassFlowRateUnit": "kg/s", "MassUnit": "kg", "PowerUnit": "W",
        "PressureUnit": "Pa", "RadioactivityUnit": "Bq", "ReactiveEnergyUnit": "J", "ReactivePowerUnit": "W",
        "ReciprocalLengthUnit": "1/m", "ReciprocalTimeUnit": "1/s", "ResistanceUnit": "ohm", "SoundPressureUnit": "dB",
        "TemperatureUnit": "K", "TimeUnit": "s", "TorqueUnit": "N*m", "Unitless": None, "VelocityUnit": "m/s", "VoltageUnit": "V",
        "VolumeFlowRateUnit": "m**3/s", "VolumeUnit": "m**3",
    }  # fmt: skip
    assert si.keys() == semantic_types.unit_types(3).keys()
    for unit_type, names in semantic_types.unit_types(3).items():
        assert all(compatible(DTDL_UNITS[name], si[unit_type]) for name in names), unit_type


@pytest.mark.parametrize(
    ("written", "spelling"),
    [
        ("unit:M", "m"), ("unit:B", "bel"), ("unit:KiloW-HR", "kWh"), ("http://qudt.org/vocab/unit/GAL_US-PER-HR", "gal/h"),
        ("V-A_Reactive", "var"), ("kV.A", "kVA"), ("[lbf_av]", "lbf"), ("k[Btu_IT]/h", "kBtu/h"), ("mm[Hg]", "mmHg"), ("[pptr]", "ppt"),
    ],
)  # fmt: skip
def test_names_of_other_vocabularies_are_read(written: str, spelling: str) -> None:
    assert canonical(written) == canonical(spelling)


def test_codes_are_public() -> None:
    assert units.CODES["kilopascal"] == units.Codes("kPa", "KiloPA")
