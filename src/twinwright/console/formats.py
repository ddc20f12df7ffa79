"""Numbers, durations and names as people read them; each with its unit."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from twinwright.clock import from_iso

DIMENSIONLESS: Final = "no unit"
_NARROW: Final = "\u202f"  # a narrow space that does not break, between groups of digits
_STEPS: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def number(value: Any, digits: int = 4) -> str:
    """To `digits` significant digits, thousands apart; a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", _NARROW)
    if not isinstance(value, float):
        return str(value)
    size = abs(value)
    if size != 0 and (size >= 1e7 or size < 1e-4):
        return f"{value:.{digits - 1}e}".replace("-", "−")
    places = max(0, digits - 1 - (math.floor(math.log10(size)) if size else 0))
    text = f"{value:,.{min(places, 8)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace(",", _NARROW).replace("-", "−")


def quantity(value: Any, unit: str | None, digits: int = 4) -> str:
    """A number and its unit."""
    return f"{number(value, digits)}\u00a0{unit_name(unit)}" if unit and value is not None else number(value, digits)


def unit_name(unit: str | None) -> str:
    """A unit as people write it: `°C` for `degC`, `V^0.5/s` for `V**0.5/s`; DIMENSIONLESS where there is none."""
    if unit is None:
        return DIMENSIONLESS
    return re.sub(r"\bdeg(?=[CF]\b)", "°", unit).replace("**", "^").replace("percent", "%")


def duration(seconds: float | None) -> str:
    """`4.2 s`, `3 min`, `2.5 h`, `12 d`."""
    if seconds is None:
        return "–"
    for size, unit in _STEPS:
        if abs(seconds) >= 2 * size:
            return quantity(seconds / size, unit, 2 if abs(seconds) < 100 * size else 3)
    return quantity(float(seconds), "s", 3)


def share(value: float | None) -> str:
    """A part of one as a percentage."""
    return "–" if value is None else quantity(100.0 * value, "%", 3)


def kpi_value(kpi: dict[str, Any]) -> str:
    """The value of a KPI in the form its unit asks for."""
    if kpi["unit"] == "s":
        return duration(kpi["value"])
    return share(kpi["value"]) if kpi["unit"] == "1" else quantity(kpi["value"], kpi["unit"])


def kpi_target(name: str, kpi: dict[str, Any]) -> str:
    """What the KPI should be."""
    sign = "≥" if name.endswith("success") else "≤"
    return f"{sign} {duration(kpi['target']) if kpi['unit'] == 's' else share(kpi['target'])}"


def title(name: str) -> str:
    """`motor/speed_set` as `Motor / speed set`, `freshness.pump` as `Freshness · pump`."""
    text = name.replace("_", " ").replace("/", " / ").replace(".", " · ")
    return text[:1].upper() + text[1:]


def interface(dtmi: str) -> str:
    """The last name of a DTMI with its version: `Pump v1`."""
    name, _, version = dtmi.rpartition(":")[2].partition(";")
    return f"{name} v{version}" if version else name


def milliseconds(iso: str) -> float:
    """Milliseconds since 1970, as charts count."""
    return from_iso(iso) / 1_000
