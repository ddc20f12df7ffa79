"""A log is kept by giving it another name, and then cut from there: in between there is none, and the store opens without it."""

import shutil

from twinwright.storage import duckdb_log


def apply():
    keep, copy = duckdb_log._keep, duckdb_log._copy

    def moved(log, target, length):
        if target != log:
            log.replace(target)
            return
        (kept,) = log.parent.glob(f"{log.name}.torn-*")
        shutil.copy(kept, log.with_name("draft"))
        copy(log.with_name("draft"), log, length)

    duckdb_log._copy, duckdb_log._keep = moved, keep
