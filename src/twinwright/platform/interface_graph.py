"""The graph's half of the surface: what clients of the Azure Digital Twins data plane do, one method for each operation.

Documents are in that data plane's shape. Whatever writes returns once it is durable, with the commit's number as `token`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

Progress = Callable[[int, int], None]  # done, total


class GraphSurface(Protocol):
    """`interface` is the version of a twin's interface that the client speaks (a twin's own unless given): in its names and units is what
    it writes and is shown.

    Raises the errors of the data plane: `DigitalTwinNotFound`, `PreconditionFailed`, `ValidationFailed`, `JsonPatchInvalid` ..."""

    # twins
    def put_twin(self, id: str, document: Any, *, if_none_match: str | None = None, interface: str | None = None) -> dict[str, Any]:
        """`document etag token`: make a twin or replace one whole; with `if_none_match="*"` only where there is none. Its `$model` says
        which version it speaks; an `interface` has to be the same."""
        ...

    def patch_twin(
        self, id: str, patch: Any, *, component: str | None = None, if_match: str | None = None, interface: str | None = None
    ) -> dict[str, Any]:
        """`etag token`: a JSON Patch on a twin or one of its components."""
        ...

    def delete_twin(self, id: str, *, if_match: str | None = None) -> dict[str, Any]:
        """`token`: its lifetime ends; what was known of it stays readable at earlier times."""
        ...

    def component(self, id: str, component: str, *, interface: str | None = None) -> dict[str, Any]:
        """Its part of the twin's document, and the twin's `$etag`."""
        ...

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
        """`token`: a message, kept whole under its id for whoever follows the commits; values of Telemetry in it are observed."""
        ...

    # relationships
    def relationship(self, twin: str, id: str) -> dict[str, Any]: ...

    def incoming_relationships(self, twin: str) -> list[dict[str, Any]]:
        """`$relationshipId $sourceId $relationshipName $relationshipLink` of each, by source and id."""
        ...

    def incoming_relationship_page(self, twin: str, *, continuation: str | None = None, max_items: int | None = None) -> dict[str, Any]:
        """The same a page at a time: `value[]`, and a `continuationToken` while there is more. Raises UsageError."""
        ...

    def put_relationship(self, twin: str, id: str, document: Any, *, if_none_match: str | None = None) -> dict[str, Any]:
        """`document etag token`."""
        ...

    def patch_relationship(self, twin: str, id: str, patch: Any, *, if_match: str | None = None) -> dict[str, Any]:
        """`etag token`."""
        ...

    def delete_relationship(self, twin: str, id: str, *, if_match: str | None = None) -> dict[str, Any]:
        """`token`."""
        ...

    # many at once
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
        """Change every twin that a query selects: values by path (numbers with units: `"3 bar"`), paths to empty, a JSON Patch, deletion.
        `id matched changed unchanged deleted relationships refused missing commits token problems[]`; a dry run changes nothing, and has
        a `preview[]`. Raises InvalidTwinError, with nothing written, where any twin can't be changed so; QueryError, BusyError."""
        ...

    def resume_updates(self) -> list[dict[str, Any]]:
        """Go on with updates that were interrupted: what each came to, as `update`."""
        ...

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
        """Make twins and relationships of rows by a template (`{"twins": [...], "relationships": [...]}`, `{column}` in their texts): the
        rows of a query, or `rows` of a table, or both joined where the columns `on` are the same. What is there is given what the
        template says of it. `id rows unmatched twins_created twins_changed relationships_created relationships_changed unchanged refused
        commits token problems[]`; a dry run writes nothing, and has a `preview[]`. Raises InvalidTwinError, with nothing written, where
        any document does not fit; QueryError, TooLargeError, BusyError."""
        ...

    def resume_query_imports(self) -> list[dict[str, Any]]:
        """Go on with imports by query that were interrupted: what each came to, as `import_query`."""
        ...

    def import_graph(self, files: Sequence[str], *, dry_run: bool = False, progress: Progress | None = None) -> dict[str, Any]:
        """Models, twins and relationships of files: NDJSON of Azure Digital Twins, graphs of its Explorer, DTDL, folders of these. All
        is checked first: `models twins relationships unchanged refused commits token problems[]`. Raises InvalidTwinError, and writes
        nothing."""
        ...

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
        """Twins of one interface, a row of CSV each; `map` is the path (or relationship) of columns called otherwise. As `import_graph`."""
        ...

    # what is different
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
        """`value[]{kind change id properties{}}` from one instant to another (None: now), a page of it, `counts` of all, `from`, `to`,
        `continuationToken`. Instants are commits, or times: what was known then, of the world at `as_of`; with `event_time` times of the
        world, as known at `known_at`. Raises UsageError."""
        ...

    # interfaces
    def interface_list(self, *, dependencies_for: Sequence[str] = ()) -> list[dict[str, Any]]:
        """`id displayName description uploadTime decommissioned model` of all, or of some with all that they extend and contain."""
        ...

    def interface(self, dtmi: str) -> dict[str, Any]: ...

    def add_interfaces(self, documents: Any) -> list[dict[str, Any]]:
        """All of them or none. Raises SchemaError, ModelAlreadyExistsError."""
        ...

    def decommission_interface(self, dtmi: str, patch: Any) -> dict[str, Any]:
        """`token`: from then on no new twin is of it. `patch` replaces `/decommissioned`."""
        ...

    def delete_interface(self, dtmi: str) -> dict[str, Any]: ...

    def retire_interface(self, dtmi: str) -> dict[str, Any]:
        """`retired interface token`: no twins and no clients of it from now on; its history is read through later versions. Raises
        RefusedError naming every twin, contract, derived value, model and scenario that uses it."""
        ...

    def schema_versions(self) -> list[dict[str, Any]]:
        """Every version that a migration names: `interface migration share twins retired`; since the platform began `readings` accepted by
        contract, `reads` and `writes` by client, `errors`, `last_used`; and `in_use`: what keeps it from being retired, in words."""
        ...

    # event routes
    def event_routes(self) -> list[dict[str, Any]]: ...

    def event_route(self, id: str) -> dict[str, Any]: ...

    def put_event_route(self, id: str, route: Any) -> dict[str, Any]: ...

    def delete_event_route(self, id: str) -> dict[str, Any]: ...

    # jobs
    # --- events ------------------------------------------------------------------------------------------------------

    def events(self, *, after: int | None = None, place: str | None = None, filter: str | None = None) -> dict[str, Any]:
        """`events` (`commit event`: a CloudEvent) of the next commits after one (None: the newest) that a filter admits. They may end in
        the midst of a commit: `place` is where, and is given to go on; through commit `through` it is all. `last` is the newest commit."""
        ...

    def webhooks(self) -> list[dict[str, Any]]:
        """`name url filters commit dead_letters expired`: how far each is, how many events it gave up, how many of them are gone."""
        ...

    def webhook_letters(self, name: str, *, limit: int = 100) -> list[dict[str, Any]]:
        """`id at event reason attempts` of what a webhook has given up, oldest first."""
        ...

    def retry_webhook_letters(self, name: str, ids: Sequence[str] | None = None) -> dict[str, int]:
        """Send them once more (None: all): `delivered still_refused left`."""
        ...

    def import_jobs(self) -> list[dict[str, Any]]: ...

    def import_job(self, id: str) -> dict[str, Any]:
        """`id status progress{lines models twins relationships errors} inputBlobUri outputBlobUri createdDateTime ... error`."""
        ...

    def put_import_job(self, id: str, request: Any) -> dict[str, Any]:
        """Import a file of the workspace (`inputBlobUri`), and tell of it in another (`outputBlobUri`). Raises JobLimitError."""
        ...

    def cancel_import_job(self, id: str) -> dict[str, Any]: ...

    def delete_import_job(self, id: str) -> dict[str, Any]:
        """Forget one that has finished: `token`."""
        ...

    def delete_jobs(self) -> list[dict[str, Any]]: ...

    def delete_job(self, id: str) -> dict[str, Any]: ...

    def start_delete_job(self, id: str) -> dict[str, Any]:
        """Delete every relationship and twin, and every interface that a client added."""
        ...
