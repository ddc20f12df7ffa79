"""The graph in this process: `GraphSurface` on an opened session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from twinwright.clock import from_iso, time_of
from twinwright.errors import ComponentNotFoundError, UsageError
from twinwright.events.cloudevents import Event
from twinwright.events.filter import filter_of
from twinwright.events.pages import Place, place_of
from twinwright.governance.principals import Principal
from twinwright.platform import (
    event_routes,
    graph_diff,
    graph_files,
    graph_tables,
    importing,
    interfaces,
    jobs,
    query_import,
    relationship_pages,
    retiring,
    updating,
    versions,
    webhooks,
)
from twinwright.platform.horizon import require_horizon
from twinwright.platform.interface_graph import Progress
from twinwright.platform.session import Session
from twinwright.platform.version_use import What
from twinwright.storage.layout import EdgeKey, Relationship, RelationshipPart
from twinwright.twins.documents import relationship_document
from twinwright.twins.graph import bodies, relationship_writes, twin_patch, twin_writes
from twinwright.twins.graph.conditions import etag_of
from twinwright.twins.graph.writer import Committed


class LocalGraph:
    """Every method of `GraphSurface`, acting as `principal`."""

    session: Session
    principal: Principal
    owner: bool

    def retire_interface(self, dtmi: str) -> dict[str, Any]:
        return retiring.retire(self.session, self.principal, dtmi)

    def schema_versions(self) -> list[dict[str, Any]]:
        return versions.shown(self.session, self.principal)

    def _as_version(self, interface: str | None, what: What) -> AbstractContextManager[None]:
        """Count what is done as a version of an interface."""
        return self.session.versions.through(self.session.served.applied.lineages, interface, "owner" if self.owner else "api", what)

    def _version_of(self, twin: str) -> str | None:
        life = self.session.served.applied.registry.alive(twin)
        return None if life is None else life.interface

    # --- twins -------------------------------------------------------------------------------------------------------

    def put_twin(self, id: str, document: Any, *, if_none_match: str | None = None, interface: str | None = None) -> dict[str, Any]:
        named = twin_writes.model_of(document)
        if interface is not None and named != interface:
            raise UsageError(f"the document is of {named}", where="interface", remedy="Make `$model` and `interface` the same")
        with self._as_version(named if isinstance(named, str) else None, "write"):
            done = self.session.graph.submit(self.principal, lambda draft: twin_writes.put_twin(draft, id, document, if_none_match))
        shown = self.session.served.reads.document_of(self.principal, done.value.life, done.value.cells, self.session.clock.now())
        return {"document": shown, "etag": done.value.etag, "token": done.token}

    def patch_twin(
        self, id: str, patch: Any, *, component: str | None = None, if_match: str | None = None, interface: str | None = None
    ) -> dict[str, Any]:
        with self._as_version(interface or self._version_of(id), "write"):
            done = self.session.graph.submit(
                self.principal, lambda draft: twin_patch.patch_twin(draft, id, patch, if_match, component, interface)
            )
        return {"etag": done.value.etag, "token": done.token}

    def delete_twin(self, id: str, *, if_match: str | None = None) -> dict[str, Any]:
        done = self.session.graph.submit(self.principal, lambda draft: twin_writes.delete_twin(draft, id, if_match))
        return {"token": done.token}

    def component(self, id: str, component: str, *, interface: str | None = None) -> dict[str, Any]:
        served, now = self.session.served, self.session.clock.now()
        options: dict[str, Any] = {"as_of": None, "known_at": None, "lane": "observed", "facts": False, "now": now, "interface": interface}
        with self._as_version(interface or self._version_of(id), "document"):
            life = served.applied.lineages.seen(served.applied.registry.current(id), interface)
            if bodies.component_of(life.interface, component, served.applied.ontology) is None:
                raise ComponentNotFoundError(f"'{id}' has no component '{component[:80]}'", remedy="See its interface")
            document = served.reads.document(self.principal, id, **options)
        part: dict[str, Any] = document
        for name in component.split("/"):
            part = part[name]
        return {**part, "$etag": document["$etag"]}

    def send_telemetry(
        self,
        id: str,
        payload: Any,
        *,
        message_id: str,
        component: str | None = None,
        source_time: str | None = None,
        interface: str | None = None,
    ) -> dict[str, Any]:
        at = time_of(source_time, "Telemetry-Source-Time")
        named: dict[str, Any] = {"component": component, "message_id": message_id, "interface": interface}
        with self._as_version(interface or self._version_of(id), "write"):
            done = self.session.graph.submit(
                self.principal, lambda draft: twin_writes.send_telemetry(draft, id, payload, source_time=at, **named)
            )
        return {"token": done.token}

    # --- relationships -----------------------------------------------------------------------------------------------

    def relationships(
        self, twin: str | None = None, *, as_of: str | None = None, known_at: str | int | None = None
    ) -> list[dict[str, Any]]:
        return self._outgoing(as_of, known_at, RelationshipPart(twin))

    def relationship_page(
        self,
        twin: str | None = None,
        *,
        name: str | None = None,
        as_of: str | None = None,
        known_at: str | int | None = None,
        continuation: str | None = None,
        max_items: int | None = None,
    ) -> dict[str, Any]:
        def read(behind: EdgeKey | None, most: int) -> list[dict[str, Any]]:
            return self._outgoing(as_of, known_at, RelationshipPart(twin, name, behind, most))

        return relationship_pages.page(read, continuation, max_items)

    def _outgoing(self, as_of: str | None, known_at: str | int | None, part: RelationshipPart) -> list[dict[str, Any]]:
        time, commit = self.moment(as_of, known_at)
        if part.source is not None:
            self.session.served.reads.lifetime(self.principal, part.source, time, commit)
        if time is None and commit is None and part.source is not None:
            behind = None if part.behind is None else part.behind[1]
            with self.session.state.lock:
                edges = list(islice(self.session.edges.outgoing(part.source, behind, part.name), part.most))
        else:
            edges = self.session.store.relationships(self.principal, part, as_of=time, known_at=commit)
        return [relationship_document(edge) for edge in edges]

    def moment(self, as_of: str | None, known_at: str | int | None) -> tuple[int | None, int | None]:
        """An event time and a commit number. Raises UsageError."""
        return time_of(as_of, "as-of"), self._commit(known_at)

    def _commit(self, known_at: str | int | None) -> int | None:
        """A commit number, or the newest commit at a time. Raises UsageError."""
        if known_at is None:
            return None
        known_at = str(known_at)  # a receipt's token is a number
        if known_at.isdecimal() and len(known_at) < 16:
            number, last = int(known_at), self.session.store.last_commit(self.principal)
            if number > last:  # what it will make known is not known yet: the answer could not be given again
                raise UsageError(f"there is no commit {number} yet", where="known-at", remedy=f"The newest is {last}")
            following = self.session.store.commit_times(self.principal, {number + 1}).get(number + 1)
            require_horizon(self.session, following, where="known-at")
            return number
        at = from_iso(known_at, where="known-at")
        require_horizon(self.session, at, where="known-at")
        return self.session.store.commit_at(self.principal, at)

    def relationship(self, twin: str, id: str) -> dict[str, Any]:
        self.session.served.applied.registry.current(twin)
        with self.session.state.lock:
            edge = self.session.edges.get(twin, id)
            if edge is None:
                raise relationship_writes.no_relationship(twin, id, (one.id for one in self.session.edges.outgoing(twin)))
        return relationship_document(edge)

    def incoming_relationships(self, twin: str) -> list[dict[str, Any]]:
        return self._incoming(twin)

    def incoming_relationship_page(self, twin: str, *, continuation: str | None = None, max_items: int | None = None) -> dict[str, Any]:
        return relationship_pages.page(lambda behind, most: self._incoming(twin, behind, most), continuation, max_items)

    def _incoming(self, twin: str, behind: EdgeKey | None = None, most: int | None = None) -> list[dict[str, Any]]:
        self.session.served.applied.registry.current(twin)
        with self.session.state.lock:
            edges = list(islice(self.session.edges.incoming(twin, behind), most))
        return [_incoming_shown(edge) for edge in edges]

    def put_relationship(self, twin: str, id: str, document: Any, *, if_none_match: str | None = None) -> dict[str, Any]:
        done = self.session.graph.submit(
            self.principal, lambda draft: relationship_writes.put_relationship(draft, twin, id, document, if_none_match)
        )
        return {"document": relationship_document(done.value), **_edge_answer(done)}

    def patch_relationship(self, twin: str, id: str, patch: Any, *, if_match: str | None = None) -> dict[str, Any]:
        done = self.session.graph.submit(
            self.principal, lambda draft: relationship_writes.patch_relationship(draft, twin, id, patch, if_match)
        )
        return _edge_answer(done)

    def delete_relationship(self, twin: str, id: str, *, if_match: str | None = None) -> dict[str, Any]:
        done = self.session.graph.submit(self.principal, lambda draft: relationship_writes.delete_relationship(draft, twin, id, if_match))
        return {"token": done.token}

    # --- many at once ------------------------------------------------------------------------------------------------

    def update(
        self,
        query: str,
        *,
        set: Mapping[str, Any] = MappingProxyType({}),
        remove: Sequence[str] = (),
        patch: Sequence[Any] = (),
        delete: bool = False,
        with_relationships: bool = False,
        dry_run: bool = False,
        after: int | None = None,
        interface: str | None = None,
    ) -> dict[str, Any]:
        asked = {"set": set, "remove": remove, "patch": patch, "delete": delete, "with_relationships": with_relationships}
        change = updating.change_of({**asked, "interface": interface})
        self.session.wait_for(self.principal, after)
        with self._as_version(interface, "write"):
            return updating.update(self.session, self.principal, query, change, dry_run=dry_run)

    def resume_updates(self) -> list[dict[str, Any]]:
        return updating.resumed(self.session, self.principal)

    def import_query(
        self,
        query: str | None = None,
        *,
        template: Any,
        rows: Sequence[Mapping[str, Any]] = (),
        on: Sequence[str] = (),
        dry_run: bool = False,
        after: int | None = None,
    ) -> dict[str, Any]:
        asked = query_import.Asked(query, rows, on)
        self.session.wait_for(self.principal, after)
        return query_import.import_query(self.session, self.principal, asked, template, lambda at: self._commit(at) or 0, dry_run=dry_run)

    def resume_query_imports(self) -> list[dict[str, Any]]:
        return query_import.resumed(self.session, self.principal)

    def import_graph(self, files: Sequence[str], *, dry_run: bool = False, progress: Progress | None = None) -> dict[str, Any]:
        incoming = graph_files.AdtFiles(files)
        return importing.import_files(self.session, self.principal, incoming, dry_run=dry_run, progress=progress)

    def import_table(
        self,
        files: Sequence[str],
        interface: str,
        *,
        id: str = "$dtId",
        map: Mapping[str, str] = MappingProxyType({}),
        delimiter: str = ",",
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        incoming = graph_tables.CsvFiles(files, graph_tables.Table(interface, id, dict(map), delimiter))
        return importing.import_files(self.session, self.principal, incoming, dry_run=dry_run, progress=progress)

    # --- what is different -------------------------------------------------------------------------------------------

    def graph_diff(
        self,
        start: str | int,
        end: str | int | None = None,
        *,
        event_time: bool = False,
        as_of: str | None = None,
        known_at: str | int | None = None,
        kind: str | None = None,
        continuation: str | None = None,
        max_items: int | None = None,
    ) -> dict[str, Any]:
        last, known = (None if at is None else str(at) for at in (end, known_at))
        asked = graph_diff.Asked(str(start), last, event_time, as_of, known, kind)
        return graph_diff.page(self.session, self.principal, asked, self._commit, continuation, max_items)

    # --- interfaces --------------------------------------------------------------------------------------------------

    def interface_list(self, *, dependencies_for: Sequence[str] = ()) -> list[dict[str, Any]]:
        return interfaces.listed(self.session.served.applied, dependencies_for)

    def interface(self, dtmi: str) -> dict[str, Any]:
        return interfaces.one(self.session.served.applied, dtmi)

    def add_interfaces(self, documents: Any) -> list[dict[str, Any]]:
        self.principal.require_write()
        return interfaces.add(self.session, self.principal, documents)

    def decommission_interface(self, dtmi: str, patch: Any) -> dict[str, Any]:
        return {"token": interfaces.decommission(self.session, self.principal, dtmi, patch)}

    def delete_interface(self, dtmi: str) -> dict[str, Any]:
        return {"token": interfaces.delete(self.session, self.principal, dtmi)}

    # --- event routes ------------------------------------------------------------------------------------------------

    def event_routes(self) -> list[dict[str, Any]]:
        return event_routes.routes(self.session, self.principal)

    def event_route(self, id: str) -> dict[str, Any]:
        return event_routes.route(self.session, self.principal, id)

    def put_event_route(self, id: str, route: Any) -> dict[str, Any]:
        return {"token": event_routes.put(self.session, self.principal, id, route)}

    def delete_event_route(self, id: str) -> dict[str, Any]:
        return {"token": event_routes.delete(self.session, self.principal, id)}

    # --- events ------------------------------------------------------------------------------------------------------

    def events(self, *, after: int | None = None, place: str | None = None, filter: str | None = None) -> dict[str, Any]:
        admits = filter_of("true" if filter is None else filter).admits
        last = self.session.store.last_commit(self.principal)
        begin = Place(last if after is None else after) if place is None else place_of(place, "place")
        found: list[Event] = []
        if begin.commit < last:
            found, begin = self.session.served.pages.after(self.principal, begin, admits)
        told = [{"commit": one.commit, "event": dict(one.body)} for one in found]
        return {"events": told, "through": begin.commit, "place": begin.text, "last": last}

    def webhooks(self) -> list[dict[str, Any]]:
        return webhooks.listed(self.session, self.principal)

    def webhook_letters(self, name: str, *, limit: int = 100) -> list[dict[str, Any]]:
        return webhooks.letters(self.session, self.principal, name, limit)

    def retry_webhook_letters(self, name: str, ids: Sequence[str] | None = None) -> dict[str, int]:
        return webhooks.retry(self.session, self.principal, name, ids)

    # --- jobs --------------------------------------------------------------------------------------------------------

    def import_jobs(self) -> list[dict[str, Any]]:
        return self._jobs.list(self.principal, jobs.IMPORT)

    def import_job(self, id: str) -> dict[str, Any]:
        return self._jobs.get(self.principal, jobs.IMPORT, id)

    def put_import_job(self, id: str, request: Any) -> dict[str, Any]:
        return self._jobs.begin(self.principal, jobs.IMPORT, id, request)

    def cancel_import_job(self, id: str) -> dict[str, Any]:
        return self._jobs.cancel(self.principal, id)

    def delete_import_job(self, id: str) -> dict[str, Any]:
        return {"token": self._jobs.remove(self.principal, id)}

    def delete_jobs(self) -> list[dict[str, Any]]:
        return self._jobs.list(self.principal, jobs.DELETE)

    def delete_job(self, id: str) -> dict[str, Any]:
        return self._jobs.get(self.principal, jobs.DELETE, id)

    def start_delete_job(self, id: str) -> dict[str, Any]:
        return self._jobs.begin(self.principal, jobs.DELETE, id, None)

    @property
    def _jobs(self) -> jobs.Jobs:
        """Those of the session, whoever asks."""
        if self.session.jobs is None:
            self.session.jobs = jobs.Jobs(self.session)
        return self.session.jobs

    def resume_jobs(self) -> None:
        """Go on with what was being done when the platform stopped."""
        self._jobs.resume()


def _incoming_shown(edge: Relationship) -> dict[str, Any]:
    link = f"/digitaltwins/{quote(edge.source, safe='')}/relationships/{quote(edge.id, safe='')}"
    named = {"$relationshipId": edge.id, "$sourceId": edge.source, "$relationshipName": edge.name}
    return {**named, "$relationshipLink": link}


def _edge_answer(done: Committed[Relationship]) -> dict[str, Any]:
    return {"etag": etag_of(done.value), "token": done.token}
