"""Laws 1 to 3 as a plain fold: the referee where it stands beside the repository, and a second opinion that is always here."""

from __future__ import annotations

import importlib.util
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

REFEREE = Path(__file__).resolve().parents[3] / "shared" / "laws.py"
GOOD, BAD = "good", "bad"


class Said(NamedTuple):
    """A value in the form that the referee's `Value` has, with a canonical encoding that keeps the order of the values."""

    kind: str
    value: float | None = None
    unit: str | None = None

    def canonical(self) -> bytes:
        return bytes([self.kind == GOOD]) + (struct.pack(">d", self.value) if self.value is not None else b"")  # none is negative


class Reading(NamedTuple):
    source: str
    twin: str
    time: int
    values: tuple[tuple[str, Said], ...]
    correction: int = 0
    revision: int = 1


Facts = list[tuple[str, str, int, str, int, int, Said]]  # twin, path, time, source, correction, revision, what was said
Cells = dict[tuple[str, str], tuple[int, str, Said]]


@dataclass
class PlainFold:
    """A list of sightings and of retractions; everything else is worked out anew each time."""

    sightings: list[tuple[Reading, int]] = field(default_factory=list)
    retractions: list[tuple[int, str, int, int, int]] = field(default_factory=list)
    commit: int = 0
    accepted: int = 0
    duplicate: int = 0

    def ingest(self, batch: Iterable[Reading]) -> int:
        self.commit += 1
        for reading in batch:
            known = any(said[:5] == reading[:5] for said, _ in self._visible(self.commit))
            self.duplicate += known
            self.accepted += not known
            self.sightings.append((reading, self.commit))
        return self.commit

    def replay(self, source: str, first: int, last: int, revision: int, readings: Iterable[Reading]) -> int:
        self.commit += 1
        self.retractions.append((self.commit, source, first, last, revision))
        self.sightings += [(reading._replace(revision=revision), self.commit) for reading in readings]
        return self.commit

    def facts(self, known_at: int | None = None) -> Facts:
        current: dict[tuple[str, str, int, str], tuple[int, int, bytes, Said]] = {}
        for reading, _ in self._visible(self.commit if known_at is None else known_at):
            for path, said in reading.values:
                key = (reading.twin, path, reading.time, reading.source)
                version = (reading.correction, reading.revision, said.canonical(), said)
                current[key] = max(current.get(key, version), version, key=lambda one: one[:3])
        return sorted((*key, correction, revision, said) for key, (correction, revision, _, said) in current.items())

    def cells(self, as_of: int | None = None, known_at: int | None = None) -> Cells:
        cells: Cells = {}
        for twin, path, time, source, _, _, said in self.facts(known_at):
            if (as_of is None or time <= as_of) and (time, source) >= cells.get((twin, path), (time, source))[:2]:
                cells[twin, path] = (time, source, said)
        return cells

    def _visible(self, known_at: int) -> list[tuple[Reading, int]]:
        return [
            (reading, commit)
            for reading, commit in self.sightings
            if commit <= known_at
            and not any(
                at <= known_at and source == reading.source and first <= commit <= last and reading.revision < below
                for at, source, first, last, below in self.retractions
            )
        ]


def referee() -> ModuleType | None:
    """The executable model of the laws, where it is present."""
    if not REFEREE.exists():
        return None
    spec = importlib.util.spec_from_file_location("referee", REFEREE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["referee"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


class RefereeFold:
    """The referee behind the same face as the plain fold."""

    def __init__(self, laws: Any) -> None:
        self._history = laws.History()

    accepted = property(lambda self: self._history.accepted)
    duplicate = property(lambda self: self._history.duplicate)

    def ingest(self, batch: Iterable[Reading]) -> int:
        return int(self._history.ingest(batch))

    def replay(self, source: str, first: int, last: int, revision: int, readings: Iterable[Reading]) -> int:
        return int(self._history.replay(source, first, last, revision, readings))

    def facts(self, known_at: int | None = None) -> Facts:
        return sorted((r.key.twin, r.key.path, r.key.time, r.key.source, *r.version, r.value) for r in self._history.history(known_at))

    def cells(self, as_of: int | None = None, known_at: int | None = None) -> Cells:
        return {(twin, path): cell for (twin, path, _), cell in self._history.state(as_of, known_at).items()}


def model() -> PlainFold | RefereeFold:
    """The referee where it is present, else the plain fold."""
    laws = referee()
    return PlainFold() if laws is None else RefereeFold(laws)
