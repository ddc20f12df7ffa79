"""Which twins there are, by id and lifetime, as the hot path asks for them: in columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twinwright.errors import DigitalTwinNotFoundError
from twinwright.storage.layout import Lifetime

_LOOKED_AT = 5_000  # ids, for one that is like another
_COMPARED = 100


class TwinRegistry:
    """Lifetimes by twin and number. `paths` are the paths of each interface. Readers need no lock: what `take` puts in is put in whole."""

    def __init__(self, lifetimes: Sequence[Lifetime], paths: Mapping[str, Mapping[str, object]]) -> None:
        self._by_number = {lifetime.number: lifetime for lifetime in lifetimes}
        self._by_twin: dict[str, list[Lifetime]] = {}
        for lifetime in lifetimes:
            self._by_twin.setdefault(lifetime.twin, []).append(lifetime)
        self._open = {twin: lives[0].number for twin, lives in self._by_twin.items() if len(lives) == 1 and _unbounded(lives[0])}
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
        if len(lives) == 1 and _unbounded(life):
            self._open[life.twin] = life.number
        else:
            self._open.pop(life.twin, None)
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
        encoded = ids.dictionary_encode() if not pa.types.is_dictionary(ids.type) else ids
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        names = encoded.dictionary.to_pylist()
        open_numbers = np.array([self._fitting_number(name, contract, paths) for name in names] or [-1], np.int32)
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        numbers = np.where(codes >= 0, open_numbers[codes], np.int32(-1)).astype(np.int32)
        for code in np.flatnonzero(open_numbers == -2):  # several or bounded lifetimes: event time decides
            rows = np.flatnonzero(codes == code)
            numbers[rows] = self._by_time(names[int(code)], time[rows], contract, paths)
        return numbers

    def _fitting_number(self, twin: str | None, contract: str, paths: Sequence[str]) -> int:
        if twin is None or twin not in self._by_twin:
            return -1
        lives = self._by_twin[twin]
        if len(lives) == 1 and not self._fits(lives[0], contract, paths):
            return -1
        return self._open.get(twin, -2)

    def _fits(self, life: Lifetime, contract: str, paths: Sequence[str]) -> bool:
        fits = self._fitting.get((contract, life.interface))
        if fits is None:
            known = self._paths.get(life.interface, {})
            fits = self._fitting[contract, life.interface] = all(path in known for path in paths)
        return fits

    def _by_time(self, twin: str, time: NDArray[np.int64], contract: str, paths: Sequence[str]) -> NDArray[np.int32]:
        numbers = np.full(len(time), -1, np.int32)
        for life in self._by_twin[twin]:
            if self._fits(life, contract, paths):
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
