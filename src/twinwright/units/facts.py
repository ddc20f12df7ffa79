"""What pint says of the units that are met most, so that a process which meets no others starts without it.

Building pint's registry costs half a second. The rows are pint's own answers, written by `python -m twinwright.units.tabulate`; a
test asks pint again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from twinwright.units.facts_rows import ROWS


@dataclass(frozen=True, slots=True)
class Facts:
    """A unit as conversions see it: values times `factor` are in pint's root units of its dimension.

    `bits` and `turns` are the exponents of these two, which pint counts as dimensionless; `scale` is pint's name of a unit that
    stands alone, which finds the temperature scales; `has_offset`: its zero is not nothing; `symbol` is for people.
    """

    dimension: str
    factor: float
    bits: float
    turns: float
    is_cycles: bool
    has_offset: bool
    scale: str
    symbol: str


def _read(row: str) -> tuple[str, Facts, list[str]]:
    spelling, dimension, factor, bits, turns, flags, scale, symbol, *names = row.split("|")
    return spelling, Facts(dimension, float(factor), float(bits), float(turns), "c" in flags, "o" in flags, scale, symbol), names


_TABLE = [_read(row) for row in ROWS.splitlines() if row]
FACTS: Final[Mapping[str, Facts]] = MappingProxyType({spelling: facts for spelling, facts, _ in _TABLE})
# Of each text that a user may write, the one spelling.
SPELLINGS: Final[Mapping[str, str | None]] = MappingProxyType(
    {name: spelling or None for spelling, _, names in _TABLE for name in (spelling, *names) if name}
)

_FACTOR = re.compile(r"(?:^|([*/]))([^*/]+)(?:\*\*([\d.]+))?")


def product(a: str, b: str, exponent: float) -> str | None:
    """The spelling of a * b ** exponent (`""` is dimensionless); None where the table has one of them not."""
    if a not in FACTS or b not in FACTS:
        return None
    total = dict(_factors(a))
    for name, power in _factors(b):
        total[name] = total.get(name, 0.0) + power * exponent
    return _by_factors().get(frozenset((name, power) for name, power in total.items() if power))


@cache
def _by_factors() -> Mapping[frozenset[tuple[str, float]], str]:
    return {_factors(spelling): spelling for spelling in FACTS}


def _factors(spelling: str) -> frozenset[tuple[str, float]]:
    """The units in `W/K/m**2`, each with its exponent."""
    found = _FACTOR.findall(spelling)
    return frozenset((name, (-1.0 if sign == "/" else 1.0) * float(power or 1)) for sign, name, power in found if name != "1")
