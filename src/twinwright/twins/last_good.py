"""What was last good before some time, looked for backwards in growing windows: it mostly lies near, and history is long.

A window only ever leaves out what is older than all in it, so what is found in one is what would be found in the whole history; only
where nothing is found is a wider one read, in the end all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pyarrow as pa

from twinwright.clock import HOUR
from twinwright.governance.principals import Principal
from twinwright.storage.layout import Lane, Selection
from twinwright.storage.protocol import Store
from twinwright.twins.documents import Cell

WINDOWS = (HOUR, 24 * HOUR, 30 * 24 * HOUR)  # microseconds; after them, all
_MOST_READS = 8  # of one width: for cells further apart than this, fewer reads of a greater width are cheaper

Key = tuple[int, str]


class LastGood:
    """Looks for good records behind others."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def behind(self, principal: Principal, bad: Iterable[Cell], lane: Lane, known_at: int | None) -> dict[Key, Cell]:
        """Of each bad winner's (twin, path) the last good record, of any source, since the last removal; absent if there is none."""
        wanted = {(cell["twin"], cell["path"]): int(cell["time"]) for cell in bad}
        found: dict[Key, Cell] = {}
        for width in WINDOWS:
            groups = _groups(wanted, width)
            if len(groups) > _MOST_READS:
                continue
            for group in groups:
                found |= self._read(principal, group, min(group.values()) - width, lane, known_at)
            wanted = {key: time for key, time in wanted.items() if key not in found}
        return found | (self._read(principal, wanted, None, lane, known_at) if wanted else {})

    def _read(self, principal: Principal, group: dict[Key, int], start: int | None, lane: Lane, known_at: int | None) -> dict[Key, Cell]:
        selection = Selection(
            lifetimes=tuple({twin for twin, _ in group}),
            paths=tuple({path for _, path in group}),
            lane=lane,
            start=start,
            end=max(group.values()) + 1,
            known_at=known_at,
            good_only=True,
        )
        rows: list[Cell] = self._store.latest(principal, selection).to_pylist()
        return {(row["twin"], row["path"]): row for row in rows if (row["twin"], row["path"]) in group}

    def before(self, principal: Principal, selection: Selection) -> pa.Table | None:
        """The last good record of the selection, which has an `end`, as RECORD_SCHEMA; None if there is none."""
        for start in _starts(selection):
            rows = self._store.latest(principal, replace(selection, start=start, good_only=True))
            if len(rows):
                return rows.sort_by("time").slice(len(rows) - 1)
        return None


def _starts(selection: Selection) -> Sequence[int | None]:
    return [None] if selection.end is None else [*(selection.end - width for width in WINDOWS), None]


def close(times: dict[Key, int]) -> list[dict[Key, int]]:
    """Few groups of what lies near each other in time."""
    by_width = (_groups(times, width) for width in WINDOWS)
    return next((groups for groups in by_width if len(groups) <= _MOST_READS), [times])


def _groups(times: dict[Key, int], width: int) -> list[dict[Key, int]]:
    """Groups of what lies in one multiple of `width`: one read serves each."""
    groups: dict[int, dict[Key, int]] = {}
    for key, time in times.items():
        groups.setdefault(time // width, {})[key] = time
    return list(groups.values())
