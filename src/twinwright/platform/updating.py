"""Twins changed by a query: all of them checked against their interfaces before any is written, then written in pieces.

Its records name who updated what, by which query.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from twinwright.errors import NotFoundError, Problem, TwinwrightError, UsageError, problems_of
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.platform import piecewise
from twinwright.platform.piecewise import Body
from twinwright.platform.session import Session
from twinwright.storage.layout import EdgeKey
from twinwright.twins.graph.diff import compared
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.measured import is_plain_number
from twinwright.twins.graph.update import Change, change_twin

MOST: Final = 100_000  # twins of one update
PIECE: Final = 1_000  # of one commit
UPDATE: Final = "update"  # the kind of record that says what an update is, by its id: written once
PROGRESS: Final = "update-progress"  # the kind that says how far it is: written with each piece
RECORDS: Final = piecewise.Records("update", UPDATE, PROGRESS)
_TOLD: Final = 100  # problems that are told one by one
_SHOWN: Final = 20  # twins of which a dry run shows what would change
_COUNTED: Final = ("changed", "unchanged", "deleted", "relationships", "refused", "missing")


def change_of(given: Any) -> Change:
    """What was asked for. Raises UsageError."""
    fields: dict[str, Any] = dict(given)
    texts = (str, bytes)
    lists = {name: isinstance(fields.get(name), Sequence) and not isinstance(fields[name], texts) for name in ("remove", "patch")}
    flags = {name: isinstance(fields.get(name), bool) for name in ("delete", "with_relationships")}
    good = {"set": isinstance(fields.get("set"), Mapping), **lists, **flags}
    for name, is_good in good.items():
        if not is_good:
            right = '{"path": value}' if name == "set" else "a list" if name in lists else "true or false"
            raise UsageError(f"`{name}` is not of its kind", where=name, remedy=f"Give {right}")
    if not all(isinstance(one, str) for one in (*fields["set"], *fields["remove"])):
        raise UsageError("a path is text", where="set", remedy="Write it as pressure or motor/speed")
    plain = {"set": dict(fields["set"]), "remove": list(fields["remove"]), "patch": list(fields["patch"])}
    change = Change(**{**fields, **plain})
    change.require_sound()
    return change


def update(session: Session, principal: Principal, query: str, change: Change, *, dry_run: bool) -> Body:
    """Raises QueryError, UsageError, TooLargeError, BusyError; InvalidTwinError, with nothing written, where any twin can't be changed."""
    principal.require_write()
    twins = session.read(lambda served: served.queries.twin_ids(principal, query, MOST, change.interface))
    _require_one_unit(session, twins, change)
    checked = _checked(session, twins, change)
    if dry_run or not twins:
        return {**checked, "dry_run": dry_run}
    if checked["refused"]:
        raise piecewise.refusal(checked["problems"], checked["refused"])
    body = {"id": uuid.uuid4().hex, "query": query, "change": asdict(change), "twins": twins}
    progress = piecewise.begun(str(body["id"]), matched=len(twins), **dict.fromkeys(_COUNTED, 0))
    return _carried_out(session, principal, body, progress)


def resumed(session: Session, principal: Principal) -> list[Body]:
    """Every update that was interrupted, carried out to its end. Raises BusyError while one is running."""
    principal.require_write()
    return [_carried_out(session, principal, body, progress) for body, progress in piecewise.unfinished(session, principal, RECORDS)]


# --- checking --------------------------------------------------------------------------------------------------------


def _require_one_unit(session: Session, twins: Sequence[str], change: Change) -> None:
    """A number without a unit means one quantity (law 7): also while some of the twins are of another version. Raises UsageError."""
    applied = session.served.applied
    living = (applied.registry.alive(twin) for twin in twins)
    interfaces = {change.seen(life, applied.lineages).interface for life in living if life is not None}
    paths = [applied.ontology.paths(dtmi) for dtmi in sorted(interfaces)]
    for path, value in change.set.items():
        if is_plain_number(value):
            named = sorted({of[path].unit or "no unit" for of in paths if path in of})
            if len(named) > 1:
                what = f"'{path}' of some of the twins is in {named[0]}, of others in {named[1]}"
                raise UsageError(what, where="set", remedy=f'Give the number with its unit: "{value} {named[0]}"')


def _checked(session: Session, twins: Sequence[str], change: Change) -> Body:
    """What would become of them, found with drafts that are never written."""
    counts = dict.fromkeys(_COUNTED, 0)
    problems: list[Body] = []
    preview: list[Body] = []
    gone: set[EdgeKey] = set()  # relationships: drafts of different pieces each let go of one between them
    for first in range(0, len(twins), PIECE):
        with session.state.lock:  # let go in between: telemetry goes on
            draft = session.trial()
            for id in twins[first : first + PIECE]:
                refused = _one(draft, id, change, counts, gone, preview)
                problems += refused[: _TOLD - len(problems)]
    shown = {"id": None, "dry_run": True, "matched": len(twins), **counts}
    return {**shown, "commits": 0, "token": session.store.last_commit(SYSTEM), "problems": problems, "preview": preview}


def _one(draft: Draft, id: str, change: Change, counts: dict[str, int], gone: set[EdgeKey], preview: list[Body] | None) -> list[Body]:
    """A twin changed in a draft, and counted; why it was refused."""
    try:
        done = change_twin(draft, id, change)
    except NotFoundError:  # deleted since the query looked
        counts["missing"] += 1
        return []
    except TwinwrightError as error:
        counts["refused"] += 1
        return [asdict(Problem(f"twin '{id}': {one.message}", one.remedy, path=one.path, code=one.code)) for one in problems_of(error)]
    counts["deleted" if done.changed and change.delete else "changed" if done.changed else "unchanged"] += 1
    counts["relationships"] += len(done.relationships - gone)
    gone |= done.relationships
    if preview is not None and done.changed and len(preview) < _SHOWN:
        difference = compared("twin", done.before, None if change.delete else done.after, id=id)
        preview.append({"id": id, "properties": difference.as_json()["properties"] if difference is not None else {}})
    return []


# --- writing ---------------------------------------------------------------------------------------------------------


def _carried_out(session: Session, principal: Principal, body: Body, progress: Body) -> Body:
    change, twins = Change(**body["change"]), body["twins"]

    def piece(draft: Draft, first: int, last: int, progress: Body) -> None:
        for id in twins[first:last]:
            refused = _one(draft, id, change, progress, set(), None)
            progress["problems"] += refused[: _TOLD - len(progress["problems"])]

    return piecewise.carried_out(session, principal, RECORDS, body, progress, total=len(twins), size=PIECE, piece=piece)
