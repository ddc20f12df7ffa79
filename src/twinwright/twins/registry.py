"""Which twins there are, by id and lifetime, as the hot path asks for them: in columns."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.errors import DigitalTwinNotFoundError
from twinwright.storage.layout import Lifetime
from twinwright.twins.twin_index import TwinIndex

_LOOKED_AT = 5_000  # ids, for one that is like another
_COMPARED = 100
_BY_TIME = -2  # in place of a number: there are several lifetimes, or one that is bounded


class TwinRegistry:
    """Lifetimes by twin and number. `paths` are the paths of each interface. Readers don't wait for `take`: it puts in whole."""

    def __init__(self, lifetimes: Sequence[Lifetime], paths: Mapping[str, Mapping[str, object]]) -> None:
        self._by_number = {lifetime.number: lifetime for lifetime in lifetimes}
        self._by_twin: dict[str, list[Lifetime]] = {}
        for lifetime in lifetimes:
            self._by_twin.setdefault(lifetime.twin, []).append(lifetime)
        self._index = TwinIndex()
        self._numbers, self._interface = np.zeros((2, 1), np.int32)  # of each entry of the index; in place of a number _BY_TIME
        self._interfaces: dict[str, int] = {}
        self._fresh = list(self._by_twin)  # what the index has to hear of when it is asked next
        self._hearing = threading.Lock()
        self._paths = dict(paths)
        self._fitting: dict[tuple[str, str], bool] = {}
        self.highest = max(self._by_number, default=0)
        self.taken: list[int] = []  # the numbers of lifetimes that were taken in, each time one was, in order

    def take(self, life: Lifetime, paths: Mapping[str, object]) -> None:
        """A lifetime that begins, or the next version of one; `paths` are those of its interface."""
        self._paths.setdefault(life.interface, paths)
        known = self._by_twin.get(life.twin)
        lives = (
            [life] if known is None else sorted([*(one for one in known if one.number != life.number), life], key=lambda one: one.number)
        )
        self._by_number[life.number] = life
        self._by_twin[life.twin] = lives
        self._fresh.append(life.twin)
        self.highest = max(self.highest, life.number)
        self.taken.append(life.number)

    def __len__(self) -> int:
        return len(self._by_twin)

    def __contains__(self, twin: str) -> bool:
        return twin in self._by_twin

    @property
    def twins(self) -> list[str]:
        """The ids of those that are alive, in the order of declaration."""
        return [twin for twin, lives in list(self._by_twin.items()) if lives[-1].alive]

    def alive(self, twin: str) -> Lifetime | None:
        """The lifetime of a twin that has not ended; None where there is none."""
        lives = self._by_twin.get(twin)
        return lives[-1] if lives and lives[-1].alive else None

    def current(self, twin: str) -> Lifetime:
        """The same. Raises DigitalTwinNotFoundError naming the nearest id."""
        life = self.alive(twin)
        if life is None:
            ended = " any more" if twin in self._by_twin else ""
            near = None if ended else nearest_id(twin, self._by_twin)
            remedy = f"Did you mean '{near}'?" if near else "List the twins with: twinwright state"
            remedy = "Ask for a time at which it was there" if ended else remedy
            raise DigitalTwinNotFoundError(f"there is no twin '{twin}'{ended}", remedy=remedy)
        return life

    def newest(self, twin: str) -> Lifetime:
        """The newest lifetime of a twin, ended or not. Raises DigitalTwinNotFoundError."""
        return self.lifetimes_of(twin)[-1]

    def lifetimes_of(self, twin: str) -> list[Lifetime]:
        """Every lifetime of a twin, oldest first. Raises DigitalTwinNotFoundError."""
        return self._by_twin[twin] if twin in self._by_twin else [self.current(twin)]

    def find(self, number: int) -> Lifetime | None:
        """The lifetime of a number; None where it is not known (yet)."""
        return self._by_number.get(number)

    def lifetime(self, number: int) -> Lifetime:
        return self._by_number[number]

    def numbers(self, ids: pa.Array, time: NDArray[np.int64], contract: str, paths: Sequence[str]) -> NDArray[np.int32]:
        """The lifetime each row falls in; -1 where there is none, or where its interface lacks one of the contract's paths."""
        if self._fresh:
            self._hear()
        entries = self._index.find(ids)
        numbers: NDArray[np.int32] = self._numbers[entries]
        fits = np.array([self._fits(interface, contract, paths) for interface in list(self._interfaces)], np.bool_)
        if not fits.all():
            numbers[~fits[self._interface[entries]] & (numbers != _BY_TIME)] = -1
        numbers[entries < 0] = -1
        several = np.flatnonzero(numbers == _BY_TIME)
        if len(several):
            several = several[np.argsort(entries[several], kind="stable")]
            for rows in np.split(several, np.flatnonzero(np.diff(entries[several])) + 1):
                numbers[rows] = self._by_time(ids[int(rows[0])].as_py(), time[rows], contract, paths)
        return numbers

    def _hear(self) -> None:
        with self._hearing:
            heard = len(self._fresh)
            changed = list(dict.fromkeys(self._fresh[:heard]))
            entries = self._index.find(pa.array(changed, pa.large_string()))
            added, held = np.flatnonzero(entries < 0), len(self._index)
            entries[added] = np.arange(held, held + len(added))
            if held + len(added) > len(self._numbers):
                self._numbers, self._interface = (np.resize(one, 2 * (held + len(added))) for one in (self._numbers, self._interface))
            of_each = [self._by_twin[twin] for twin in changed]
            self._interface[entries] = [self._interfaces.setdefault(one[0].interface, len(self._interfaces)) for one in of_each]
            self._numbers[entries] = [one[0].number if len(one) == 1 and _unbounded(one[0]) else _BY_TIME for one in of_each]
            self._index.add([changed[at] for at in added.tolist()])  # after what is said of them: others look meanwhile
            del self._fresh[:heard]

    def _fits(self, interface: str, contract: str, paths: Sequence[str]) -> bool:
        fits = self._fitting.get((contract, interface))
        if fits is None:
            known = self._paths.get(interface, {})
            fits = self._fitting[contract, interface] = all(path in known for path in paths)
        return fits

    def _by_time(self, twin: str, time: NDArray[np.int64], contract: str, paths: Sequence[str]) -> NDArray[np.int32]:
        numbers = np.full(len(time), -1, np.int32)
        for life in self._by_twin[twin]:
            if self._fits(life.interface, contract, paths):
                inside = np.ones(len(time), np.bool_) if life.since is None else time >= life.since
                if life.until is not None:
                    inside &= time < life.until
                numbers[inside] = life.number
        return numbers

    def why_unknown(self, twin: str | None, paths: Sequence[str]) -> str:
        """What to tell the sender of a reading whose twin has no number."""
        if twin is None:
            return "the twin's id is missing"
        if twin not in self._by_twin:
            return f"there is no twin '{twin[:200]}'"
        known = self._paths.get(self._by_twin[twin][-1].interface, {})
        lacking = [path for path in paths if path not in known]
        if lacking:
            return f"the interface of '{twin}' has no path {', '.join(lacking[:5])}"
        return f"the event time lies outside the lifetimes of '{twin}'"


def _unbounded(life: Lifetime) -> bool:
    return life.since is None and life.until is None


def nearest_id(name: str, known: Iterable[str]) -> str | None:
    """An id that somebody may have meant. Clients ask for what is not there all the time: few of them are looked at closely."""
    from difflib import get_close_matches

    some = list(islice(known, _LOOKED_AT))  # at once: others write
    like = (one for one in some if abs(len(one) - len(name)) <= 2 and (one[:2] == name[:2] or one[-2:] == name[-2:]))
    return next(iter(get_close_matches(name, list(islice(like, _COMPARED)), 1)), None)
