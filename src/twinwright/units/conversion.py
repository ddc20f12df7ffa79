"""One spelling of a unit for what users, DTDL, QUDT and UCUM write, and the conversions between units.

The definitions are pint's. What is added here: names of the vocabularies, a guard on what is handed to the parser, and two
kinds of confusion that pint lets pass: hertz (cycles) with angular velocity, and decibels with plain numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from twinwright.errors import UnitError
from twinwright.units import facts as table
from twinwright.units.codes import FROM_QUDT, FROM_UCUM
from twinwright.units.facts import FACTS, SPELLINGS, Facts
from twinwright.units.vocabulary import DTDL_UNITS, OTHER_NAMES

if TYPE_CHECKING:
    import pint

T = TypeVar("T")
MAX_LENGTH = 200
MAX_EXPONENT = 16
MAX_NESTING = 8

_NAME = r"(?:[^\W\d]|[°%µμΩÅΔ$])[\w°%µμΩÅΔ$]*"
_EXPONENT = r"[+-]?\d{1,2}(?:\.\d{1,6})?"
_TOKEN = re.compile(
    rf"\s*(?:(?P<power>(?:\*\*|\^)\s*(?:{_EXPONENT}|\(\s*{_EXPONENT}(?:\s*/\s*\d{{1,2}})?\s*\)))"
    rf"|(?P<name>{_NAME})|(?P<raised>[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{{1,2}})|(?P<one>1(?![\w.]))|(?P<sign>\*(?!\*)|[/·()]))"
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")

# Points on the temperature scales in kelvin: K = value * factor + offset (exact by definition, SI brochure 2.3.1).
_KELVIN = {
    "kelvin": (Fraction(1), Fraction(0)),
    "degree_Celsius": (Fraction(1), Fraction(27315, 100)),
    "degree_Fahrenheit": (Fraction(5, 9), Fraction(45967, 100) * Fraction(5, 9)),
    "degree_Rankine": (Fraction(5, 9), Fraction(0)),
}

_DEFINITIONS = (
    "gauss = 1e-4 * tesla = G",
    "maxwell = 1e-8 * weber = Mx",
    "bel = [level]",
    "decibel = 0.1 * bel = dB",
    "volt_ampere_reactive = volt * ampere = var",
    "parts_per_billion = 1e-9 = ppb",
    "parts_per_trillion = 1e-12 = ppt",
    "parts_per_quadrillion = 1e-15 = ppq",
    "footcandle = lumen / foot ** 2 = fc",
)

# Short forms that are right but would be misread, or don't survive a round trip.
_SPELLINGS = {"a": "year", "%": "percent", "d": "day", "t": "tonne", "degC": "degC", "deg": "degree"}


_SYMBOLS = {"percent": "%", "year": "a", "day": "d", "tonne": "t"}

_FOREIGN = re.compile(r"[-\[\]'{}.]")  # in codes of UCUM and QUDT, in no name of pint
_QUDT_PREFIX = re.compile(r"^(?:unit:|https?://qudt\.org/vocab/unit/)")


@dataclass(frozen=True, slots=True)
class Affine:
    """The map x -> x * factor + offset between two units of one dimension."""

    factor: float
    offset: float

    @property
    def is_identity(self) -> bool:
        """Whether nothing is changed."""
        return self.factor == 1.0 and self.offset == 0.0

    def apply(self, values: T) -> T:
        """The values (a number or a NumPy array) in the other unit; the very same object when nothing changes."""
        if self.is_identity:
            return values
        given: Any = values
        scaled = given if self.factor == 1.0 else given * self.factor
        result: T = scaled if self.offset == 0.0 else scaled + self.offset
        return result

    def sql(self, expression: str) -> str:
        """The same map as a DuckDB expression around `expression` (which must be SQL already)."""
        scaled = expression if self.factor == 1.0 else f"({expression}) * {self.factor!r}::DOUBLE"
        return scaled if self.offset == 0.0 else f"({scaled}) + {self.offset!r}::DOUBLE"


_IDENTITY = Affine(1.0, 0.0)


@lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry[Any]:
    # Imported here because it costs tenths of a second, which a command that meets no unit should not pay.
    import pint

    registry: pint.UnitRegistry[Any] = pint.UnitRegistry(on_redefinition="ignore")
    for definition in _DEFINITIONS:
        registry.define(definition)
    registry._build_cache()  # else decibel, gauss and maxwell keep the root units of pint's own definitions
    return registry


def canonical(unit: str | None, *, where: str | None = None) -> str | None:
    """The one spelling, which pint parses, of a unit as a user writes it; None for dimensionless (`1`, empty, None).

    Reads pint expressions (`kPa`, `V**0.5/s`, `l/min`, `%`), DTDL unit names (`degreeCelsius`), and common names of QUDT
    and UCUM. `g` is the gram. Where a name means one thing to pint and another to DTDL (`pound`, `ounce`, `ton`) pint wins:
    `dtdl_unit` reads those of DTDL documents. Raises UnitError naming near matches.
    """
    if unit is None:
        return None
    if not isinstance(unit, str):
        raise UnitError(f"a unit is text, not {type(unit).__name__}", where=where, remedy="Write it as kPa, degC, l/min ...")
    try:
        return _canonical(unit.strip())
    except UnitError as error:
        raise UnitError(error.what, where=where, remedy=error.remedy) from None


def dtdl_unit(name: str, *, where: str | None = None) -> str | None:
    """The canonical spelling of a unit named in a DTDL document (`pound` is a force there). Raises UnitError."""
    if name not in DTDL_UNITS:
        remedy = _suggestion(name, DTDL_UNITS)
        raise UnitError(f"'{name[:80]}' is not a DTDL unit", where=where, remedy=remedy)
    return DTDL_UNITS[name]


def compatible(a: str | None, b: str | None) -> bool:
    """Whether values can be converted between the two units. Raises UnitError where one of them is unknown."""
    try:
        _converter(canonical(a), canonical(b))
    except _DimensionError:
        return False
    return True


def converter(from_unit: str | None, to_unit: str | None) -> Affine:
    """The map from one unit to the other; temperatures convert as points on their scales. Raises UnitError."""
    if from_unit == to_unit:
        return _IDENTITY
    return _converter(canonical(from_unit), canonical(to_unit))


def convert(values: T, from_unit: str | None, to_unit: str | None) -> T:
    """The values (a number or a NumPy array) in the other unit. Raises UnitError."""
    return converter(from_unit, to_unit).apply(values)


def check_dimension(unit: str | None, expected_unit: str | None, *, where: str | None = None) -> None:
    """Raises UnitError unless `unit` is known and converts to `expected_unit`."""
    try:
        _converter(canonical(unit), canonical(expected_unit))
    except UnitError as error:
        raise UnitError(error.what, where=where, remedy=error.remedy) from None


def product(a: str | None, b: str | None) -> str | None:
    """The unit of the product of values in two units. Raises UnitError."""
    return _combined(canonical(a), canonical(b), 1.0)


def quotient(a: str | None, b: str | None) -> str | None:
    """The unit of the quotient of values in two units. Raises UnitError."""
    return _combined(canonical(a), canonical(b), -1.0)


def power(unit: str | None, exponent: float) -> str | None:
    """The unit of a value raised to a power. Raises UnitError."""
    return _combined(None, canonical(unit), exponent)


def is_offset(unit: str | None) -> bool:
    """Whether zero in this unit is not nothing (degC, degF), so that its values are points and no amounts. Raises UnitError."""
    return _facts(canonical(unit)).has_offset


def symbol(unit: str | None) -> str:
    """A short form for people: `kPa`, `°C`, `m³/h`; empty for dimensionless. Raises UnitError."""
    return _facts(canonical(unit)).symbol


class _DimensionError(UnitError):
    """Two known units that can't be converted."""


