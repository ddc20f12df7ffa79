"""The platform in this process: `Platform` on an opened session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from twinwright.clock import parse_duration, span_of, time_of, to_iso
from twinwright.errors import UsageError
from twinwright.governance.principals import LOCAL_ADMIN, Principal
from twinwright.platform import health, keeping, reconciling, replaying, retention, series_file
from twinwright.platform.gaps import find_gaps
from twinwright.platform.ingest import ingest_files
from twinwright.platform.interface import Progress
from twinwright.platform.local_forks import LocalForks
from twinwright.platform.local_simulation import LocalSimulation
from twinwright.platform.reconcile import reconcile_against, reconcile_state
from twinwright.platform.served import Served
from twinwright.platform.session import Session
from twinwright.platform.shown import group_shown, letter_shown
from twinwright.storage.layout import LANES, Lane
from twinwright.telemetry.idempotency import key_of
from twinwright.telemetry.payloads import REASONS, Delivery, Payload, Receipt
from twinwright.workspace import contracts

_PAYLOAD_SHOWN = 4_000


class LocalPlatform(LocalForks, LocalSimulation):
    """Every method of `Platform`, acting as `principal`; `owner`: who has the folder asks, and not a client of the API."""

    def __init__(self, session: Session, principal: Principal = LOCAL_ADMIN, *, owner: bool = True) -> None:
        self.session, self.principal, self.owner = session, principal, owner

    @classmethod
    def open(cls, folder: Path, *, unless: Callable[[], bool] | None = None) -> LocalPlatform:
        """Open the workspace's store in this process. Raises StoreInUseError when another keeps it, at once where `unless` is so."""
        return cls(Session(folder, unless=unless))

    def as_principal(self, principal: Principal) -> LocalPlatform:
        return LocalPlatform(self.session, principal, owner=False)

    def close(self) -> None:
        self.session.close()

    # --- workspace ---------------------------------------------------------------------------------------------------

    def plan(self) -> dict[str, Any]:
        planned = self.session.plan(self.principal)
        return {**planned, "deletes": self._deletes(planned)}

    def _deletes(self, planned: Mapping[str, Any]) -> dict[str, Any]:
        """What a changed retention lets go of at the next pass, which an apply can't undo."""
        if not any(change["kind"] == "retention" for change in planned["changes"]):
            return {"readings": 0, "values": 0, "bytes": 0}
        return retention.deletes(self.session, self.principal, self.session.workspace.settings.retention.history)

    def apply(self) -> dict[str, Any]:
        return self.session.apply(self.principal)

    def contract_diff(self) -> dict[str, Any]:
        applied, folder = self.session.served.applied.contracts, self.session.workspace.contracts
        both = [name for name in folder if name in applied and folder[name].revision <= applied[name].revision]
        found = contracts.changes(*({name: one.spec for name, one in these.items()} for these in (applied, folder)))
        return {"changes": found, "raise_revision": sorted(name for name in both if not folder[name].means_as(applied[name]))}

    # --- telemetry ---------------------------------------------------------------------------------------------------

    def ingest(self, files: Sequence[str], contract: str, *, progress: Progress | None = None) -> dict[str, Any]:
        self.session.apply_first(self.principal)
        return ingest_files(self.session, self.principal, files, contract, progress).as_json()

    def push(self, contract: str, payloads: Sequence[Payload], *, key: str | None = None) -> Receipt:
        self.principal.require_write()
        named = None if key is None else key_of(key, payloads)
        return self.session.pipeline.submit(Delivery(contract, tuple(payloads), key=named))

    def replay(
        self,
        *,
        start: str | None = None,
        end: str | None = None,
        contract: str | None = None,
        dry_run: bool = False,
        rate: float | None = None,
    ) -> dict[str, Any]:
        first, last = span_of(start, end)
        return replaying.replay(self.session, self.principal, contract, start=first, end=last, dry_run=dry_run, rate=rate)

    def dead_letters(self, *, contract: str | None = None, reason: str | None = None, limit: int = 100) -> dict[str, Any]:
        if reason is not None and reason not in REASONS:
            raise UsageError(f"there is no reason '{reason}'", where="reason", remedy=f"Use one of {', '.join(REASONS)}")
        if limit < 1:
            raise UsageError(f"{limit} dead letters can't be shown", where="limit", remedy="Give a number above 0")
        by_reason = self.session.store.dead_letter_counts(self.principal, contract=contract)
        letters = self.session.store.dead_letters(self.principal, contract=contract, reason=reason, limit=limit)
        total = by_reason.get(reason, 0) if reason else sum(by_reason.values())
        groups = self.session.store.dead_letter_groups(self.principal, contract=contract)
        expired = self.session.store.dead_letter_groups(self.principal, contract=contract, status="expired")
        shown = [group_shown(one) for one in groups if reason in (None, one.reason)]
        gone = sum(one.count for one in expired)
        items = [letter_shown(letter, _PAYLOAD_SHOWN) for letter in letters]
        return {"total": total, "by_reason": by_reason, "groups": shown, "expired": gone, "items": items}

    def dead_letter(self, id: int) -> dict[str, Any]:
        return letter_shown(self.session.store.dead_letter(self.principal, id), None)

    def retry_dead_letters(self, ids: Sequence[int] | None = None, *, contract: str | None = None, dry_run: bool = False) -> dict[str, Any]:
        store, started = self.session.store, perf_counter()
        if ids is None:
            letters = store.dead_letters(self.principal, contract=contract, limit=1_000_000)
        else:
            letters = [letter for letter in (store.dead_letter(self.principal, id) for id in ids) if letter.status == "open"]
        receipt, still = self.session.reprocessing.retry(self.principal, letters, dry_run=dry_run)
        return {
            **replace(receipt, seconds=perf_counter() - started).as_json(),
            "still_refused": still,
            **({"dry_run": True} if dry_run else {}),
        }

    def expire_dead_letters(self, *, older_than: str | None = None) -> dict[str, Any]:
        self.principal.require_admin()
        kept = older_than or self.session.settings.retention.dead_letters
        if kept is None:
            remedy = "Say --older-than, or set dead_letters in [retention] of twinwright.toml"
            raise UsageError("dead letters are kept for ever", where="older_than", remedy=remedy)
        before = self.session.clock.now() - parse_duration(kept, where="older_than")
        return {"expired": self.session.store.expire_dead_letters(self.principal, before), "before": to_iso(before)}

    # --- twins -------------------------------------------------------------------------------------------------------

    def state(
        self,
        twin: str | None = None,
        *,
        as_of: str | None = None,
        known_at: str | int | None = None,
        lane: str = "observed",
        facts: bool = False,
        after: int | None = None,
        interface: str | None = None,
    ) -> dict[str, Any]:
        chosen = self._lane(lane, after)
        time, commit, now = time_of(as_of, "as-of"), self._commit(known_at), self.session.clock.now()
        options: dict[str, Any] = {"as_of": time, "known_at": commit, "lane": chosen, "facts": facts, "now": now, "interface": interface}
        with self._as_version(interface or (None if twin is None else self._version_of(twin)), "document"):
            if twin is not None:
                return self.session.read(lambda served: served.reads.document(self.principal, twin, **options))
            return {"value": self.session.read(lambda served: served.reads.documents(self.principal, **options))}

    def _lane(self, lane: str, after: int | None) -> Lane:
        """A lane that a read wants, once it can be read. Raises UsageError."""
        if lane not in LANES:
            raise UsageError(f"there is no lane '{lane}'", where="lane", remedy=f"Use one of {', '.join(LANES)}")
        self.session.wait_for(self.principal, after)
        if lane == "derived":
            self.session.wait_for_derived(self.principal, after)
        return lane

    def twins(self) -> list[dict[str, Any]]:
        registry = self.session.served.applied.registry
        newest: dict[int, int] = {}
        for _, cells in self.session.state.tables():
            for number, time in zip(cells["twin"].to_pylist(), cells["time"].to_pylist(), strict=True):
                newest[number] = max(time, newest.get(number, time))
        lives = [registry.current(twin) for twin in registry.twins]
        return [
            {"$dtId": life.twin, "$model": life.interface, "newest": to_iso(newest[life.number]) if life.number in newest else None}
            for life in lives
        ]

    def history(
        self,
        twin: str,
        path: str,
        *,
        start: str | None = None,
        end: str | None = None,
        every: str | None = None,
        agg: str = "mean",
        unit: str | None = None,
        known_at: str | int | None = None,
        lane: str = "observed",
        after: int | None = None,
        interface: str | None = None,
    ) -> dict[str, Any]:
        first, last = span_of(start, end)
        chosen = self._lane(lane, after)
        own = self._version_of(twin)
        spoken = interface or (None if own is None else self.session.served.applied.lineages.speaker(own, path))
        with self._as_version(spoken, "history"):
            options: dict[str, Any] = {
                "start": first,
                "end": last,
                "every": None if every is None else parse_duration(every, where="every"),
                "agg": agg,
                "unit": unit,
                "known_at": self._commit(known_at),
                "lane": chosen,
                "interface": interface,
            }
            return self.session.read(lambda served: served.reads.history(self.principal, twin, path, **options))

    def query(
        self,
        text: str,
        *,
        continuation: str | None = None,
        max_items: int | None = None,
        after: int | None = None,
        interface: str | None = None,
    ) -> dict[str, Any]:
        self.session.wait_for(self.principal, after)

        def ask(served: Served) -> dict[str, Any]:
            return served.queries.query(self.principal, text, continuation, max_items, lambda at: self._commit(at) or 0, interface)

        with self._as_version(interface, "query"):
            return self.session.read(ask)

    def interfaces(self) -> list[dict[str, Any]]:
        return [one["model"] for one in self.interface_list()]

    def paths(self, twin: str) -> list[dict[str, Any]]:
        applied = self.session.served.applied
        infos = applied.ontology.paths(applied.registry.current(twin).interface)
        return [
            {"path": info.path, "kind": info.kind, "type": getattr(info.schema, "name", type(info.schema).__name__), "unit": info.unit}
            for info in infos.values()
        ]

    def gaps(self, contract: str | None = None, *, start: str | None = None, end: str | None = None) -> dict[str, Any]:
        return find_gaps(self.session, self.principal, contract, start, end)

    def reconciliations(self) -> list[dict[str, Any]]:
        return reconciling.listed(self.session, self.principal)

    def run_reconciliation(self, name: str) -> dict[str, Any]:
        return reconciling.run(self.session, self.principal, name)

    def reconcile(self, *, against: str | None = None, contract: str | None = None, repair: bool = False) -> dict[str, Any]:
        if against is None:
            if contract is not None or repair:
                raise UsageError(
                    "there is no snapshot to compare with", where="against", remedy="Say where it is: --against FILE, a URL, or source"
                )
            return reconcile_state(self.session, self.principal)
        if contract is None:
            raise UsageError("nobody says how the snapshot is read", where="contract", remedy="Name the contract: --contract NAME")
        return reconcile_against(self.session, self.principal, against, contract, repair=repair)

    # --- copies ------------------------------------------------------------------------------------------------------

    def backup(self, to: str) -> dict[str, Any]:
        return keeping.backup(self.session, self.principal, Path(to))

    def restore(self, source: str) -> dict[str, Any]:
        return keeping.take_in(self.session, self.principal, Path(source), "backup")

    def export(
        self,
        to: str,
        *,
        journal: bool = False,
        twins: Sequence[str] | None = None,
        paths: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        format: str | None = None,
    ) -> dict[str, Any]:
        if twins or paths or start or end or format:
            if journal:
                raise UsageError("series have no journal", where="journal", remedy="Leave out --journal, or what selects series")
            return series_file.export(self.session, self.principal, Path(to), twins, paths, *span_of(start, end), format)
        return keeping.export(self.session, self.principal, Path(to), journal=journal)

    def import_(self, source: str) -> dict[str, Any]:
        return keeping.take_in(self.session, self.principal, Path(source), "export")

    def kpi(self, *, window: str = "PT1H") -> dict[str, Any]:
        return health.kpi(self.session, self.principal, window)

    def status(self) -> dict[str, Any]:
        return health.status(self.session, self.principal)

    def clock(self) -> dict[str, Any]:
        return health.clock(self.session, self.principal)

    def trust_clock(self) -> dict[str, Any]:
        return health.trust_clock(self.session, self.principal)

    def metrics(self) -> bytes:
        self.status()  # sets the gauges that are asked for, not counted
        return self.session.metrics.render()
