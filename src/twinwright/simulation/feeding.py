"""More runs for a child that is at work: it asks before it runs out of them, and is handed what comes next.

So a child is forked for some seconds of work however long a run takes, none waits for the other side, and near the end of many runs those
that are left are spread over the children little by little. What is asked is a packet (how many seconds a run takes), what is handed on a
packet with a descriptor of anonymous memory, or one without where there is no more. Whoever is asked may also read what the child has told
since: so answers are taken up while it goes on. Both sides take what comes as that of a stranger: a child that asks without end is given
runs that it does not come to, and that others have when it ends.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

from twinwright.simulation import plain_data

FEED: Final = 199  # the child's descriptor: those that a run opens have the numbers that they have in a process without it
Telling = Callable[[], "SoFar"]
More = Callable[[float, Telling], Any | None]
"""What comes next for a child whose runs take so many seconds each; None: nothing. The second reads what it has told meanwhile."""

_PACE: Final = struct.Struct("<d")
_HERE, _NO_MORE = b"+", b"-"


@dataclass(frozen=True, slots=True)
class SoFar:
    """What a child that goes on has told, as `Outcome.parts`, of which nothing is told again; and whether it has no network."""

    parts: tuple[Any, ...]
    network_cut: bool


class Feeder:
    """The requester's side. `theirs` is for the child, and is closed here once it has it."""

    def __init__(self, more: More) -> None:
        self._more = more
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)

    def fileno(self) -> int:
        """What becomes readable when the child asks."""
        return self._ours.fileno()

    def answer(self, telling: Telling) -> bool:
        """Hand on what comes next. False where there is nothing more to say: all is handed on, or the child has hung up, asks what is no
        question or does not take what it has asked for."""
        try:
            packet = self._ours.recv(64)
        except OSError:
            return False
        if len(packet) != _PACE.size:
            return False
        (pace,) = _PACE.unpack(packet)
        following = self._more(pace if math.isfinite(pace) and pace > 0 else 0.0, telling)
        try:
            if following is None:
                self._ours.send(_NO_MORE)
            else:
                with os.fdopen(os.memfd_create("runs"), "wb") as file:
                    file.write(plain_data.encode(following))
                    file.seek(0)
                    socket.send_fds(self._ours, [_HERE], [file.fileno()])
        except OSError:
            return False
        return following is not None

    def close(self) -> None:
        """Hang up: what was said before still comes."""
        self._ours.close()
        self.theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Fed:
    """The child's side."""

    def __init__(self, descriptor: int = FEED) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self.asked = False

    def ask(self, pace: float) -> None:
        """Have the next ones made, and go on meanwhile; `pace` is how many seconds a run takes."""
        if not self.asked:
            self.asked = True
            with contextlib.suppress(OSError):
                self._socket.send(_PACE.pack(pace))

    def take(self, pace: float) -> Any | None:
        """The next ones, as soon as they are there. None where there are none, or the other side is gone."""
        self.ask(pace)
        self.asked = False
        descriptors: list[int] = []
        with contextlib.suppress(OSError):
            _, descriptors, _, _ = socket.recv_fds(self._socket, 1, 1)
        if not descriptors:
            return None
        with os.fdopen(descriptors[0], "rb") as file:
            return plain_data.decode(file.read())

    def close(self) -> None:
        self._socket.close()
