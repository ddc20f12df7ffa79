"""Long writes of the graph in pieces of one commit each: what it is, and how far it has come, are records of those commits.

So one that was interrupted goes on where it was: nothing is done twice and nothing left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from twinwright.clock import to_iso
from twinwright.errors import BusyError, InvalidTwinError, Problem
from twinwright.governance.principals import Principal
from twinwright.platform.session import Session
from twinwright.twins.graph.draft import Draft

Body = dict[str, Any]
Piece = Callable[[Draft, int, int, Body], None]


@dataclass(frozen=True, slots=True)
class Records:
    """The kinds of record of one sort of write, each by its id: `whole` says what it is and is written once, `progress` with each piece."""

    name: str
    whole: str
    progress: str


def refusal(problems: Sequence[Body], refused: int) -> InvalidTwinError:
    """Why nothing is written: the problems that are told, of so many."""
    left = refused - len(problems)
    more = [Problem(f"and {left} more", "Mend these first")] if left > 0 else []
    return InvalidTwinError([*(Problem(**one) for one in problems), *more])


def begun(id: str, **own: Any) -> Body:
    """The progress of one that has not begun, with members of its own."""
    return {"id": id, "status": "running", "done": 0, **own, "commits": 0, "first_commit": None, "last_commit": None, "problems": []}


def unfinished(session: Session, principal: Principal, records: Records) -> Iterator[tuple[Body, Body]]:
    """Those that were interrupted: what each is, and how far it has come."""
    for record in session.store.records(principal, records.progress):
        if record.body["status"] == "running":
            yield session.store.get_record(principal, records.whole, record.id).body, record.body


def carried_out(
    session: Session, principal: Principal, records: Records, whole: Body, progress: Body, *, total: int, size: int, piece: Piece
) -> Body:
    """From where it is to its end. `piece` does items from one up to another in a draft, and counts them in the progress that it is given.

    Raises BusyError while another is running.
    """
    if not session.updating.acquire(blocking=False):
        raise BusyError(f"another {records.name} is running")
    try:
        while progress["status"] == "running":
            progress = _next(session, principal, records, whole, progress, total, size, piece)
    finally:
        session.updating.release()
    return {**{name: value for name, value in progress.items() if name not in ("status", "done")}, "token": progress["last_commit"]}


def _next(session: Session, principal: Principal, records: Records, whole: Body, before: Body, total: int, size: int, piece: Piece) -> Body:
    first = before["done"]
    last = min(first + size, total)

    def write(draft: Draft) -> Body:
        progress = {**before, "problems": list(before["problems"]), "done": last, "commits": before["commits"] + 1}
        progress |= {"last_commit": draft.commit, "first_commit": before["first_commit"] or draft.commit}
        piece(draft, first, last, progress)
        if last >= total:
            progress |= {"status": "done", "finished": to_iso(draft.now)}
        if first == 0:
            draft.put_record(records.whole, whole["id"], whole)
        draft.put_record(records.progress, whole["id"], progress)
        return progress

    return session.graph.submit(principal, write).value
