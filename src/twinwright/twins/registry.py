"""Which twins there are, by id and lifetime, as the hot path asks for them: in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twinwright.errors import NotFoundError
from twinwright.storage.layout import Lifetime


class TwinRegistry:
    """Immutable after construction; a change of the graph makes a new one. `paths` are the paths of each interface."""

    def __init__(self, lifetimes: Sequence[Lifetime], paths: Mapping[str, Mapping[str, object]]) -> None:
        self._by_number = {lifetime.number: lifetime for lifetime in lifetimes}
        self._by_twin: dict[str, list[Lifetime]] = {}
        for lifetime in lifetimes:
            self._by_twin.setdefault(lifetime.twin, []).append(lifetime)
        self._open = {twin: lives[0].number for twin, lives in self._by_twin.items() if len(lives) == 1 and _unbounded(lives[0])}
        self._paths = paths
        self._fitting: dict[tuple[str, str], bool] = {}
        self.highest = max(self._by_number, default=0)

    def __len__(self) -> int:
        return len(self._by_twin)

    def __contains__(self, twin: str) -> bool:
        return twin in self._by_twin

    @property
    def twins(self) -> list[str]:
        """The ids, in the order of declaration."""
        return list(self._by_twin)

    def current(self, twin: str) -> Lifetime:
        """The newest lifetime of a twin. Raises NotFoundError naming the nearest id."""
        try:
            return self._by_twin[twin][-1]
        except KeyError:
            raise NotFoundError(f"there is no twin '{twin}'", remedy=_nearest(twin, self._by_twin)) from None

    def lifetimes_of(self, twin: str) -> list[Lifetime]:
        """Every lifetime of a twin, oldest first. Raises NotFoundError."""
        self.current(twin)
        return self._by_twin[twin]

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
            numbers[rows] = self._by_time(names[int(code)], time[rows])
        return numbers

    def _fitting_number(self, twin: str | None, contract: str, paths: Sequence[str]) -> int:
        if twin is None or twin not in self._by_twin:
            return -1
        interface = self._by_twin[twin][-1].interface
        fits = self._fitting.get((contract, interface))
        if fits is None:
            known = self._paths.get(interface, {})
            fits = self._fitting[contract, interface] = all(path in known for path in paths)
        return self._open.get(twin, -2) if fits else -1

    def _by_time(self, twin: str, time: NDArray[np.int64]) -> NDArray[np.int32]:
        numbers = np.full(len(time), -1, np.int32)
        for life in self._by_twin[twin]:
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


def _nearest(name: str, known: Mapping[str, object]) -> str:
    from difflib import get_close_matches

    sample = list(known)[:5_000]
    near = get_close_matches(name, sample, 1)
    return f"Did you mean '{near[0]}'?" if near else "List the twins with: twinwright state"
