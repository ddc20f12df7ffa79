"""What is different between the graph of one instant and that of another, a page at a time: interfaces, twins, relationships.

An instant is what was known at a commit; or, by event time, the world at a time as it is known now or was at a commit. Interfaces have
no event time: by event time they are those that were applied then.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final, NamedTuple

from twinwright.clock import time_of, to_iso
from twinwright.errors import UsageError
from twinwright.governance.principals import Principal
from twinwright.platform.applied import ID, INTERFACE, KIND
from twinwright.platform.page_size import page_size
from twinwright.platform.session import Session
from twinwright.twins.graph.diff import Counts, Difference, GraphDiff, Instant, compared, none_counted

KINDS: Final = ("interface", "twin", "relationship")
Commits = Callable[[str], int | None]  # the commit that a number or time means


@dataclass(frozen=True, slots=True)
class Asked:
    """The instants as they were written, and of which `kind` differences are wanted (None: all)."""

    start: str
    end: str | None
    event_time: bool = False
    as_of: str | None = None
    known_at: str | None = None
    kind: str | None = None


def page(
    session: Session, principal: Principal, asked: Asked, commit_of: Commits, continuation: str | None, most: int | None
) -> dict[str, Any]:
    """Raises UsageError for instants, kinds and tokens that are none."""
    size = page_size(most)
    if asked.kind is not None and asked.kind not in KINDS:
        raise UsageError(f"there is no kind '{asked.kind[:40]}'", where="kind", remedy=f"Use one of {', '.join(KINDS)}")
    begun = _begun(session, principal, asked, commit_of) if continuation is None else _continued(continuation, asked)
    shown, counts = list[Difference](), begun.counts or none_counted()
    last, more = begun.place, False
    for place, one in _found(session, principal, begun, asked):
        if len(shown) < size:
            shown.append(one)
            last = place
        else:
            more = True
        if begun.counts is None:  # the first page looks at all
            counts[f"{one.kind}s"][one.change] += 1
        elif more:
            break
    answer: dict[str, Any] = {"from": _instant_shown(begun.first), "to": _instant_shown(begun.second), "counts": counts}
    answer["value"] = [one.as_json() for one in shown]
    answer["continuationToken"] = _token(asked, replace(begun, counts=counts, place=last)) if more else None
    return answer


class _Place(NamedTuple):
    """Of a difference: the `nth` of those of a key."""

    kind: str
    key: tuple[str, ...]
    nth: int


_START: Final = _Place(KINDS[0], (), 0)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A page comes behind a `place`. `counts` are of all pages, from the second one on."""

    first: Instant
    second: Instant
    counts: Counts | None = None
    place: _Place = _START


def _found(session: Session, principal: Principal, begun: _Begun, asked: Asked) -> Iterator[tuple[_Place, Difference]]:
    """Those behind a place, each with its own: kind by kind, and by key."""
    applied, first, second, place = session.served.applied, begun.first, begun.second, begun.place
    diff = GraphDiff(session.store, session.state, applied.ontology, applied.registry, applied.evolution, principal, first, second)
    for kind in KINDS[KINDS.index(place.kind) :]:
        if asked.kind not in (None, kind):
            continue
        key = place.key if place.kind == kind else ()
        if kind == "interface":
            ones: Iterator[Difference] = (one for one in _interfaces(session, principal, first, second) if (one.id,) >= key)
        elif kind == "twin":
            candidates = session.served.differences.of((principal, first, second), diff.candidates)
            ones = diff.twins(candidates, *key)
        else:
            ones = diff.relationships((key[0], key[1]) if key else None)
        for own, mine in groupby(ones, key=_key):
            for nth, one in enumerate(mine):
                if own != key or nth > place.nth:
                    yield _Place(kind, own, nth), one


def _key(one: Difference) -> tuple[str, ...]:
    return (one.source, one.id) if one.kind == "relationship" else (one.id,)


# --- instants --------------------------------------------------------------------------------------------------------


