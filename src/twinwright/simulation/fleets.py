"""The twins that a scenario asks about: one, a list, all of an interface, or those that a query selects."""

from __future__ import annotations

from typing import Any, NamedTuple

from twinwright.documents import Document, Problems
from twinwright.errors import QueryError

MAX_TWINS = 10_000
_FORMS = "Write `twin: tanks-1`, a list of ids, `{interface: dtmi:...;1}`, or `SELECT T FROM DIGITALTWINS T WHERE T.site = 'north'`"


class Fleet(NamedTuple):
    """The ids that are named; or the interface whose twins are meant, or the query that selects them."""

    twins: tuple[str, ...] = ()
    interface: str | None = None
    query: str | None = None


def check_fleet(given: Any, document: Document, problems: Problems) -> None:
    """Add to `problems` what is wrong with `twin:`; of a query what can be seen without the twins."""
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
    elif _is_query(given):
        _check_query(given, document, problems)


def fleet_of(given: Any) -> Fleet:
    """Of what `check_fleet` found in order."""
    if isinstance(given, list):
        return Fleet(twins=tuple(given))
    if isinstance(given, dict):
        return Fleet(interface=str(given["interface"]))
    return Fleet(query=given) if _is_query(given) else Fleet(twins=(given,))


def _is_query(given: str) -> bool:
    return given.strip().lower().startswith("select ")


def _check_query(text: str, document: Document, problems: Problems) -> None:
    from twinwright.twins.query.parser import parse

    try:
        query = parse(text)
        if query.kind != "twins":
            query.fail(0, "it does not select twins", "Write SELECT T FROM DIGITALTWINS T")
    except QueryError as error:
        problems.add(document.problem(("twin",), f"{error.where}: {error.what}", error.remedy or _FORMS, "bad_query"))
