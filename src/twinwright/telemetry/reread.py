"""What a replay reads again ahead of the transaction that makes it visible: at the pace that is asked for, and kept out of memory."""

from __future__ import annotations

import io
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.clock import to_iso
from twinwright.errors import PlatformError, RefusedError, UsageError
from twinwright.storage.layout import DeadLetter, JournalEntry
from twinwright.telemetry import journal
from twinwright.telemetry.batches import decoder_of, prepare
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.evaluate import Readings
from twinwright.twins.cells import NEVER
from twinwright.twins.registry import TwinRegistry

Gone = Callable[[int], int | None]
_IN_MEMORY: Final = 32 * 1024 * 1024  # bytes that are no file yet
_SIZES: Final = struct.Struct("<QQ")
_PACKED: Final = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, slots=True)
class Reread:
    """What the contract makes now of what arrived at one commit; `taken` is how many changes of twins were known then."""

    commit: int
    taken: int
    letters: tuple[DeadLetter, ...]
    readings: Readings

    @property
    def received(self) -> int:
        """Readings in all."""
        return len(self.readings) + len(self.letters)


class Reader:
    """Reads journal entries under one contract and the twins of one registry."""

    def __init__(self, contract: Contract, registry: TwinRegistry) -> None:
        self.contract = contract
        self._registry, self._decoder = registry, decoder_of(contract)

    def read(self, entry: JournalEntry) -> Reread:
        taken = len(self._registry.taken)
        prepared = prepare(self.contract, self._decoder, journal.unpack(entry.frames), self._registry, entry.at)
        letters, _ = prepared.dead_letters(lambda payload, _: f"replayed from commit {entry.commit} payload {payload}")
        return Reread(entry.commit, taken, tuple(replace(one, origin=entry.commit) for one in letters), prepared.readings)

    def outdated(self, one: Reread, registry: TwinRegistry) -> bool:
        """Whether what was read may be read otherwise under the twins that there are now."""
        if registry is not self._registry:
            return True
        taken = registry.taken[one.taken :]
        refused = any(letter.reason == "unknown_twin" for letter in one.letters)
        return bool(taken) and (refused or bool(np.isin(one.readings.twin, taken).any()))


def nothing_gone(_lifetime: int) -> None:
    """Where retention has let go of nothing."""


class Reach:
    """Whether what is read again lies before what retention has left. Such values would be replaced in history until they go again, and
    the roll-ups that stand for them would go on saying what the contract said before. `gone`: of a lifetime the event time before which
    raw values of the contract's paths are gone, or None."""

    def __init__(self, gone: Gone) -> None:
        self._gone = gone
        self._before: dict[int, int] = {}
        self._found: list[JournalEntry] = []  # the first and the last

    def look(self, entry: JournalEntry, readings: Readings) -> None:
        """At what was made of an entry."""
        twins, which = np.unique(readings.twin, return_inverse=True)
        for twin in twins.tolist():
            if twin not in self._before:
                self._before[twin] = self._gone(twin) or NEVER
        before = np.array([self._before[twin] for twin in twins.tolist()], np.int64)
        if len(twins) and bool((readings.time < before[which]).any()):
            self._found = [*self._found[:1], entry]

    def require_none(self, contract: str) -> None:
        """Raises RefusedError."""
        if self._found:
            first, last = to_iso(self._found[0].at), to_iso(self._found[-1].at)
            raise RefusedError(
                f"payloads received from {first} to {last} are of times whose raw values are gone: their roll-ups can't be made again",
                where=contract,
                remedy="Replay what was received after them (--from), or before (--to)",
            )


class Pace:
    """No more than `rate` readings a second on average; None: as fast as it goes. `stopping` ends it. Raises UsageError."""

    def __init__(self, rate: float | None, stopping: threading.Event) -> None:
        if rate is not None and not 0 < rate < float("inf"):
            raise UsageError(f"{rate:g} readings a second are no rate", where="rate", remedy="Give a number above 0")
        self._rate, self._stopping = rate, stopping
        self._began, self._readings = time.monotonic(), 0

    def seconds(self, readings: int, unpaced: float) -> float:
        """What reading takes that would take the seconds `unpaced`."""
        return unpaced if self._rate is None else max(unpaced, readings / self._rate)

    def after(self, readings: int) -> None:
        """Wait until so many more may have been read. Raises PlatformError when the platform stops."""
        self._readings += readings
        ahead = 0.0 if self._rate is None else self._readings / self._rate - (time.monotonic() - self._began)
        if self._stopping.wait(max(ahead, 0.0)):
            raise PlatformError("the platform is stopping", remedy="Nothing was replayed: do it again when it is back")


class Spool:
    """What was read, in order, in a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Spool]:
        """In a file without a name: it is gone with the process, however that ends."""
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, prefix="twinwright-replay-") as file:
            yield cls(file)

    def add(self, one: Reread) -> None:
        """Behind what was added before; not while it is being read."""
        head = msgspec.msgpack.encode((one.commit, one.taken, one.letters))
        rows = _packed(one.readings)
        self._file.write(_SIZES.pack(len(head), len(rows)))
        self._file.write(head)
        self._file.write(rows)

    def __iter__(self) -> Iterator[Reread]:
        self._file.seek(0)
        while sizes := self._file.read(_SIZES.size):
            head, rows = (self._file.read(size) for size in _SIZES.unpack(sizes))
            commit, taken, letters = msgspec.msgpack.decode(head, type=tuple[int, int, tuple[DeadLetter, ...]])
            yield Reread(commit, taken, letters, _unpacked(rows))


def _packed(readings: Readings) -> memoryview:
    arrays: list[pa.Array] = [pa.array(one) for one in (readings.row, readings.twin, readings.time, readings.correction)]
    arrays += [pa.array(word) for word in (*readings.present, *readings.bad)]
    arrays += readings.values
    batch = pa.record_batch(arrays, names=[str(place) for place in range(len(arrays))])
    masks = str(len(readings.present)).encode()
    out = io.BytesIO()
    with pa.ipc.new_stream(out, batch.schema.with_metadata({b"masks": masks}), options=_PACKED) as stream:
        stream.write_batch(batch)
    return out.getbuffer()


def _unpacked(rows: bytes) -> Readings:
    with pa.ipc.open_stream(rows) as stream:
        masks, batch = int(stream.schema.metadata[b"masks"]), stream.read_next_batch()
    # Copies: the compiled loops take arrays that may be written to.
    row, twin, at, correction, *words = (np.array(batch.column(place).to_numpy()) for place in range(4 + 2 * masks))
    present, bad = _stacked(words[:masks], len(row)), _stacked(words[masks:], len(row))
    return Readings(row, twin, at, correction, present, bad, tuple(batch.columns[4 + 2 * masks :]))


def _stacked(words: Sequence[NDArray[np.int64]], rows: int) -> NDArray[np.int64]:
    return np.stack(words) if words else np.zeros((0, rows), np.int64)