def _begun(session: Session, principal: Principal, asked: Asked, commit_of: Commits) -> _Begun:
    """The instants that are meant, fixed to commits, so that every page is of the same ones."""
    last = session.store.last_commit(principal)
    if asked.event_time:
        if asked.as_of is not None:
            raise UsageError("the event times are said already", where="as-of", remedy="Leave it out: `from` and `to` are event times")
        known = last if asked.known_at is None else commit_of(asked.known_at) or 0
        start = Instant(_time(asked.start, "from"), known)
        return _Begun(start, Instant(None if asked.end is None else _time(asked.end, "to"), known))
    if asked.known_at is not None:
        remedy = "Leave it out: `from` and `to` say what was known; or ask by event time"
        raise UsageError("what was known is said already", where="known-at", remedy=remedy)
    at = time_of(asked.as_of, "as-of")
    commits = [_commit(text, where, commit_of) for text, where in ((asked.start, "from"), (asked.end, "to")) if text is not None]
    return _Begun(Instant(at, commits[0]), Instant(at, commits[1] if len(commits) > 1 else last))


def _time(text: str, where: str) -> int:
    at = time_of(text, where)
    assert at is not None
    return at


def _commit(text: str, where: str, commit_of: Commits) -> int:
    try:
        return commit_of(text) or 0
    except UsageError as error:
        raise UsageError(error.what, where=where, remedy=error.remedy) from None


def _instant_shown(at: Instant) -> dict[str, Any]:
    return {"commit": at.commit, "as_of": None if at.as_of is None else to_iso(at.as_of)}


def _token(asked: Asked, begun: _Begun) -> str:
    first, second, counts = begun.first, begun.second, begun.counts or none_counted()
    numbers = [count for kind in counts.values() for count in kind.values()]
    said = [asked.kind, asked.event_time, [first.as_of, first.commit, second.as_of, second.commit], numbers, *begun.place]
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode()


def _continued(token: str, asked: Asked) -> _Begun:
    """Raises UsageError."""
    try:
        kind, by_time, (first_time, first, second_time, second), numbers, own, key, nth = json.loads(
            base64.urlsafe_b64decode(token.encode("ascii"))
        )
        counts = none_counted()
        places = [(of, change) for of, held in counts.items() for change in held]
        good = all(type(one) is int and 0 <= one < 2**60 for one in (first, second, nth, *numbers)) and len(numbers) == len(places)
        good = good and all(one is None or (type(one) is int and abs(one) < 2**60) for one in (first_time, second_time))
        good = good and kind == asked.kind and by_time == asked.event_time and own in KINDS and kind in (None, own)
        good = good and len(key) == (2 if own == "relationship" else 1) and bool("".join(key).encode()) and "\0" not in "".join(key)
        for (of, change), number in zip(places, numbers, strict=True):
            counts[of][change] = number
    except (ValueError, TypeError, AttributeError, RecursionError):
        good = False
    if not good:
        remedy = "Ask again from the start, with the same `kind`"
        raise UsageError("the continuation token is none of this question", where="continuationToken", remedy=remedy)
    return _Begun(Instant(first_time, first), Instant(second_time, second), counts, _Place(own, tuple(key), nth))


# --- interfaces ------------------------------------------------------------------------------------------------------


def _interfaces(session: Session, principal: Principal, first: Instant, second: Instant) -> list[Difference]:
    """By DTMI."""
    before, after = (_documents(session, principal, at) for at in (first, second))
    found = (compared("interface", before.get(dtmi), after.get(dtmi), id=dtmi) for dtmi in sorted({*before, *after}))
    return [one for one in found if one is not None]


def _documents(session: Session, principal: Principal, at: Instant) -> dict[str, dict[str, Any]]:
    """What each interface said: its own fields, and its contents one by one as `contents/NAME`."""
    commit = at.commit if at.as_of is None else min(at.commit, session.store.commit_at(principal, at.as_of))
    texts: Mapping[str, str] = {}
    for record in session.store.versions(principal, KIND, ID):
        if record.commit <= commit:
            texts = record.body["schema"]
    found: dict[str, dict[str, Any]] = {}
    for text in texts.values():
        parsed = json.loads(text)
        for document in parsed if isinstance(parsed, list) else [parsed]:
            found[str(document.get("@id"))] = _interface_fields(document)
    notes = {record.id: record.body for record in session.store.record_versions(principal, [INTERFACE], 0, commit)}
    for dtmi, body in notes.items():
        if body["model"] is not None and not body["removed"]:
            found[dtmi] = _interface_fields(body["model"])
        if dtmi in found and body["decommissioned"] and not body["removed"]:
            found[dtmi]["decommissioned"] = True
    return found


def _interface_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in document.items() if name not in ("@id", "contents")}
    contents = document.get("contents", [])
    for index, content in enumerate(contents if isinstance(contents, list) else [contents]):
        name = content.get("name", index) if isinstance(content, dict) else index
        fields[f"contents/{name}"] = content
    return fields
