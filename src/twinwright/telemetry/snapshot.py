"""Comparison with a snapshot that a source gives of itself, read through its contract: what history lacks, has otherwise, or has beside it.

The snapshot says of each (twin, path) a value and when it was true. History is asked for what the same source had said as of that time:
what came later in either is no difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from twinwright import units
from twinwright.governance.principals import Principal
from twinwright.storage.layout import MASK_BITS, ReadingColumn, Selection
from twinwright.storage.protocol import GOOD, Store
from twinwright.telemetry.batches import Prepared, decoder_of, prepare
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.payloads import Payload
from twinwright.twins.last_good import close
from twinwright.twins.registry import TwinRegistry

Kind = Literal["missing", "different", "extra"]
Key = tuple[int, str]  # lifetime, path
_SAME = 1e-9  # relative: what a conversion of units may cost


@dataclass(frozen=True, slots=True)
class Theirs:
    """What a snapshot says of one (twin, path): a good value in the unit of its column at a time, and the element that says it. The
    correction is 0 where the contract names no field for it."""

    time: int
    correction: int
    value: Any
    element: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One (twin, path) at which history and snapshot disagree; times in microseconds, None for the side that says nothing."""

    kind: Kind
    lifetime: int
    path: str
    unit: str | None
    theirs: Any
    theirs_at: int | None
    ours: Any
    ours_at: int | None


@dataclass(slots=True)
class Snapshot:
    """The newest good value of each (twin, path), the elements that say them, and what the contract refuses."""

    contract: Contract
    values: dict[Key, Theirs] = field(default_factory=dict)
    elements: list[Payload] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    def add(self, payload: Payload, registry: TwinRegistry, now: int) -> None:
        """Read one more payload; `now` is the time of receipt that the contract's skew is measured against."""
        prepared = prepare(self.contract, decoder_of(self.contract), [payload], registry, now)
        letters, _ = prepared.dead_letters(lambda *_: "")
        for letter in letters:
            self.refused[letter.reason] = self.refused.get(letter.reason, 0) + 1
        kept: dict[int, int] = {}
        for row, key, time, correction, value in _said(prepared):
            held = self.values.get(key)
            if held is None or (time, correction) >= (held.time, held.correction):
                if row not in kept:
                    kept[row] = len(self.elements)
                    self.elements.append(Payload(prepared.decoded.raw(row), payload.captures))
                self.values[key] = Theirs(time, correction, value, kept[row])


def _said(prepared: Prepared) -> Iterator[tuple[int, Key, int, int, Any]]:
    """(decoded row, (lifetime, path), time, correction, value) of every good value."""
    readings = prepared.readings
    rows, twins, times, corrections = (each.tolist() for each in (readings.row, readings.twin, readings.time, readings.correction))
    for j, column in enumerate(prepared.contract.columns):
        bad = (readings.bad[j // MASK_BITS] >> np.int64(j % MASK_BITS)) & 1
        said = zip(rows, twins, times, corrections, readings.values[j].to_pylist(), bad.tolist(), strict=True)
        for row, twin, time, correction, value, wrong in said:
            if value is not None and not wrong:
                yield row, (twin, column.path), time, correction, value


class Comparison:
    """Compares snapshots with the history of a store."""

    def __init__(self, store: Store, principal: Principal) -> None:
        self._store, self._principal = store, principal

    def differences(self, snapshot: Snapshot) -> list[Difference]:
        """All of them, by path and twin."""
        found: list[Difference] = []
        for column in snapshot.contract.columns:
            theirs = {key: said for key, said in snapshot.values.items() if key[1] == column.path}
            ours = self._as_of(snapshot.contract.source, column.path, {key: said.time for key, said in theirs.items()})
            found += (one for key in sorted(theirs) if (one := _compared(key, column, theirs[key], ours.get(key))) is not None)
            found += self._extra(snapshot, column)
        return found

    def _as_of(self, source: str, path: str, times: dict[Key, int]) -> dict[Key, Mapping[str, Any]]:
        """What the source had said last at each time."""
        found: dict[Key, Mapping[str, Any]] = {}
        for group in close(times) if times else []:
            numbers, first, last = tuple(number for number, _ in group), min(group.values()), max(group.values()) + 1
            before = self._store.latest(self._principal, Selection(numbers, (path,), end=first, source=source))
            inside = self._store.history(self._principal, Selection(numbers, (path,), start=first, end=last, source=source))
            for row in (*before.to_pylist(), *inside.to_pylist()):  # in the order of time
                key = (row["twin"], path)
                if row["time"] <= group[key]:
                    found[key] = row
        return found

    def _extra(self, snapshot: Snapshot, column: ReadingColumn) -> Iterator[Difference]:
        """What the source said of a (twin, path) that its snapshot does not know."""
        selection = Selection(paths=(column.path,), source=snapshot.contract.source)
        for row in self._store.latest(self._principal, selection).to_pylist():
            if row["kind"] == GOOD and (row["twin"], column.path) not in snapshot.values:
                yield Difference("extra", row["twin"], column.path, column.unit, None, None, _value(row, column), row["time"])


def _compared(key: Key, column: ReadingColumn, theirs: Theirs, ours: Mapping[str, Any] | None) -> Difference | None:
    if ours is None:
        return Difference("missing", *key, column.unit, theirs.value, theirs.time, None, None)
    value = _value(ours, column) if ours["kind"] == GOOD else None
    if _same(value, theirs.value):
        return None
    kind: Kind = "missing" if (ours["time"], ours["correction"]) < (theirs.time, theirs.correction) else "different"
    return Difference(kind, *key, column.unit, theirs.value, theirs.time, value, ours["time"])


def _value(row: Mapping[str, Any], column: ReadingColumn) -> Any:
    """The value of a record in the unit of the contract's column: an older revision may have had another."""
    if row["type"] == "VARCHAR":
        return row["txt"]
    if row["type"] == "BOOLEAN":
        return bool(row["int"])
    value = row["num"] if row["type"] == "DOUBLE" else row["int"]
    affine = units.converter(row["unit"], column.unit)
    return value if affine.is_identity else affine.apply(float(value))


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=_SAME)
    return bool(ours == theirs)


def missing_elements(snapshot: Snapshot, differences: Iterable[Difference]) -> Sequence[Payload]:
    """The elements of the snapshot that say what history lacks, each once: to be ingested as any other."""
    wanted = {snapshot.values[one.lifetime, one.path].element for one in differences if one.kind == "missing"}
    return [snapshot.elements[at] for at in sorted(wanted)]
