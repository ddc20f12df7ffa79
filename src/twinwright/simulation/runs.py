"""Runs as they are kept: batches of runs of one model, written whole or not at all, each run catalogued in the store."""

from __future__ import annotations

import re
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from twinwright.clock import SECOND, Clock, from_iso
from twinwright.errors import NotFoundError, StoreError
from twinwright.governance.principals import Principal
from twinwright.simulation import run_files
from twinwright.simulation.protocol import FailureKind
from twinwright.simulation.run_files import StoredRun
from twinwright.storage.records import RecordStore

RUN = "run"
MACHINE_FAILURES: frozenset[FailureKind] = frozenset({"timeout", "memory", "crashed"})
LARGEST_BATCH: Final = 1024
_MOST_BYTES: Final = 16 * 1024 * 1024
_LONGEST_WAIT: Final = SECOND
_IDS_AT_ONCE: Final = 128
_SUMMARY: tuple[str, ...] = ("id", "digest", "status", "failure", "model", "model_version", "twin", "from", "scenario", "sweep", "member")
_SUMMARY += ("started", "seconds")

Question = tuple[str, str, str]
"""What a run answers: its digest, for which twin, by which model."""


def reusable(record: Mapping[str, Any]) -> bool:
    """Whether an equal request would get this answer again: not where the machine, not the model, failed."""
    failure = record["failure"]
    return failure is None or failure["kind"] not in MACHINE_FAILURES


class RunWriter:
    """Keeps runs as they end, some at a time: a batch costs hardly more than a run, and is written by a thread while the next comes
    together. Leaving it keeps the rest; `kept` is called with each run that is, in the thread that adds them."""

    def __init__(self, store: RunStore, principal: Principal, clock: Clock, kept: Callable[[StoredRun], object]) -> None:
        self._store, self._principal, self._clock, self._kept = store, principal, clock, kept
        self._waiting: list[StoredRun] = []
        self._bytes = self._since = 0
        self._thread = ThreadPoolExecutor(1, "keeping-runs")
        self._saving: deque[tuple[list[StoredRun], Future[None]]] = deque()

    def add(self, run: StoredRun) -> None:
        """Raises ForbiddenError, StoreError, of this run or of those before it."""
        if self._saving and self._saving[0][1].done():
            self._settle()
        now = self._clock.monotonic()
        if not self._waiting:
            self._since = now
        self._waiting.append(run)
        self._bytes += (
            len(run.log) + (run.outputs.nbytes if run.outputs is not None else 0) + (run.states.nbytes if run.states is not None else 0)
        )
        if now - self._since >= _LONGEST_WAIT or len(self._waiting) >= LARGEST_BATCH or self._bytes >= _MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        """Begin to write what waits, once no more than one batch is being written. Raises as `add`."""
        while len(self._saving) > 1:
            self._settle()
        runs, self._waiting, self._bytes = self._waiting, [], 0
        if runs:
            self._saving.append((runs, self._thread.submit(self._store.save, self._principal, runs)))

    def _settle(self) -> None:
        runs, saved = self._saving.popleft()
        saved.result()
        for run in runs:
            self._kept(run)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._thread:
            if isinstance(error, StoreError):
                return
            self.flush()  # what has ended is kept, whatever ended the rest
            while self._saving:
                self._settle()


