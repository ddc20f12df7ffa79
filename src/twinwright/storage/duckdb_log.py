"""The write-ahead log of a DuckDB file that a power failure tore: what nobody was promised is cut off and kept, and nothing else is.

The log is a header and then entries: their length, their checksum, so many bytes. The last one of each transaction is its *commit mark*,
always the same bytes, and the engine syncs the file between a mark and whatever it writes next. So of all that a power failure can tear
one mark at most is part, and nothing is behind it: a bad entry with a mark behind it that something follows was on the disk, whole, and
is damage. (https://github.com/duckdb/duckdb: src/storage/write_ahead_log.cpp, wal_replay.cpp, of logs of version 2.)

The engine itself leaves out what begins with an entry that the file is too short for, whatever that is: where it is damage, nothing is
opened. Of an entry that is long enough and has the wrong checksum, for a page of it was lost and a later one was not, it says that the
log is corrupt, and opens nothing: there what the sync had not answered for is cut off.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from twinwright.errors import StoreError, StoreInUseError
from twinwright.observability.logs import get_logger
from twinwright.storage.durable_names import sync

_HEAD: Final = struct.Struct("<QQ")  # of an entry: length and checksum
_LENGTH, _CHECKSUM, _BODY = b"\x05" + bytes(7), bytes.fromhex("e7fe7d722fed3d5e"), b"\x64\0\x64\xff\xff"  # of a commit mark
_MARK: Final = _LENGTH + _CHECKSUM + _BODY
_MARK_OR_WHAT_IS_LEFT: Final = re.compile(  # two of its three parts: the third may be what is damaged
    b"%b(?:%b.{5}|.{8}%b)|%b" % tuple(map(re.escape, (_LENGTH, _CHECKSUM, _BODY, _CHECKSUM + _BODY))), re.DOTALL
)
_LOW, _HIGH = rb"[\x00-\x7f]", rb"[\x80-\xff]"  # bytes of a number: all but its last have the high bit
_HEADER: Final = re.compile(  # version 2, the database's sixteen numbers, how often it was checkpointed
    rb"\x64\x00\x62\x65\x00\x02(?:\x66\x00\x10(?:%b*%b){16}\x67\x00%b*%b)?\xff\xff" % (_HIGH, _LOW, _HIGH, _LOW)
)
_CORRUPT: Final = re.compile(r'\.wal": Corrupt WAL file: entry at byte position (\d+) computed checksum')
_log = get_logger("storage")


@dataclass(frozen=True, slots=True)
class Log:
    """A log that was looked at: up to where it holds whole transactions (0: it has no header that we know), where the first entry begins
    that is bad (or its end), and its length, in bytes."""

    whole: int
    bad: int
    length: int
    marked: bool = False  # whether a transaction's commit mark is behind the bad entry,
    damaged: bool = False  # and something behind that


def opened(path: Path, connect: Callable[[], duckdb.DuckDBPyConnection]) -> duckdb.DuckDBPyConnection:
    """What `connect` gives for the file at `path`, for writing, with all that was acknowledged. Raises StoreError where the log is
    damaged, or can't be cut; nothing is changed then."""
    log = _log_of(path)
    before = _identity(log)
    try:
        connection = connect()
    except duckdb.Error as error:
        found = _CORRUPT.search(str(error))
        if found is None:
            raise
        with _locked(path):
            if _identity(log) != before:  # somebody mended it in between
                raise StoreInUseError("another process has just had the store open", where=str(path), remedy="Try again") from error
            _cut(log, int(found[1]) - _HEAD.size)
        return connect()
    try:
        _look(log, connection)
    except StoreError:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")  # it would write the file without what is in the log, and delete that
        connection.close()
        raise
    return connection


def torn(path: Path) -> list[str]:
    """Names of the logs that were cut and kept, of the file at `path`, oldest first."""
    return sorted(one.name for one in path.parent.glob(f"{_log_of(path).name}.torn-*"))


