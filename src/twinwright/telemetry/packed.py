"""Many payloads as one piece of bytes: none is an object of its own before somebody asks for it.

What delivers millions of small payloads hands them on like this, and decoders and the journal take the piece as it is. Functions here
take any payloads, packed or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Final, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from twinwright.telemetry.payloads import NO_CAPTURES, Payload

_MANY = 256  # payloads are packed before they are decoded
_AT_ONCE = 1_000  # of them are looked at and joined together, while the processor's cache has them
_NOWHERE: Final = np.zeros(1, np.int64)
_ROOM: Final = bytes(8)  # behind a piece: whoever reads words may read one past its end
_GOLDEN: Final = 0.6180339887498949
Buffer: TypeAlias = bytes | memoryview


class PackedPayloads(Sequence[Payload]):
    """Body i is `buffer[bounds[i]:bounds[i + 1] - 1]`, and a newline stands behind it. Bodies that are objects of their own stay where they
    are until somebody asks for all in one piece: mostly nobody does.

    `captures` are all that there are, and `which` says whose each are: without it, the first are everybody's.
    """

    __slots__ = ("_bodies", "_bounds", "_buffer", "_captures", "_which", "nbytes")

    def __init__(
        self,
        buffer: Buffer,
        bounds: NDArray[np.int64],
        captures: Sequence[Mapping[str, str]] = (NO_CAPTURES,),
        which: NDArray[np.int32] | None = None,
    ) -> None:
        self._buffer, self._bounds, self._captures, self._which = buffer, bounds, captures, which
        self._bodies: tuple[Sequence[bytes], ...] = ()  # one list after the other, as long as they are not joined
        self.nbytes = int(bounds[-1] - bounds[0])

    @classmethod
    def of(
        cls,
        *bodies: Sequence[bytes],
        nbytes: int | None = None,
        captures: Sequence[Mapping[str, str]] = (NO_CAPTURES,),
        which: NDArray[np.int32] | None = None,
    ) -> PackedPayloads:
        """From bodies, one list after the other. `nbytes`: of all, a newline behind each, where that is known."""
        one = cls(b"", _NOWHERE, captures, which)
        one._bodies = tuple(some for some in bodies if some)
        one.nbytes = sum(sum(map(len, some)) + len(some) for some in bodies) if nbytes is None else nbytes
        return one

    def __len__(self) -> int:
        bodies = self._bodies  # once: another thread may join them meanwhile
        return sum(map(len, bodies)) if bodies else len(self._bounds) - 1

    @overload
    def __getitem__(self, at: int) -> Payload: ...
    @overload
    def __getitem__(self, at: slice) -> PackedPayloads: ...
    def __getitem__(self, at: int | slice) -> Payload | PackedPayloads:
        if not isinstance(at, slice):
            at = range(len(self))[at]
            return Payload(self.body(at), self._captures[0 if self._which is None else self._which[at]])
        first, last, step = at.indices(len(self))
        if step != 1:
            raise ValueError("packed payloads are cut in one piece")
        last = max(first, last)
        which = None if self._which is None else self._which[first:last]
        self._join()
        return PackedPayloads(self._buffer, self._bounds[first : last + 1], self._captures, which)

    def __iter__(self) -> Iterator[Payload]:
        captures, which = self.captures
        bodies = self._bodies
        for body, whose in zip(chain.from_iterable(bodies) if bodies else self._cut(), which.tolist(), strict=True):
            yield Payload(body, captures[whose])

    def _cut(self) -> Iterator[bytes]:
        bounds = self._bounds.tolist()
        return (bytes(self._buffer[begin : end - 1]) for begin, end in pairwise(bounds))

    def body(self, at: int) -> bytes:
        """One body, of those there are."""
        for some in self._bodies:
            if at < len(some):
                return some[at]
            at -= len(some)
        return bytes(self._buffer[self._bounds[at] : self._bounds[at + 1] - 1])

    @property
    def bounds(self) -> NDArray[np.int64]:
        """Where each body begins in one piece of bytes, and where the last ends."""
        self._join()
        return self._bounds

    @property
    def lines(self) -> Buffer:
        """All bodies, a newline behind each."""
        self._join()
        first, last = int(self._bounds[0]), int(self._bounds[-1])
        return self._buffer if (first, last) == (0, len(self._buffer)) else self._buffer[first:last]

    def pieces(self) -> Iterator[tuple[Buffer, int]]:
        """The same some at a time, and how many bytes of each are lines."""
        if not (bodies := self._bodies):
            yield self.lines, self.nbytes
        for some in bodies:
            for first in range(0, len(some), _AT_ONCE):
                piece = b"\n".join([*some[first : first + _AT_ONCE], _ROOM])
                yield piece, len(piece) - len(_ROOM)

    def sample(self, most: int, longest: int) -> list[bytes]:
        """About so many of the lines, from all over, of those that are no longer than that."""
        places = sorted({int(len(self) * (number * _GOLDEN % 1)) for number in range(min(most, len(self)))})  # with no period of their own
        return [body + b"\n" for body in map(self.body, places) if len(body) < longest and b"\n" not in body]

    def _join(self) -> None:
        if bodies := self._bodies:
            bounds = np.zeros(len(self) + 1, np.int64)
            np.cumsum(np.fromiter(map(len, chain.from_iterable(bodies)), np.int64, len(self)) + 1, out=bounds[1:])
            self._buffer, self._bounds = b"\n".join([*chain.from_iterable(bodies), b""]), bounds
            self._bodies = ()  # last: who finds none looks at the others

    @property
    def captures(self) -> tuple[Sequence[Mapping[str, str]], NDArray[np.integer]]:
        """All that there are, and whose each are."""
        return self._captures, np.zeros(len(self), np.int32) if self._which is None else self._which

    def captured(self, captures: Sequence[Mapping[str, str]], which: NDArray[np.int32] | None = None) -> PackedPayloads:
        """The same bodies with captures."""
        if bodies := self._bodies:
            return PackedPayloads.of(*bodies, nbytes=self.nbytes, captures=captures, which=which)
        return PackedPayloads(self._buffer, self._bounds, captures, which)

    @classmethod
    def together(cls, parts: Sequence[PackedPayloads]) -> PackedPayloads:
        """One after the other, at least one; parts that lie so in one piece of bytes are not copied, nor are bodies that are objects."""
        parts = [one for one in parts if len(one)] or parts[:1]
        if len(parts) == 1:
            return parts[0]
        captures, which = _captures_together(parts)
        bodies = [one._bodies for one in parts]
        if all(bodies):
            return cls.of(*chain.from_iterable(bodies), nbytes=sum(one.nbytes for one in parts), captures=captures, which=which)
        for one in parts:
            one._join()
        first, buffer = int(parts[0].bounds[0]), parts[0]._buffer
        if all(one._buffer is buffer and before.bounds[-1] == one.bounds[0] for before, one in pairwise(parts)):
            shifts = [0] * len(parts)
        else:
            buffer, first = b"".join([one.lines for one in parts]), 0
            ends = np.cumsum([one.bounds[-1] - one.bounds[0] for one in parts])
            shifts = [int(end - one.bounds[-1]) for end, one in zip(ends, parts, strict=True)]
        bounds = np.concatenate([[first], *(one.bounds[1:] + shift for one, shift in zip(parts, shifts, strict=True))])
        return cls(buffer, bounds, captures, which)


def _captures_together(parts: Sequence[PackedPayloads]) -> tuple[Sequence[Mapping[str, str]], NDArray[np.int32] | None]:
    if all(one._which is None and one._captures[0] is parts[0]._captures[0] for one in parts):
        return parts[0]._captures, None
    found = [one.captures for one in parts]
    begins = np.cumsum([0, *(len(captures) for captures, _ in found)])
    which = np.concatenate([which + begin for (_, which), begin in zip(found, begins, strict=False)]).astype(np.int32)
    return tuple(chain.from_iterable(captures for captures, _ in found)), which


def packed(payloads: Sequence[Payload]) -> PackedPayloads:
    """The same; each payload is looked at once, some of them at a time."""
    if isinstance(payloads, PackedPayloads):
        return payloads
    bodies: list[bytes] = []
    captures, which, nbytes = [NO_CAPTURES], np.zeros(0, np.int32), len(payloads)
    for first in range(0, len(payloads), _AT_ONCE):
        some = payloads[first : first + _AT_ONCE]
        bodies += (found := [payload.body for payload in some])
        nbytes += sum(map(len, found))
        if any(said := [payload.captures for payload in some]):
            which = np.zeros(len(payloads), np.int32) if not len(which) else which
            which[first : first + len(said)] = np.arange(len(captures), len(captures) + len(said))
            captures += said
    if len(which) and which.all():
        captures, which = captures[1:], which - 1
    return PackedPayloads.of(bodies, nbytes=nbytes, captures=captures, which=which if len(which) else None)


def packed_if_many(payloads: Sequence[Payload]) -> Sequence[Payload]:
    """Packed where that is worth it."""
    return packed(payloads) if len(payloads) >= _MANY else payloads


def joined(parts: Sequence[Sequence[Payload]]) -> Sequence[Payload]:
    """One after the other, packed where all are or where there are many."""
    alike = [one for one in parts if isinstance(one, PackedPayloads)]
    if len(alike) == len(parts) > 0:
        return PackedPayloads.together(alike)
    if alike and sum(map(len, parts)) >= _MANY:
        return PackedPayloads.together([packed(one) for one in parts])
    return packed_if_many(parts[0] if len(parts) == 1 else list(chain.from_iterable(parts)))


def size_of(payloads: Sequence[Payload]) -> int:
    """Bytes of all bodies."""
    if isinstance(payloads, PackedPayloads):
        return payloads.nbytes - len(payloads)
    return sum([len(payload.body) for payload in payloads])


def lengths_of(payloads: Sequence[Payload]) -> NDArray[np.int64]:
    """Bytes of each body."""
    if isinstance(payloads, PackedPayloads):
        return np.diff(payloads.bounds) - 1
    return np.fromiter((len(payload.body) for payload in payloads), np.int64, len(payloads))


def captures_of(payloads: Sequence[Payload]) -> tuple[Sequence[Mapping[str, str]], NDArray[np.integer]]:
    """Captures, and which of them each payload has."""
    if isinstance(payloads, PackedPayloads):
        return payloads.captures
    return [payload.captures for payload in payloads], np.arange(len(payloads))
