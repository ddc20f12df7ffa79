"""Engineering units of OPC UA (Part 8, section 5.6.4): the common codes of UN/ECE Recommendation 20, and the DTDL units they are.

`UnitId` is the code's characters, one a byte: 4408652 is `CEL`, the degree Celsius. A unit for which DTDL has none of its quantity
(conductivity, plain percentages) is not in these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twinwright import units

NAMESPACE: Final = "http://www.opcfoundation.org/UA/units/un/cefact"

DIMENSIONLESS: Final = "C62"

DTDL: Final[Mapping[str, str]] = {
    "2A": "radianPerSecond", "2B": "radianPerSecondSquared", "2I": "britishThermalUnitPerHour", "2L": "cubicFootPerMinute",
    "2M": "centimetrePerSecond", "2N": "decibel", "2Q": "kilobecquerel", "2Z": "millivolt", "3B": "megajoule",
    "40": "millilitrePerSecond", "41": "millilitrePerMinute", "4H": "micrometre", "4K": "milliampere", "4N": "megabecquerel",
    "4O": "microfarad", "4T": "picofarad", "4U": "massPoundPerHour", "59": "partsPerMillion", "61": "partsPerBillion", "76": "gauss",
    "81": "henry", "A12": "astronomicalUnit", "A24": "candelaPerSquareMetre", "A53": "electronvolt", "A86": "gigahertz",
    "A90": "gigawatt", "A93": "gramPerCubicMetre", "A95": "gray", "A97": "hectopascal", "A99": "bit", "ACR": "acre", "AD": "byte",
    "AMH": "ampereHour", "AMP": "ampere", "ANN": "year", "B10": "bitPerSecond", "B22": "kiloampere", "B30": "gibibit", "B49": "kiloohm",
    "B65": "maxwell", "B71": "megaelectronvolt", "B75": "megaohm", "B78": "megavolt", "B84": "microampere", "B90": "microhenry",
    "B98": "microsecond", "BAR": "bar", "BQL": "becquerel", "BTU": "britishThermalUnit", "C10": "millifarad", "C13": "milligray",
    "C14": "millihenry", "C21": "kibibit", "C26": "millisecond", "C28": "millisievert", "C31": "milliwatt", "C41": "nanofarad",
    "C45": "nanometre", "C47": "nanosecond", "C78": "pound", "C79": "kilovoltAmpereHour", "C81": "radian", "CDL": "candela",
    "CEL": "degreeCelsius", "CMK": "squareCentimetre", "CMQ": "cubicCentimetre", "CMT": "centimetre", "COU": "coulomb",
    "D11": "mebibit", "D13": "sievert", "D32": "terawattHour", "D33": "tesla", "D44": "voltAmpereReactive", "D46": "voltAmpere",
    "D54": "wattPerSquareMetre", "D61": "minuteOfArc", "D62": "secondOfArc", "D80": "microwatt", "D82": "microvolt", "DAY": "day",
    "DD": "degreeOfArc", "E09": "milliampereHour", "E32": "litrePerHour", "E45": "milliohm", "E59": "exbibyte", "E61": "tebibyte",
    "E62": "gibibyte", "E63": "mebibyte", "E64": "kibibyte", "E93": "kilogramPerHour", "E96": "degreePerSecond", "F13": "slug",
    "F27": "gramPerHour", "F29": "gramPerSecond", "F78": "inchesOfWater", "F79": "inchesOfMercury", "FAH": "degreeFahrenheit",
    "FAR": "farad", "FOT": "foot", "FTK": "squareFoot", "FTQ": "cubicFoot", "G2": "gallonPerMinute", "G50": "gallonPerHour",
    "G51": "litrePerSecond", "G53": "cubicMetrePerMinute", "G55": "millilitrePerHour", "GBQ": "gigabecquerel", "GLL": "gallon",
    "GP": "milligramPerCubicMetre", "GQ": "microgramPerCubicMetre", "GRM": "gram", "GV": "gigajoule", "GWH": "gigawattHour",
    "H75": "decapascal", "HAR": "hectare", "HM": "milePerHour", "HN": "millimetresOfMercury", "HTZ": "hertz", "HUR": "hour",
    "INH": "inch", "INK": "squareInch", "INQ": "cubicInch", "JOU": "joule", "K3": "kilovoltAmpereReactiveHour", "K40": "gForce",
    "K5": "kilovoltAmpereReactive", "KEL": "kelvin", "KGM": "kilogram", "KGS": "kilogramPerSecond", "KHZ": "kilohertz",
    "KJO": "kilojoule", "KMH": "kilometrePerHour", "KMK": "squareKilometre", "KMQ": "kilogramPerCubicMetre", "KMT": "kilometre",
    "KNT": "knot", "KPA": "kilopascal", "KVA": "kilovoltAmpere", "KVR": "kilovoltAmpereReactive", "KVT": "kilovolt",
    "KWH": "kilowattHour", "KWT": "kilowatt", "L2": "litrePerMinute", "LBR": "massPound", "LTR": "litre", "LUM": "lumen", "LUX": "lux",
    "M35": "millivoltAmpere", "M39": "centimetrePerSecondSquared", "M44": "turn", "M46": "revolutionPerMinute", "M58": "milePerSecond",
    "M60": "metrePerHour", "M62": "kilometrePerSecond", "M72": "bel", "MAH": "megavoltAmpereReactiveHour", "MAW": "megawatt",
    "MBR": "millibar", "MC": "microgram", "MGM": "milligram", "MHZ": "megahertz", "MIN": "minute", "MLT": "millilitre",
    "MMK": "squareMillimetre", "MMT": "millimetre", "MQH": "cubicMetrePerHour", "MQS": "cubicMetrePerSecond",
    "MSK": "metrePerSecondSquared", "MTK": "squareMetre", "MTQ": "cubicMetre", "MTR": "metre", "MTS": "metrePerSecond",
    "MTZ": "millihertz", "MVA": "megavoltAmpere", "MWH": "megawattHour", "NEW": "newton", "NMI": "nauticalMile", "NU": "newtonMetre",
    "OHM": "ohm", "OZA": "fluidOunce", "P14": "joulePerSecond", "P16": "joulePerHour", "P18": "kilojoulePerSecond",
    "P20": "kilojoulePerHour", "P27": "footcandle", "P93": "bytePerSecond", "PAL": "pascal", "PS": "poundPerSquareInch",
    "RPM": "revolutionPerMinute", "RPS": "revolutionPerSecond", "SEC": "second", "SMI": "mile", "TNE": "tonne", "VLT": "volt",
    "WEB": "weber", "WHR": "wattHour", "WTT": "watt",
}  # fmt: skip

# Units that DTDL lacks, in our spelling, and a DTDL unit that they are converted to.
CONVERTED: Final[Mapping[str, tuple[str, str]]] = {
    "74": ("mPa", "pascal"), "ATM": ("atm", "kilopascal"), "B47": ("kN", "newton"), "B48": ("kN*m", "newtonMetre"),
    "C20": ("mN", "newton"), "C25": ("mrad", "radian"), "D83": ("mN*m", "newtonMetre"), "MPA": ("MPa", "kilopascal"),
    "UA": ("torr", "millimetresOfMercury"),
}  # fmt: skip


def code_of(unit_id: int) -> str | None:
    """The UN/ECE code of a `UnitId`; None where it is none."""
    if not 0 < unit_id < 1 << 24:
        return None
    text = unit_id.to_bytes(3, "big").lstrip(b"\0").decode("latin-1")
    return text if text.isalnum() and text.isascii() else None


def unit_of(code: str) -> tuple[str, str] | None:
    """The unit in which a source with that code measures, and the name of the DTDL unit for the property; None where unknown."""
    if code in CONVERTED:
        return CONVERTED[code]
    name = DTDL.get(code)
    unit = units.DTDL_UNITS[name] if name is not None else None
    return None if name is None or unit is None else (unit, name)
