"""What DuckDB raises, in the words of the platform."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

from twinwright.errors import PlatformError, StoreError, StoreInUseError


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """The one place where DuckDB's exceptions become ours: StoreError."""
    try:
        yield
    except PlatformError:
        raise
    except duckdb.IOException as error:
        text = str(error)
        if "could not set lock" in text.lower():
            raise StoreInUseError(
                "the store is open in another process", where=str(path), remedy="Stop it, or speak to it through its socket"
            ) from error
        raise StoreError(f"the store can't be read or written: {_first_line(text)}", where=str(path), remedy="Check the disk") from error
    except duckdb.Error as error:
        raise StoreError(
            f"the store failed: {_first_line(str(error))}", where=str(path), remedy="Nothing was written; see the log"
        ) from error


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else "no message"
