"""`query`: the language over what is applied now, with the documents that `state` shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twinwright.clock import Clock
from twinwright.errors import NotFoundError, UsageError
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.storage.protocol import Store
from twinwright.twins.evolution import UNCHANGED, Evolution
from twinwright.twins.query.catalogue import Catalogue
from twinwright.twins.query.kept import Graphs
from twinwright.twins.query.service import MOST_ROWS, QueryService
from twinwright.twins.reads import TwinReads
from twinwright.twins.state import StateCache

if TYPE_CHECKING:
    from twinwright.schema import Ontology

_ONE_BY_ONE = 200  # documents; for more of them all are read at once


class Queries:
    """The query service of what is applied; nothing of it is made before it is asked for."""

    def __init__(
        self, store: Store, state: StateCache, ontology: Ontology, reads: TwinReads, clock: Clock, evolution: Evolution = UNCHANGED
    ) -> None:
        self._store, self._state, self._ontology, self._reads, self._clock = store, state, ontology, reads, clock
        self._evolution = evolution
        self._graphs: Graphs | None = None

    def close(self) -> None:
        """Give the memory of the graphs back; the next query makes them anew."""
        graphs, self._graphs = self._graphs, None
        if graphs is not None:
            graphs.close()

    def query(
        self, principal: Principal, text: str, continuation: str | None, max_items: int | None, commit_of: Callable[[str], int]
    ) -> dict[str, Any]:
        """`value[] continuationToken charge`. Raises QueryError, UsageError."""
        if max_items is not None and not 1 <= max_items <= MOST_ROWS:
            raise UsageError(f"a page of {max_items} items", where="max-items-per-page", remedy=f"Ask for 1 to {MOST_ROWS}")
        now = self._clock.now()
        answer = self._service().query(principal, text, now=now, commit_of=commit_of, continuation=continuation, most=max_items)
        return {"value": answer.value, "continuationToken": answer.continuation, "charge": answer.charge}

    def twin_ids(self, principal: Principal, text: str, most: int) -> list[str]:
        """The twins that a query selects. Raises QueryError, TooLargeError."""
        return self._service().twin_ids(principal, text, now=self._clock.now(), most=most)

    def _service(self) -> QueryService:
        if self._graphs is None:
            self._graphs = Graphs(self._store, self._state, Catalogue(self._ontology, self._evolution.lineages), self._evolution)
        return QueryService(self._evolution.over(self._store), self._graphs, self._documents)

    def _documents(self, ids: list[str], as_of: int | None, known_at: int | None) -> Mapping[str, dict[str, Any]]:
        now = self._clock.now()
        if len(ids) > _ONE_BY_ONE:
            every = self._reads.documents(SYSTEM, as_of=as_of, known_at=known_at, lane="observed", facts=False, now=now)
            wanted = set(ids)
            return {one["$dtId"]: one for one in every if one["$dtId"] in wanted}
        found = {}
        for id in ids:
            try:
                found[id] = self._reads.document(SYSTEM, id, as_of=as_of, known_at=known_at, lane="observed", facts=False, now=now)
            except NotFoundError:  # deleted since the query looked
                continue
        return found
