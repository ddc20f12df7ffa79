"""How long raw history is kept, by interface and path, and at which widths its roll-ups: `[retention.history]` of `twinwright.toml`.

    [retention.history]
    "*" = {raw = "P30D", minutes = "P365D"}
    "pressure" = {raw = "P90D"}
    "dtmi:example:Pump;1" = {raw = "P60D", hours = "P3650D"}
    "dtmi:example:Pump;1 pressure" = {raw = "P7D", minutes = "P30D"}

The most special rule holds: interface and path, then interface, then path, then `*`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from pydantic import Field, field_validator, model_validator

from twinwright.clock import HOUR, SECOND, parse_duration
from twinwright.documents import Document, Problems, Spec
from twinwright.errors import UsageError
from twinwright.schema import Ontology

DAY: Final = 24 * HOUR
WIDTHS: Final[Mapping[str, int]] = {"minutes": 60 * SECOND, "hours": HOUR}
_LONGEST: Final = 36_525 * DAY


class HistoryRetention(Spec):
    """How long values are kept as they came, and rolled up (count, sum, least, greatest, first, last) by minute and hour."""

    raw: str = Field(description="values as they came: a day at least")
    minutes: str | None = Field(default=None, description="roll-ups by minute: longer than `raw`")
    hours: str | None = Field(default=None, description="roll-ups by hour: longer than `raw` and `minutes`")

    @field_validator("raw", "minutes", "hours")
    @classmethod
    def _is_a_duration(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                length = parse_duration(text)
            except (UsageError, OverflowError) as error:
                raise ValueError(str(error)) from None
            if not DAY <= length <= _LONGEST:
                raise ValueError(f"'{text}' is not between P1D and P36525D")
        return text

    @model_validator(mode="after")
    def _grows(self) -> HistoryRetention:
        given = [(name, parse_duration(text)) for name in ("raw", *WIDTHS) if (text := getattr(self, name)) is not None]
        for (shorter, one), (longer, other) in pairwise(given):
            if other <= one:
                raise ValueError(f"`{longer}` has to be longer than `{shorter}`: it takes its place")
        return self

    @property
    def keeps(self) -> dict[str, int]:
        """Microseconds for `raw` and each width."""
        return {name: parse_duration(text) for name in ("raw", *WIDTHS) if (text := getattr(self, name)) is not None}


Rules = Mapping[str, HistoryRetention]


def rule_of(rules: Rules, names: Sequence[tuple[str, str]]) -> HistoryRetention | None:
    """The rule that holds for a path, which has these names (interface, path), the newest version's first: the most specific there is, of
    the newest. None: it is kept for ever."""
    every = [[f"{interface} {path}" for interface, path in names], [one for one, _ in names], [path for _, path in names], ["*"]]
    return next((rules[key] for keys in every for key in keys if key in rules), None)


def check_rules(rules: Rules, ontology: Ontology, document: Document, problems: Problems) -> None:
    """Every rule names an interface and a path that there is."""
    every = {path for dtmi in ontology.interfaces for path in ontology.paths(dtmi)}
    for key in rules:
        interface, _, path = key.partition(" ")
        if key == "*" or (key in ontology.interfaces) or (key in every):
            continue
        if path and interface in ontology.interfaces and path in ontology.paths(interface):
            continue
        what = f"there is no interface or path '{key}'"
        remedy = "Write '*', an interface, a path, or 'INTERFACE PATH'"
        problems.add(document.problem(("retention", "history", key), what, remedy, "unknown_path"))


def rules_from(body: Mapping[str, Any]) -> dict[str, HistoryRetention]:
    """The rules that were applied, from their record."""
    return {key: HistoryRetention.model_validate(rule) for key, rule in body.items()}
