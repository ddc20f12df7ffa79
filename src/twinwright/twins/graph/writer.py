"""Writes of many clients, one durable commit for all that wait: each is answered once it is on the disk.

A write is a function of the draft. One that raises leaves the draft as it was and is answered with its error; the others are committed.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from twinwright.errors import BusyError, PlatformError, TwinwrightError
from twinwright.governance.principals import Principal
from twinwright.observability.logs import get_logger
from twinwright.storage.protocol import Store, Transaction
from twinwright.twins.api_cells import WRITES
from twinwright.twins.graph.draft import Draft, World
from twinwright.twins.state import StateCache

T = TypeVar("T")
Write = Callable[[Draft], T]
MOST_TOGETHER: Final = 1_000  # writes of one commit
MOST_WAITING: Final = 10_000
_log = get_logger("graph")


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """What a write gave, and the commit that made it durable."""

    value: T
    token: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    principal: Principal
    write: Write[Any]
    future: Future[Committed[Any]]


class GraphWriter:
    """`world` gives what is committed, `before` is called ahead of each commit (what telemetry was sent is settled then), `hear` in it
    (what others wrote is known then), and `changed` after one that changed which twins and relationships there are."""

    def __init__(
        self,
        store: Store,
        state: StateCache,
        world: Callable[[], World],
        before: Callable[[], None],
        hear: Callable[[Transaction], None],
        changed: Callable[[], None],
    ) -> None:
        self._store, self._state, self._world = store, state, world
        self._before, self._hear, self._changed = before, hear, changed
        self._in: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._closed = False
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="twinwright-graph", daemon=True)
        self._thread.start()

    def submit(self, principal: Principal, write: Write[T]) -> Committed[T]:
        """Blocks until it is durable. Raises what the write raises, BusyError when too many wait, ForbiddenError."""
        principal.require_write()
        waiting = _Waiting(principal, write, Future())
        with self._gate:
            if self._closed:
                raise PlatformError("the platform is stopping", remedy="Send it again when it is back")
            if self._in.qsize() >= MOST_WAITING:
                raise BusyError("too many writes wait")
            self._in.put(waiting)
        return waiting.future.result()

    def close(self) -> None:
        """Commit what was submitted, then stop."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._in.put(None)
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            group: list[_Waiting] = []
            following = self._in.get()
            while following is not None:
                group.append(following)
                if len(group) >= MOST_TOGETHER:
                    break
                try:
                    following = self._in.get_nowait()
                except queue.Empty:
                    break
            else:
                stopping = True
            by_principal: dict[Principal, list[_Waiting]] = {}
            for waiting in group:
                by_principal.setdefault(waiting.principal, []).append(waiting)
            for principal, theirs in by_principal.items():
                self._commit(principal, theirs)

    def _commit(self, principal: Principal, group: list[_Waiting]) -> None:
        try:
            self._before()
            with self._state.lock:
                structural = self._written(principal, group)
            if structural:
                self._changed()
        except Exception as error:  # noqa: BLE001 - rolled back whole: it is the answer to who has none yet
            left = [waiting for waiting in group if not waiting.future.done()]
            if not isinstance(error, TwinwrightError) and len(group) > 1:  # one of them is poison: each by itself
                for waiting in left:
                    self._commit(principal, [waiting])
                return
            if not isinstance(error, TwinwrightError):
                _log.exception("a write of the graph failed")
            for waiting in left:
                waiting.future.set_exception(error)

    def _written(self, principal: Principal, group: list[_Waiting]) -> bool:
        done: list[tuple[_Waiting, Any]] = []
        try:
            with self._store.transaction(principal, WRITES) as transaction:
                self._hear(transaction)
                draft = Draft(self._world(), transaction.at, transaction.commit)
                for waiting in group:
                    try:
                        done.append((waiting, waiting.write(draft)))
                    except TwinwrightError as error:
                        waiting.future.set_exception(error)
                if draft.empty:  # nothing to commit: the log has no line of it
                    raise _NothingError
                draft.write(transaction)
        except _NothingError:
            token = self._store.last_commit(principal)
        else:
            token = draft.commit
            draft.publish(_paths(draft.world))
        for waiting, value in done:
            waiting.future.set_result(Committed(value, token))
        return draft.structural


class _NothingError(Exception):
    """Rolls a transaction back that would write nothing."""


def _paths(world: World) -> Callable[[str], Mapping[str, object]]:
    known = world.ontology.interfaces
    return lambda interface: world.ontology.paths(interface) if interface in known else {}