@lru_cache(maxsize=4096)
def _canonical(text: str) -> str | None:
    if len(text) > MAX_LENGTH:
        raise UnitError(f"a unit of {len(text)} characters", remedy=f"At most {MAX_LENGTH} characters are read")
    if text in ("", "1"):
        return None
    return SPELLINGS[text] if text in SPELLINGS else spelled_by_pint(text)


def spelled_by_pint(text: str) -> str | None:
    """The one spelling of a unit that the table does not have. Raises UnitError."""
    name = _QUDT_PREFIX.sub("", text)
    if name != text and name in FROM_QUDT:
        return DTDL_UNITS[FROM_QUDT[name]]
    if name in OTHER_NAMES:
        spelling = OTHER_NAMES[name]
        return None if spelling is None else spelled_by_pint(spelling)
    known = FROM_QUDT.get(name) or FROM_UCUM.get(name)
    if known is not None and _FOREIGN.search(name):
        return DTDL_UNITS[known]
    parsed = _parse(name)
    if parsed is None:
        if name in DTDL_UNITS:
            return dtdl_unit(name)
        if known is not None:  # after pint: `M` is no metre to users, `B` no bel
            return DTDL_UNITS[known]
        raise UnitError(f"'{text}' is not a known unit", remedy=_suggestion(name, [*DTDL_UNITS, *OTHER_NAMES, *_registry()]))
    return _spell(parsed)


def _parse(text: str) -> Any | None:
    """The pint unit of a guarded expression, or None where a name in it is unknown."""
    _guard(text)
    try:
        unit = _registry().parse_units(text.replace("%", " percent ").strip())
        _registry().get_root_units(unit)
    except Exception:  # noqa: BLE001 - of text that is no unit pint, and the tokenizer below it, raise no closed set
        return None
    return unit


def _guard(text: str) -> None:
    """Admit names, products, quotients and small literal exponents only: whatever is evaluated stays small."""
    position, nesting, after_operand = 0, 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match or ((match["power"] or match["raised"]) and not after_operand):
            raise UnitError(
                f"'{text}' is not a unit at '{text[position:][:20].strip()}'", remedy="Write names with *, / and ** such as m**3/h"
            )
        nesting += {"(": 1, ")": -1}.get(match["sign"] or "", 0)
        if nesting > MAX_NESTING or any(float(number) > MAX_EXPONENT for number in _NUMBER.findall(match["power"] or "")):
            raise UnitError(
                f"'{text}' is too large an expression", remedy=f"Exponents up to {MAX_EXPONENT}, {MAX_NESTING} parentheses deep"
            )
        after_operand = bool(match["name"] or match["one"] or match["sign"] == ")")
        position = match.end()
        if not text[position:].strip():
            break