def read(log: Path, bad: int | None = None) -> Log:
    """How far a log is whole, by the lengths of its entries; `bad` is where the engine found one to be wrong. Raises OSError."""
    with log.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        if not length:
            return Log(0, 0, 0)
        with contextlib.closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as held:
            header = _HEADER.match(held)
            whole = at = header.end() if header else 0
            end = length if bad is None else bad
            while header and at + _HEAD.size < end:
                upto = at + _HEAD.size + _HEAD.unpack_from(held, at)[0]
                if upto > end or upto == at + _HEAD.size:
                    break
                if upto - at == len(_MARK) and held[at:upto] == _MARK:
                    whole = upto
                at = upto
            marks = [mark.end() for mark in _MARK_OR_WHAT_IS_LEFT.finditer(held, at)]
            return Log(whole, at, length, bool(marks), any(mark < length for mark in marks))


def _look(log: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """See to it that what the engine left out was never acknowledged, and that what it has taken in is on the disk."""
    with _failing(log):
        if not log.exists():
            return
        found = read(log)
        if found.marked and (found.whole or not _taken(connection)):  # else the engine reads what we don't: it is of a later version
            _require_torn(log, found)
            _keep(log, found)
        sync(log)  # who was killed had not synced it: from here on it is read, and written behind


def _taken(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the engine has found anything in the log."""
    return connection.execute("SELECT wal_size FROM pragma_database_size()").fetchone() != ("0 bytes",)


def _cut(log: Path, bad: int) -> None:
    """Cut a log behind its last whole transaction, and keep it as it was. Killed at any instant, it is as it was or cut."""
    with _failing(log):
        found = read(log, bad)
        if found.bad != bad:
            remedy = "Keep a copy of the folder, and restore a backup"
            raise StoreError(f"the store's log can't be read up to byte {bad}", where=str(log), remedy=remedy)
        _require_torn(log, found)
        _keep(log, found)
        _copy(log, log, found.whole)


def _require_torn(log: Path, found: Log) -> None:
    if found.damaged:
        remedy = f"Restore a backup, or go on without them: see the runbook of the torn log. It is whole up to byte {found.whole}"
        raise StoreError(
            f"the store's log is damaged at byte {found.bad}, and acknowledged commits are behind it", where=str(log), remedy=remedy
        )


def _keep(log: Path, found: Log) -> None:
    """Its name is of when it was last written to: trying again after a kill keeps no second one."""
    written = datetime.fromtimestamp(log.stat().st_mtime, UTC)
    kept = log.with_name(f"{log.name}.torn-{written:%Y%m%dT%H%M%S.%fZ}")
    _copy(log, kept, found.length)
    _log.error(
        "a power failure tore the store's log: its last transaction, which was not acknowledged, is left out, and the log was kept",
        path=str(log),
        kept=kept.name,
        left_out=found.length - found.whole,
        bad_at=found.bad,
        commit_mark=found.marked,
    )


def _copy(log: Path, target: Path, length: int) -> None:
    """The first bytes of a log under a name, of which all are there or none."""
    draft = log.with_name(f".{log.name}.draft")
    with log.open("rb") as source, draft.open("wb") as copy:
        shutil.copyfileobj(source, copy)
        copy.truncate(length)
    shutil.copymode(log, draft)
    sync(draft)
    draft.replace(target)
    sync(log.parent)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Nobody else has the file at `path` open meanwhile: the engine's own lock, which is free after it failed to open it."""
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            remedy = "Stop it, or speak to it through its socket"
            raise StoreInUseError("the store is open in another process", where=str(path), remedy=remedy) from error
        yield


@contextlib.contextmanager
def _failing(log: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = "Check the disk, and make room for two copies of the log; it was not changed"
        raise StoreError(f"the store's log can't be read, synced or kept: {error.strerror}", where=str(log), remedy=remedy) from error


def _identity(log: Path) -> tuple[int, int, int] | None:
    if not log.exists():
        return None
    status = log.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + ".wal")
