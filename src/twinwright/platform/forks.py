"""The forks of a workspace: each is a folder with what it forks, a store of its own and its runs. Nothing of them is in the store."""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Final

from twinwright.clock import to_iso
from twinwright.derived.consumer import POSITIONS, places_at
from twinwright.errors import NotFoundError, RefusedError, StoreError, UsageError
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.observability.logs import get_logger
from twinwright.platform.horizon import require_horizon
from twinwright.platform.session import Session
from twinwright.simulation.runs import RUN
from twinwright.storage.forked import Beginning, ForkedStore
from twinwright.storage.layout import Commit
from twinwright.storage.registry import open_store

MOST: Final = 100
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_FILE: Final = "fork.json"
_log = get_logger("forks")


@dataclass(frozen=True, slots=True)
class Fork:
    """`commit` is the one that it forks, made at `at`; `tables` are the numbers of the reading tables that there were. Microseconds.

    `followed` is by definition the commit through which the derived values are there that it forks; None: it can't be told."""

    name: str
    commit: int
    at: int
    tables: tuple[int, ...]
    created: int
    by: str
    followed: Mapping[str, int] | None


class Forks:
    """Those of one session. One is opened when it is first asked for, and stays open until it is dropped or the session is closed."""

    def __init__(self, session: Session) -> None:
        self._session, self._folder = session, session.private / "forks"
        self._lock = threading.RLock()
        self._opened: dict[str, Session] = {}

    def create(self, principal: Principal, name: str, at: int | None) -> Fork:
        """Fork the workspace at a commit (None: the newest). Raises UsageError, RefusedError, ForbiddenError."""
        principal.require_write()
        if not _NAME.fullmatch(name):
            remedy = "Use 1 to 63 of a-z, 0-9, - and _, and begin with a letter or digit"
            raise UsageError(f"'{name[:80]}' is no name of a fork", where="name", remedy=remedy)
        with self._lock:
            if (self._folder / name).exists():
                remedy = f"Take another name, or drop it: twinwright fork drop {name}"
                raise RefusedError(f"there is a fork '{name}' already", where="name", remedy=remedy)
            if len(self._names()) >= MOST:
                raise RefusedError(f"there are {MOST} forks", where="name", remedy="Drop one: twinwright fork drop NAME")
            followed = self._followed(at)
            line, tables = self._begun(at)
            fork = Fork(name, line.number, line.at, tables, self._session.clock.now(), principal.name, followed)
            self._write(fork)
        _log.info("forked", fork=name, commit=line.number, by=principal.name)
        return fork

    def _followed(self, commit: int | None) -> Mapping[str, int] | None:
        """How far what is derived had come by a commit. Where that is the newest (None), asked before which it is: what was derived by then
        is there at it."""
        store, names = self._session.store, [one.definition.name for one in self._session.served.applied.bindings]
        if commit is not None:
            return places_at(store, SYSTEM, names, commit)
        return {name: store.position(SYSTEM, POSITIONS, name) for name in names}

    def _begun(self, at: int | None) -> tuple[Commit, tuple[int, ...]]:
        """The commit to fork, and the reading tables that there are by then."""
        store = self._session.store
        commit = store.last_commit(SYSTEM) if at is None else at
        tables = tuple(table.number for table in store.reading_tables(SYSTEM))
        applies = store.commits(SYSTEM, kind="apply")
        if not any(one.number <= commit for one in applies):  # none of what was applied is read: it grows with the twins
            remedy = "Run `twinwright apply` first" if at is None else "Fork a later commit"
            raise RefusedError(f"nothing was applied by commit {commit}", where="at", remedy=remedy)
        line = self._line(commit)
        newest = applies[-1].number
        if newest > commit:  # which tables it made is not told
            what = f"the workspace was applied at commit {newest}, after commit {commit}"
            raise RefusedError(what, where="at", remedy=f"Fork commit {newest} or a later one")
        return line, tables

    def _line(self, commit: int) -> Commit:
        """A commit, of which what was known at it is kept. Raises RefusedError."""
        lines = {line.number: line for line in self._session.store.commits(SYSTEM, first=commit, last=commit + 1)}
        following = lines[commit + 1].at if commit + 1 in lines else None
        require_horizon(self._session, following, where="fork", otherwise="Fork a later commit")
        if commit not in lines:
            raise RefusedError(
                f"the store has no commit {commit}", where="fork", remedy="Bring back the store that was forked, or drop the fork"
            )
        return lines[commit]

    def _write(self, fork: Fork) -> None:
        """Whole or not at all."""
        fresh = self._folder / f".{fork.name}.new"
        shutil.rmtree(fresh, ignore_errors=True)  # of one that was stopped here
        try:
            fresh.mkdir(mode=0o700, parents=True)
            with (fresh / _FILE).open("w", encoding="utf-8") as file:
                json.dump(asdict(fork), file)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self._folder / fork.name)
        except OSError as error:
            raise StoreError(
                f"the fork can't be kept: {error.strerror}", where=str(self._folder), remedy="Check space and permissions"
            ) from error

    def _names(self) -> list[str]:
        found = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted(path.name for path in found if _NAME.fullmatch(path.name))

    def all(self, principal: Principal) -> list[Fork]:
        """All of them, by name."""
        principal.require_read()
        with self._lock:
            return [self.one(name) for name in self._names()]

    def one(self, name: str) -> Fork:
        """Raises NotFoundError naming the nearest, StoreError for one that is damaged."""
        path = self._folder / name / _FILE
        if not _NAME.fullmatch(name) or not path.parent.is_dir():
            names = self._names()
            near = get_close_matches(name, names, 1)
            remedy = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(names[:20]) or 'none'}"
            raise NotFoundError(f"there is no fork '{name[:80]}'", where="fork", remedy=remedy)
        try:
            found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            place = int(found["commit"]), int(found["at"]), tuple(found["tables"])
            return Fork(name, *place, int(found["created"]), str(found["by"]), found.get("followed"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"it can't be read: {error}", where=str(path), remedy=f"Drop it: twinwright fork drop {name}") from error

    def session(self, name: str) -> Session:
        """A fork, opened. Raises NotFoundError, RefusedError where what it forks is not kept any more, StoreError."""
        with self._lock:
            fork = self.one(name)
            line = self._line(fork.commit)
            if line.at != fork.at:
                what = f"the store has another commit {fork.commit} than the one that '{name}' forks"
                raise RefusedError(
                    what, where="fork", remedy=f"Bring back the store that was forked, or drop it: twinwright fork drop {name}"
                )
            if name not in self._opened:
                self._opened[name] = self._open(fork, line)
            return self._opened[name]

    def _open(self, fork: Fork, line: Commit) -> Session:
        live, folder = self._session, self._folder / fork.name
        own = open_store("duckdb", {}, folder, live.clock)
        try:
            if not own.last_commit(SYSTEM):
                tables = [table for table in live.store.reading_tables(SYSTEM) if table.number in fork.tables]
                own.load(SYSTEM, Beginning(line, tables, {(POSITIONS, name): through for name, through in (fork.followed or {}).items()}))
            store = ForkedStore(live.store, fork.commit, own, apart=(RUN,))
            opened = Session(live.folder, live.clock, worker=True, store=store, private=folder)
        except BaseException:
            own.close()
            raise
        atexit.unregister(opened.close)  # what it forks closes it
        return opened

    def drop(self, principal: Principal, name: str) -> None:
        """Forget a fork and all that is in it. Raises NotFoundError, ForbiddenError, StoreError."""
        principal.require_write()
        with self._lock:
            path = self._folder / name
            if not _NAME.fullmatch(name) or not path.is_dir():
                self.one(name)
            opened = self._opened.pop(name, None)
            if opened is not None:
                opened.close()
            gone = self._folder / f".{name}.dropped"
            try:
                shutil.rmtree(gone, ignore_errors=True)
                path.rename(gone)
                shutil.rmtree(gone)
            except OSError as error:
                raise StoreError(f"it can't be removed: {error.strerror}", where=str(path), remedy="Check permissions") from error
        _log.info("dropped a fork", fork=name, by=principal.name)

    def close(self) -> None:
        """Commit what was sent to each, and close it."""
        with self._lock:
            while self._opened:
                self._opened.popitem()[1].close()


def fork_shown(fork: Fork) -> dict[str, Any]:
    """What the surface says of one."""
    return {"name": fork.name, "commit": fork.commit, "created": to_iso(fork.created), "by": fork.by}
