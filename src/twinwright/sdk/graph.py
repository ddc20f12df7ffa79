"""The graph's half of the client: twins, relationships, interfaces, event routes, jobs, events and webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import httpx

from twinwright.sdk.transport import Transport, given, page_of, part

Found = dict[str, Any]


class RestGraph:
    """The methods of `GraphSurface` as requests of the Azure Digital Twins data plane and of `/v1`."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    # --- twins -------------------------------------------------------------------------------------------------------

    def put_twin(self, id: str, document: Any, *, if_none_match: str | None = None, interface: str | None = None) -> Found:
        return _put(self._http.ask("PUT", _twin(id), json=document, headers=_if(none=if_none_match), params=given(interface=interface)))

    def patch_twin(
        self, id: str, patch: Any, *, component: str | None = None, if_match: str | None = None, interface: str | None = None
    ) -> Found:
        path = _twin(id) + (f"/components/{part(component)}" if component else "")
        return _done(self._http.ask("PATCH", path, json=patch, headers=_if(if_match), params=given(interface=interface)))

    def delete_twin(self, id: str, *, if_match: str | None = None) -> Found:
        return _done(self._http.ask("DELETE", _twin(id), headers=_if(if_match)))

    def component(self, id: str, component: str, *, interface: str | None = None) -> Found:
        return self._get(f"{_twin(id)}/components/{part(component)}", interface=interface)

    def send_telemetry(
        self,
        id: str,
        payload: Any,
        *,
        message_id: str,
        component: str | None = None,
        source_time: str | None = None,
        interface: str | None = None,
    ) -> Found:
        path = _twin(id) + (f"/components/{part(component)}" if component else "") + "/telemetry"
        headers = {"message-id": message_id, **({"telemetry-source-time": source_time} if source_time else {})}
        return _done(self._http.ask("POST", path, json=payload, headers=headers, params=given(interface=interface)))

    # --- relationships -----------------------------------------------------------------------------------------------

    def relationship(self, twin: str, id: str) -> Found:
        return self._get(_edge(twin, id))

    def incoming_relationships(self, twin: str) -> list[Found]:
        return self._http.all(f"{_twin(twin)}/incomingrelationships")

    def incoming_relationship_page(self, twin: str, *, continuation: str | None = None, max_items: int | None = None) -> Found:
        headers = {} if max_items is None else {"max-items-per-page": str(max_items)}
        path, asked = f"{_twin(twin)}/incomingrelationships", given(continuationToken=continuation)
        return page_of(self._http.json("GET", path, params=asked, headers=headers))

    def put_relationship(self, twin: str, id: str, document: Any, *, if_none_match: str | None = None) -> Found:
        return _put(self._http.ask("PUT", _edge(twin, id), json=document, headers=_if(none=if_none_match)))

    def patch_relationship(self, twin: str, id: str, patch: Any, *, if_match: str | None = None) -> Found:
        return _done(self._http.ask("PATCH", _edge(twin, id), json=patch, headers=_if(if_match)))

    def delete_relationship(self, twin: str, id: str, *, if_match: str | None = None) -> Found:
        return _done(self._http.ask("DELETE", _edge(twin, id), headers=_if(if_match)))

    # --- the graph as a whole ----------------------------------------------------------------------------------------

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
    ) -> Found:
        options = {"event_time": event_time, "as_of": as_of, "known_at": known_at, "kind": kind, "continuationToken": continuation}
        headers = {} if max_items is None else {"max-items-per-page": str(max_items)}
        asked = given(**{"from": start, "to": end}, **options)
        return cast(Found, self._http.json("GET", "/v1/graph/diff", params=asked, headers=headers))

    def update(self, query: str, *, after: int | None = None, interface: str | None = None, **change: Any) -> Found:
        asked = {"query": query, **change}
        return cast(Found, self._http.json("POST", "/v1/graph/update", json=asked, params=given(after=after, interface=interface)))

    def import_query(self, query: str | None = None, *, template: Any, after: int | None = None, **options: Any) -> Found:
        asked = {**({} if query is None else {"query": query}), "template": template, **options}
        return cast(Found, self._http.json("POST", "/v1/graph/import", json=asked, params=given(after=after)))

    # --- interfaces --------------------------------------------------------------------------------------------------

    def interface_list(self, *, dependencies_for: Sequence[str] = ()) -> list[Found]:
        return self._http.all("/models", {"includeModelDefinition": "true", "dependenciesFor": list(dependencies_for)})

    def interface(self, dtmi: str) -> Found:
        return self._get(f"/models/{part(dtmi)}", includeModelDefinition=True)

    def add_interfaces(self, documents: Any) -> list[Found]:
        added = cast(list[Found], self._http.json("POST", "/models", json=documents))
        wanted = {one["id"] for one in added}
        return [one for one in self.interface_list() if one["id"] in wanted]

    def decommission_interface(self, dtmi: str, patch: Any) -> Found:
        return _done(self._http.ask("PATCH", f"/models/{part(dtmi)}", json=patch))

    def delete_interface(self, dtmi: str) -> Found:
        return _done(self._http.ask("DELETE", f"/models/{part(dtmi)}"))

    # --- event routes, events, webhooks ------------------------------------------------------------------------------

    def event_routes(self) -> list[Found]:
        return self._http.all("/eventroutes")

    def event_route(self, id: str) -> Found:
        return self._get(f"/eventroutes/{part(id)}")

    def put_event_route(self, id: str, route: Any) -> Found:
        return _done(self._http.ask("PUT", f"/eventroutes/{part(id)}", json=route))

    def delete_event_route(self, id: str) -> Found:
        return _done(self._http.ask("DELETE", f"/eventroutes/{part(id)}"))

    def events(self, *, after: int | None = None, place: str | None = None, filter: str | None = None) -> Found:
        return self._get("/v1/events", since=after, place=place, filter=filter)

    def webhooks(self) -> list[Found]:
        return self._list("/v1/webhooks")

    def webhook_letters(self, name: str, *, limit: int = 100) -> list[Found]:
        return self._list(f"/v1/webhooks/{part(name)}/dead-letters", limit=limit)

    def retry_webhook_letters(self, name: str, ids: Sequence[str] | None = None) -> dict[str, int]:
        asked = {"ids": None if ids is None else list(ids)}
        return cast(dict[str, int], self._http.json("POST", f"/v1/webhooks/{part(name)}/retry", json=asked))

    # --- jobs --------------------------------------------------------------------------------------------------------

    def import_jobs(self) -> list[Found]:
        return self._http.all("/jobs/imports")

    def import_job(self, id: str) -> Found:
        return self._get(f"/jobs/imports/{part(id)}")

    def put_import_job(self, id: str, request: Any) -> Found:
        return cast(Found, self._http.json("PUT", f"/jobs/imports/{part(id)}", json=request))

    def cancel_import_job(self, id: str) -> Found:
        return cast(Found, self._http.json("POST", f"/jobs/imports/{part(id)}/cancel"))

    def delete_import_job(self, id: str) -> Found:
        return _done(self._http.ask("DELETE", f"/jobs/imports/{part(id)}"))

    def delete_jobs(self) -> list[Found]:
        return self._http.all("/jobs/deletions")

    def delete_job(self, id: str) -> Found:
        return self._get(f"/jobs/deletions/{part(id)}")

    def start_delete_job(self, id: str) -> Found:
        return cast(Found, self._http.json("POST", "/jobs/deletions", headers={"operation-id": id}))

    def _get(self, path: str, **options: Any) -> Found:
        return cast(Found, self._http.json("GET", path, params=given(**options)))

    def _list(self, path: str, **options: Any) -> list[Found]:
        return cast(list[Found], self._get(path, **options)["value"])


def _twin(id: str) -> str:
    return f"/digitaltwins/{part(id)}"


def _edge(twin: str, id: str) -> str:
    return f"{_twin(twin)}/relationships/{part(id)}"


def _if(match: str | None = None, *, none: str | None = None) -> dict[str, str]:
    return {**({"if-match": match} if match else {}), **({"if-none-match": none} if none else {})}


def _put(answer: httpx.Response) -> Found:
    return {"document": answer.json(), **_done(answer)}


def _done(answer: httpx.Response) -> Found:
    """What a write answers: its commit, and the etag where there is one."""
    etag = answer.headers.get("etag")
    return {**({"etag": etag} if etag else {}), "token": int(answer.headers["twinwright-token"])}
