"""The line of the commit log that a transaction will have, while it is being made; the same for every engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from twinwright.errors import FenceError, StoreError
from twinwright.observability.logs import get_logger
from twinwright.storage.layout import Commit, Counts, Move, ReadingTable
from twinwright.storage.protocol import CommitListener
from twinwright.storage.rows import counts_row

_log = get_logger("storage")


class LogLine:
    """Number, time (microseconds), kind and principal of a transaction, and what it has counted so far."""

    def __init__(self, commit: int, at: int, principal: str, kind: str) -> None:
        self.commit = commit
        self.at = at
        self._principal = principal
        self._kind = kind
        self.counts = Counts()
        self._source = ""
        self._detail: list[str] = []

    @property
    def source(self) -> str:
        """The source this commit is about; empty when none or several."""
        return self._source

    @property
    def detail(self) -> str:
        return "; ".join(self._detail)

    def count(self, counts: Counts, *, source: str = "", detail: str = "") -> None:
        if not counts.conserved:
            raise StoreError(f"readings are not conserved: {counts}", where=source, remedy="This is a defect: please report it")
        self.counts = self.counts + counts
        self._source = source
        if detail:
            self._detail.append(detail)

    @property
    def line(self) -> list[object]:
        """As a row of the table `commits`."""
        return [self.commit, self.at, self._kind, self._source, self._principal, *counts_row(self.counts), self.detail]

    @property
    def done(self) -> Commit:
        """What listeners hear of it."""
        return Commit(self.commit, self.at, self._kind, self._source, self._principal, self.counts, self.detail)


def moved_positions(contract: str, moves: Iterable[Move], stored: Mapping[str, int]) -> dict[str, int]:
    """Where streams are after all moves, one after the other. Raises FenceError where one does not start where its stream is."""
    now: dict[str, int] = {}
    for stream, start, next in moves:
        held = now.get(stream, stored.get(stream, 0))
        if held != start:
            raise FenceError(
                f"position {start} of {stream} is not where the store is ({held})",
                where=contract,
                remedy="Read again from the store's position",
            )
        now[stream] = next
    return dict(sorted(now.items()))  # writers that move the same ones do so in one order


def require_revision(contract: str, revision: int, tables: Iterable[ReadingTable]) -> None:
    """Raises FenceError unless `revision` is the applied one: the newest of the contract's tables."""
    applied = max((table.revision for table in tables if table.contract == contract), default=None)
    if applied != revision:
        raise FenceError(f"decoded under revision {revision}, but {applied} is applied", where=contract, remedy="Decode again")


def tell(listeners: Sequence[CommitListener], done: Commit) -> None:
    """It is durable, whatever becomes of those who are told."""
    for listener in listeners:
        try:
            listener(done)
        except Exception as error:  # noqa: BLE001 - one that fails is not to hide the commit from the others
            _log.error("a listener failed", commit=done.number, error=repr(error))
