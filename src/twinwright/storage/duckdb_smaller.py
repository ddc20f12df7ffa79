"""A file of DuckDB that gives back what it does not use: the engine writes over free blocks, and lets go of those at the file's end alone.

What is there is copied into a file beside it, which then takes its name. Until that one rename the old file is whole and untouched, after
it the new one is; what is left of an attempt that was cut short is deleted at the next opening. The old file is held open, for reading
alone, all the while: no other process can write what would be lost with it.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from twinwright.observability.logs import get_logger
from twinwright.storage.durable_names import sync

LEAST_BYTES: Final = 64_000_000  # a smaller file is not worth its copy
_log = get_logger("storage")


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes of a file, and how many of them are in blocks that nothing uses."""

    total: int
    free: int

    @property
    def due(self) -> bool:
        """Whether a copy is worth its work: it writes less than it gives back."""
        return self.total >= LEAST_BYTES and self.free * 2 > self.total


def room(connection: duckdb.DuckDBPyConnection) -> Room:
    """Of the file of a connection."""
    block, total, free = _fetch(connection, "SELECT block_size, total_blocks, free_blocks FROM pragma_database_size()")[0]
    return Room(block * total, block * free)


def give_back(path: Path) -> None:
    """Put a file without free blocks in the place of one that no connection of this process has open. Where that can't be done the old
    one stays, and the log says why: a store has to open on a full disk, too."""
    draft, before = _draft(path), path.stat()
    try:
        if shutil.disk_usage(path.parent).free < before.st_size // 2:
            raise OSError("there is no room for a copy")
        with contextlib.closing(duckdb.connect(config=_config(path))) as connection:
            connection.execute(f"ATTACH {_literal(path)} AS old (READ_ONLY)")
            forget(path)
            if _log_of(path).exists():  # somebody wrote in between; a log fits the file that it was written for, and no other
                raise OSError("another process has just had it open")
            _log.info("the store's file is copied without what it does not use", path=str(path), bytes=before.st_size)
            connection.execute(f"ATTACH {_literal(draft)} AS new")
            connection.execute("COPY FROM DATABASE old TO new")
            _require_all(connection)
            connection.execute("DETACH new")
            _take_its_place(draft, path, before.st_mode)
    except (duckdb.Error, OSError) as error:
        forget(path)
        _log.warning("the store's file was not made smaller", path=str(path), error=str(error).partition("\n")[0])
        return
    after = path.stat().st_size
    _log.info("the store's file was made smaller", path=str(path), before=before.st_size, after=after, given_back=before.st_size - after)


def forget(path: Path) -> None:
    """Delete what is left of an attempt that was cut short; for who has the file at `path` open."""
    draft = _draft(path)
    for left in (draft, _log_of(draft)):
        with contextlib.suppress(OSError):
            left.unlink(missing_ok=True)


def _take_its_place(draft: Path, path: Path, mode: int) -> None:
    draft.chmod(mode & 0o777)
    sync(draft)
    sync(path.parent)  # that the old file's log is gone has to last before the new file has the name
    draft.replace(path)
    sync(path.parent)


def _require_all(connection: duckdb.DuckDBPyConnection) -> None:
    """Raises OSError unless the copy has all tables, with as many rows each."""
    names = [name for (name,) in _fetch(connection, "SELECT table_name FROM duckdb_tables() WHERE database_name = 'old'")]
    for name in names:
        old, new = (_fetch(connection, f"SELECT count(*) FROM {database}.main.{name}")[0][0] for database in ("old", "new"))
        if old != new:
            raise OSError(f"the copy of {name} has {new} rows of {old}")


def _config(path: Path) -> dict[str, Any]:
    return {"autoinstall_known_extensions": "false", "temp_directory": f"{path}.tmp"}


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.smaller")


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _literal(path: Path) -> str:
    text = str(path).replace("'", "''")
    return f"'{text}'"


def _fetch(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()