class RunStore:
    """Runs on disk, catalogued in the store."""

    def __init__(self, directory: Path, records: RecordStore) -> None:
        self.directory = directory
        self.records = records
        self._ids: list[str] = []

    def new_id(self) -> str:
        while True:
            try:
                return self._ids.pop()
            except IndexError:  # many at a time: each asks the kernel
                drawn = secrets.token_hex(8 * _IDS_AT_ONCE)
                self._ids += [drawn[at : at + 16] for at in range(0, len(drawn), 16)]

    def save(self, principal: Principal, runs: Sequence[StoredRun]) -> None:
        """Keep some runs of one model: their files first, then all of them in the catalogue at one commit. Raises ForbiddenError,
        StoreError; then none of them is kept."""
        principal.require_write()
        batch = self.new_id()
        try:
            run_files.write_batch(self.directory, batch, runs)
        except OSError as error:
            raise StoreError(
                f"runs can't be kept: {error.strerror}", where=str(self.directory), remedy="Check space and permissions"
            ) from error
        common: tuple[Any, dict[str, Any]] = (None, {})
        summaries = {}
        for run in runs:
            own = run.own
            if common[0] is not run.common:
                common = run.common, {name: run.common[name] for name in _SUMMARY if name in run.common} | {"batch": batch}
            summaries[run.id] = {**common[1], **{name: own[name] for name in _SUMMARY if name in own}}
        self.records.put_records(principal, RUN, summaries)

    def reusable(self, principal: Principal, digests: Collection[str], since: int | None = None) -> dict[Question, list[dict[str, Any]]]:
        """The summaries of the runs of these digests whose answers may be given again, newest first, by what they answer; only those begun
        at or after a time."""
        found: dict[Question, list[dict[str, Any]]] = {}
        for record in reversed(self.records.records_of_digest(principal, RUN, digests)):
            body = record.body
            if not body.get("pruned") and reusable(body) and (since is None or from_iso(body["started"]) >= since):
                found.setdefault((body["digest"], body["twin"], body["model"]), []).append(body)
        return found

    def prune(self, principal: Principal, before: int, *, dry_run: bool) -> dict[str, Any]:
        """Remove the runs that began before a time, and the inputs and models that no other run has."""
        known = self.list(principal)
        old = [one for one in known if from_iso(one["started"]) < before]
        kept = {one["batch"] for one in known} - {one["batch"] for one in old}
        folders = [self.directory / "batches" / name for name in sorted({one["batch"] for one in old} - kept)]
        shared = run_files.unused(self.directory, kept)
        size = run_files.size_of([*folders, *shared])
        if not dry_run:
            if old:
                self.records.put_records(principal, RUN, {one["id"]: {**one, "pruned": True} for one in old})
            for path in (*folders, *shared):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        return {"removed": len(old), "bytes": size, "dry_run": dry_run}

    def list(self, principal: Principal) -> list[dict[str, Any]]:
        """The summaries of all runs, oldest first."""
        return [record.body for record in self.records.records(principal, RUN) if not record.body.get("pruned")]

    def load(self, principal: Principal, id: str) -> StoredRun:
        """A run by its id or a unique prefix of it. Raises NotFoundError, StoreError for a folder that is gone or damaged."""
        if not re.fullmatch(r"[0-9a-f]{1,32}", id):
            raise NotFoundError(f"'{id}' is not the id of a run", remedy="`twinwright runs list` shows them")
        return self.read(self.records.get_record(principal, RUN, id).body, run_files.RunReader(self.directory))

    def load_all(self, principal: Principal, ids: Sequence[str]) -> Iterator[StoredRun]:
        """Runs by their whole ids, in this order, asked of the store together. Raises NotFoundError, StoreError, when it comes to one."""
        known = {record.id: record.body for record in self.records.records(principal, RUN)}
        reader = run_files.RunReader(self.directory)
        for id in ids:
            if id not in known:
                raise NotFoundError(f"there is no run '{id}'", remedy="Run its scenario again")
            yield self.read(known[id], reader)

    def read(self, summary: Mapping[str, Any], reader: run_files.RunReader) -> StoredRun:
        """The run that a summary is of. Raises NotFoundError for one that was pruned, StoreError for files that are gone or damaged."""
        id = summary["id"]
        if summary.get("pruned"):
            raise NotFoundError(f"the run {id} was pruned", remedy="Run its scenario again")
        try:
            return reader.read(summary["batch"], id)
        except run_files.UNREADABLE as error:
            batch = self.directory / "batches" / str(summary.get("batch"))
            raise StoreError(
                f"the run {id} can't be read: {error}", where=str(batch), remedy="Restore the folder or run it again"
            ) from error
