"""The twins that a scenario asks about: one, a list, or all of an interface."""

from __future__ import annotations

import re
from typing import Any

from twinwright.documents import Document, Problems

MAX_TWINS = 10_000
_QUERY = re.compile(
    r"\s*select\s+(?:\*|(?P<a>\w+))\s+from\s+digitaltwins(?:\s+(?P<b>\w+))?\s+where\s+is_of_model\(\s*(?:(?P<c>\w+)\s*,\s*)?'(?P<dtmi>[^']+)'"
    r"(?:\s*,\s*exact)?\s*\)\s*",
    re.IGNORECASE,
)
_FORMS = (
    "Write `twin: tanks-1`, a list of ids, `{interface: dtmi:...;1}`, or `SELECT * FROM DIGITALTWINS T WHERE IS_OF_MODEL(T, 'dtmi:...;1')`"
)


def check_fleet(given: Any, document: Document, problems: Problems) -> None:
    """Add to `problems` what is wrong with `twin:`."""
    if isinstance(given, list):
        if not given or not all(isinstance(one, str) and one for one in given):
            problems.add(document.problem(("twin",), "a list of twins has ids", _FORMS, "bad_twin"))
        elif len(set(given)) != len(given) or len(given) > MAX_TWINS:
            problems.add(document.problem(("twin",), "a twin is named twice, or there are too many", f"At most {MAX_TWINS}", "bad_twin"))
    elif isinstance(given, dict):
        if given.keys() != {"interface"} or not isinstance(given["interface"], str):
            problems.add(document.problem(("twin",), "a fleet is the twins of an interface", _FORMS, "bad_twin"))
    elif not isinstance(given, str) or not given:
        problems.add(document.problem(("twin",), "a twin's id is expected", _FORMS, "bad_twin"))
    elif given.strip().lower().startswith("select ") and not _QUERY.fullmatch(given):
        problems.add(document.problem(("twin",), "a query asks for the twins of one interface here", _FORMS, "bad_query"))


def fleet_of(given: Any) -> tuple[tuple[str, ...], str | None]:
    """(the ids that are named, the interface whose twins are meant), of what `check_fleet` found in order."""
    if isinstance(given, list):
        return tuple(given), None
    if isinstance(given, dict):
        return (), str(given["interface"])
    match = _QUERY.fullmatch(given)
    return ((), match["dtmi"]) if match else ((given,), None)
