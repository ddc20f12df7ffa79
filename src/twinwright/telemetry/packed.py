"""Many payloads as one piece of bytes: none is an object of its own before somebody asks for it.

What delivers millions of small payloads hands them on like this, and decoders and the journal take the piece as it is. Functions here
take any payloads, packed or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from twinwright.telemetry.payloads import Payload

_NONE: Mapping[str, str] = {}
_MANY = 256  # payloads are packed before they are decoded
_AT_ONCE = 1_000  # of them are looked at and joined together, while the processor's cache has them
Buffer: TypeAlias = bytes | memoryview


class PackedPayloads(Sequence[Payload]):
    """Body i is `buffer[bounds[i]:bounds[i + 1] - 1]`, and a newline stands behind it.

    `captures` are all that there are, and `which` says whose each are: without it, the first are everybody's.
    """

    __slots__ = ("_buffer", "_captures", "_which", "bounds")

    def __init__(
        self,
        buffer: Buffer,
        bounds: NDArray[np.int64],
        captures: Sequence[Mapping[str, str]] = (_NONE,),
        which: NDArray[np.int32] | None = None,
    ) -> None:
        self._buffer, self.bounds, self._captures, self._which = buffer, bounds, captures, which

    @classmethod
    def of(cls, bodies: Sequence[bytes]) -> PackedPayloads:
        """From bodies without captures."""
        bounds = np.zeros(len(bodies) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, bodies), np.int64, len(bodies)) + 1, out=bounds[1:])
        return cls(b"\n".join([*bodies, b""]), bounds)

    def __len__(self) -> int:
        return len(self.bounds) - 1

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
        return PackedPayloads(self._buffer, self.bounds[first : last + 1], self._captures, which)

    def __iter__(self) -> Iterator[Payload]:
        bounds, (captures, which) = self.bounds.tolist(), self.captures
        for begin, end, whose in zip(bounds, bounds[1:], which.tolist(), strict=False):
            yield Payload(bytes(self._buffer[begin : end - 1]), captures[whose])

    def body(self, at: int) -> bytes:
        """One body, of those there are."""
        return bytes(self._buffer[self.bounds[at] : self.bounds[at + 1] - 1])

    @property
    def lines(self) -> Buffer:
        """All bodies, a newline behind each."""
        first, last = int(self.bounds[0]), int(self.bounds[-1])
        return self._buffer if (first, last) == (0, len(self._buffer)) else self._buffer[first:last]

    @property
    def captures(self) -> tuple[Sequence[Mapping[str, str]], NDArray[np.integer]]:
        """All that there are, and whose each are."""
        return self._captures, np.zeros(len(self), np.int32) if self._which is None else self._which

    def captured(self, captures: Sequence[Mapping[str, str]], which: NDArray[np.int32] | None = None) -> PackedPayloads:
        """The same bodies with captures."""
        return PackedPayloads(self._buffer, self.bounds, captures, which)

    @classmethod
    def together(cls, parts: Sequence[PackedPayloads]) -> PackedPayloads:
        """One after the other, at least one; parts that lie so in one piece of bytes are not copied."""
        if len(parts) == 1:
            return parts[0]
        buffer, first = parts[0]._buffer, int(parts[0].bounds[0])
        if all(one._buffer is buffer and before.bounds[-1] == one.bounds[0] for before, one in pairwise(parts)):
            shifts = [0] * len(parts)
        else:
            buffer, first = b"".join([one.lines for one in parts]), 0
            ends = np.cumsum([one.bounds[-1] - one.bounds[0] for one in parts])
            shifts = [int(end - one.bounds[-1]) for end, one in zip(ends, parts, strict=True)]
        bounds = np.concatenate([[first], *(one.bounds[1:] + shift for one, shift in zip(parts, shifts, strict=True))])
        if all(one._which is None and one._captures[0] is parts[0]._captures[0] for one in parts):
            return cls(buffer, bounds, parts[0]._captures)
        found = [one.captures for one in parts]
        begins = np.cumsum([0, *(len(captures) for captures, _ in found)])
        which = np.concatenate([which + begin for (_, which), begin in zip(found, begins, strict=False)]).astype(np.int32)
        return cls(buffer, bounds, tuple(chain.from_iterable(captures for captures, _ in found)), which)


def packed(payloads: Sequence[Payload]) -> PackedPayloads:
    """The bodies; without captures where they were not packed."""
    return payloads if isinstance(payloads, PackedPayloads) else PackedPayloads.of([payload.body for payload in payloads])


def joined(parts: Sequence[Sequence[Payload]], size: int) -> Sequence[Payload]:
    """One after the other, packed where all are or where there are many. `size`: bytes of all bodies."""
    alike = [one for one in parts if isinstance(one, PackedPayloads)]
    if len(alike) == len(parts) > 0:
        return PackedPayloads.together(alike)
    if (count := sum(map(len, parts))) >= _MANY:
        return _gathered(parts, count, size)
    return parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))


def _gathered(parts: Sequence[Sequence[Payload]], count: int, size: int) -> PackedPayloads:
    """Each payload is looked at once. The memory is an array's: the system gives an array that is large out in large pages."""
    lines, bounds = np.empty(size + count, np.uint8), np.zeros(count + 1, np.int64)
    captures, which = [_NONE], np.zeros(count, np.int32)
    row = at = 0
    for part in parts:
        for first in range(0, len(part), _AT_ONCE):
            payloads = part[first : first + _AT_ONCE]
            bodies, end = [payload.body for payload in payloads], row + len(payloads)
            bounds[row + 1 : end + 1] = np.fromiter(map(len, bodies), np.int64, len(bodies))
            bodies.append(b"")
            piece = b"\n".join(bodies)
            lines[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
            if any(said := [payload.captures for payload in payloads]):
                which[row:end] = np.arange(len(captures), len(captures) + len(said))
                captures += said
            row, at = end, at + len(piece)
    bounds[1:] += 1
    np.cumsum(bounds, out=bounds)
    if which.all():
        captures, which = captures[1:], which - 1
    return PackedPayloads(lines.data.toreadonly(), bounds, captures, None if len(captures) == 1 else which)


def size_of(payloads: Sequence[Payload]) -> int:
    """Bytes of all bodies."""
    if isinstance(payloads, PackedPayloads):
        return int(payloads.bounds[-1] - payloads.bounds[0]) - len(payloads)
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
