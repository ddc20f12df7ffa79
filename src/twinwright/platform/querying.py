"""`query`: the language over what is applied now, with the documents that `state` shows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from twinwright.clock import Clock
from twinwright.errors import NotFoundError, TooLargeError
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.platform.page_size import page_size
from twinwright.storage.protocol import Store
from twinwright.twins.evolution import UNCHANGED, Evolution
from twinwright.twins.graph.measured import is_plain_number
from twinwright.twins.query.catalogue import Catalogue
from twinwright.twins.query.kept import Graphs
from twinwright.twins.query.service import MOST_ROWS, QueryService
from twinwright.twins.reads import TwinReads
from twinwright.twins.state import StateCache

if TYPE_CHECKING:
    from twinwright.schema import Ontology

_ONE_BY_ONE = 200  # documents of now; more of them, and those of the past, are read at once


class Queries:
    """The query service of what is applied; nothing of it is made before it is asked for."""

    def __init__(
        self, store: Store, state: StateCache, ontology: Ontology, reads: TwinReads, clock: Clock, evolution: Evolution = UNCHANGED
    ) -> None:
        self._store, self._state, self._ontology, self._reads, self._clock = store, state, ontology, reads, clock
        self._evolution = evolution
        self._graphs: dict[str | None, Graphs] = {}  # by the version that twins are shown as: one that is served, or None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give the memory of the graphs back; the next query makes them anew."""
        with self._lock:
            graphs, self._graphs = self._graphs, {}
        for one in graphs.values():
            one.close()

    def query(
        self,
        principal: Principal,
        text: str,
        continuation: str | None,
        max_items: int | None,
        commit_of: Callable[[str], int],
        interface: str | None = None,
    ) -> dict[str, Any]:
        """`value[] continuationToken charge`; twins of other versions of `interface` are shown as of that one. Raises QueryError,
        UsageError, NotFoundError."""
        page_size(max_items, MOST_ROWS)
        now = self._clock.now()
        version = self._version(interface)
        answer = self._service(version).query(
            principal, text, now=now, commit_of=commit_of, continuation=continuation, most=max_items, version=version
        )
        return {"value": answer.value, "continuationToken": answer.continuation, "charge": answer.charge}

    def rows(
        self, principal: Principal, text: str, most: int, commit_of: Callable[[str], int]
    ) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
        """The names of its columns (none where each row is a document) and all rows of a query, numbers with their unit as `{"value": 3,
        "unit": "bar"}`, in documents too. Raises QueryError for a column of numbers in several units, TooLargeError."""
        answer = self._service(None).query(principal, text, now=self._clock.now(), commit_of=commit_of, most=most, measured=True)
        if answer.continuation is not None:
            raise TooLargeError(f"more than {most} rows", where="query", remedy="Select fewer of them at a time")
        for row in answer.value if answer.units else ():
            row |= {name: {"value": row[name], "unit": unit} for name, unit in answer.units.items() if is_plain_number(row.get(name))}
        return answer.columns, answer.value

    def twin_ids(self, principal: Principal, text: str, most: int, interface: str | None = None) -> list[str]:
        """The twins that a query selects, in the names and units of a version. Raises QueryError, TooLargeError, NotFoundError."""
        return self._service(self._version(interface)).twin_ids(principal, text, now=self._clock.now(), most=most)

    def _version(self, interface: str | None) -> str | None:
        """None where twins are shown as what they are. Raises NotFoundError for an interface that is none, or is retired."""
        if interface is None:
            return None
        self._ontology.interface(interface)
        lineages = self._evolution.lineages
        if interface in lineages.retired:
            remedy = f"Ask for one of: {', '.join(lineages.served(interface))}"
            raise NotFoundError(f"{interface} is retired", where="interface", remedy=remedy)
        return interface if len(lineages.versions(interface)) > 1 else None

    def _service(self, version: str | None) -> QueryService:
        evolution = self._evolution if version is None else self._evolution.as_version(version)
        with self._lock:
            graphs = self._graphs.get(version)
            if graphs is None:
                catalogue = Catalogue(self._ontology, evolution.lineages, version)
                graphs = self._graphs[version] = Graphs(self._store, self._state, catalogue, evolution)
        return QueryService(evolution.over(self._store), graphs, partial(self._documents, version))

    def _documents(self, version: str | None, ids: list[str], as_of: int | None, known_at: int | None) -> Mapping[str, dict[str, Any]]:
        options: dict[str, Any] = {"as_of": as_of, "known_at": known_at, "lane": "observed", "facts": False, "now": self._clock.now()}
        if len(ids) > _ONE_BY_ONE or as_of is not None or known_at is not None:
            return {one["$dtId"]: one for one in self._reads.documents(SYSTEM, interface=version, twins=set(ids), **options)}
        found = {}
        for id in ids:
            try:
                life = self._reads.lifetime(SYSTEM, id, None, None)
                mine = version if version is not None and self._evolution.lineages.related(life.interface, version) else None
                found[id] = self._reads.document(SYSTEM, id, interface=mine, **options)
            except NotFoundError:  # deleted since the query looked
                continue
        return found
