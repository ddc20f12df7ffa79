"""Units of measurement: names of DTDL, QUDT and UCUM, one spelling for each unit, and conversions of whole columns."""

from twinwright.units.codes import CODES, Codes
from twinwright.units.conversion import (
    Affine,
    canonical,
    check_dimension,
    compatible,
    convert,
    converter,
    dtdl_unit,
    is_offset,
    power,
    product,
    quotient,
    symbol,
)
from twinwright.units.vocabulary import DTDL_UNITS, OTHER_NAMES

__all__ = [
    "CODES",
    "DTDL_UNITS",
    "OTHER_NAMES",
    "Affine",
    "Codes",
    "canonical",
    "check_dimension",
    "compatible",
    "convert",
    "converter",
    "dtdl_unit",
    "is_offset",
    "power",
    "product",
    "quotient",
    "symbol",
]