def _spell(unit: Any) -> str | None:
    """The short ASCII form where it reads back as the same unit, else pint's long one."""
    if not unit._units:
        return None
    short = f"{unit:~C}".replace("Δ°", "delta_deg").replace("°", "deg").replace("µ", "u").replace("Ω", "ohm")
    short = _SPELLINGS.get(short, short)
    if short.isascii():
        again = _parse(short)
        if again is not None and again == unit and again._units == unit._units:
            return short
    return f"{unit:C}"


@lru_cache(maxsize=4096)
def _combined(a: str | None, b: str | None, exponent: float) -> str | None:
    for spelling in (a, b):
        if is_offset(spelling):
            raise UnitError(f"'{spelling}' has a zero of its own: its values can't be multiplied", remedy="Convert to K first")
    known = table.product(a or "", b or "", exponent)
    return combined_by_pint(a, b, exponent) if known is None else known or None


def combined_by_pint(a: str | None, b: str | None, exponent: float) -> str | None:
    """The unit of a * b ** exponent where the table does not have it."""
    registry = _registry()
    unit = registry.parse_units(a or "") * registry.parse_units(b or "") ** (int(exponent) if exponent == int(exponent) else exponent)
    spelling = _spell(unit)
    return None if spelling is None else _canonical(spelling)


@lru_cache(maxsize=4096)
def _converter(source: str | None, target: str | None) -> Affine:
    if source == target:
        return _IDENTITY
    a, b = _facts(source), _facts(target)
    if (a.dimension, a.bits) != (b.dimension, b.bits):
        raise _DimensionError(
            f"{_called(source)} [{a.dimension}] can't be converted to {_called(target)} [{b.dimension}]",
            remedy="Use units of one dimension",
        )
    if a.is_cycles != b.is_cycles and a.turns != b.turns:
        raise _DimensionError(
            f"{_called(source)} can't be converted to {_called(target)}: one counts cycles, the other angle",
            remedy="Write revolutions as turn/s or rpm on both sides, or hertz on both",
        )
    scale_a, scale_b = _KELVIN.get(a.scale), _KELVIN.get(b.scale)
    if scale_a and scale_b:
        (factor_a, offset_a), (factor_b, offset_b) = scale_a, scale_b
        return Affine(float(factor_a / factor_b), float((offset_a - offset_b) / factor_b))
    for facts, spelling in ((a, source), (b, target)):
        if facts.has_offset and facts.scale not in _KELVIN:
            raise _DimensionError(f"'{spelling}' has no linear conversion", remedy="Use kelvin, degC or degF, or a linear unit")
    return Affine(_tidy(a.factor / b.factor), 0.0)


def _facts(spelling: str | None) -> Facts:
    known = FACTS.get(spelling or "")
    return derived_by_pint(spelling or "") if known is None else known


@lru_cache(maxsize=4096)
def derived_by_pint(spelling: str) -> Facts:
    """What pint knows of a unit in its one spelling."""
    registry = _registry()
    unit: Any = registry.parse_units(spelling)
    names = dict(unit._units)
    factor, root = registry.get_root_units(unit)
    roots: dict[str, Any] = dict(root._units)
    amount: Any = factor
    return Facts(
        dimension=_dimension(dict(unit.dimensionality)),
        factor=float(amount),
        bits=float(roots.get("bit", 0)),
        turns=float(roots.get("radian", 0)),
        is_cycles=any(name.endswith("hertz") for name in names),
        has_offset=any(not registry._units[name].is_multiplicative for name in names),
        scale=next(iter(names)) if len(names) == 1 and set(names.values()) == {1} else "",
        symbol=_SYMBOLS.get(spelling) or f"{unit:~P}",
    )


def _dimension(exponents: dict[str, float]) -> str:
    """One text for a dimension, whatever the order in which it came about."""

    def factors(sign: int) -> list[str]:
        raised = ((name, sign * exponent) for name, exponent in sorted(exponents.items()) if sign * exponent > 0)
        return [name if exponent == 1 else f"{name} ** {exponent:g}" for name, exponent in raised]

    if not exponents:
        return "dimensionless"
    return " / ".join([" * ".join(factors(1)) or "1", *factors(-1)])


def _tidy(factor: float) -> float:
    """The decimal that a factor stands for where floating point left it an ulp or two beside (0.30479999999999996 ft/m)."""
    near = float(f"{factor:.14g}")
    return near if near and abs(near - factor) <= 4 * 2.220446049250313e-16 * abs(factor) else factor


def _called(spelling: str | None) -> str:
    return f"'{spelling}'" if spelling else "a dimensionless value"


def _suggestion(name: str, known: Any) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), 3, 0.6)
    return f"Did you mean {', '.join(near)}?" if near else "Write a unit as kPa, degC, l/min, V**0.5/s, or a DTDL unit name"
