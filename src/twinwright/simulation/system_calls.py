"""System calls that a model has no use for, and by which it would get past what else holds it (seccomp(2), Linux 3.5).

A socket with a path reaches whoever listens there, a database or a desktop, whatever the network; Landlock and namespaces do not see it.
Sockets made in pairs reach each other alone, if they are of a connected kind. The user's keys (keyrings(7)) are of no namespace either, and
io_uring(7) makes sockets without the call that does.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from dataclasses import dataclass

from twinwright.simulation.containment import refuse_privileges

_FILTER, _SECCOMP = 2, 22
_LOAD, _EQUAL, _ANY_OF, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06  # of the packet filters that are asked (BPF, classic)
_NUMBER, _MACHINE, _FIRST, _SECOND = 0, 4, 16, 24  # where in what they are shown, the low halves of arguments
_ALLOW = 0x7FFF0000
_DENY, _UNKNOWN = 0x00050000 | errno.EACCES, 0x00050000 | errno.ENOSYS
_OF_ITS_NETWORK = (2, 10, 16)  # families that a namespace of the network holds: IPv4, IPv6, and what tells of interfaces
_CONNECTED = (1, 5)  # kinds of pairs: streams, and packets in sequence
_RINGS = (425, 426, 427)  # the same everywhere
_X32 = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class _Machine:
    """The numbers of calls: as audit.h calls the machine, `socket`, `socketpair`, the three of keys, and those of its older programs."""

    name: int
    socket: int
    pair: int
    keys: tuple[int, ...]
    older: int
    older_denied: tuple[int, ...]


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 41, 53, (248, 249, 250), 0x40000003, (102, 359, 360, 286, 287, 288)),
    "aarch64": _Machine(0xC00000B7, 198, 199, (217, 218, 219), 0x40000028, (102, 281, 288, 309, 310, 311)),
}


def deny_sockets(*, network_cut: bool) -> bool:
    """Let this process, of one thread, and all that it starts make no socket but pairs; where it has no network (`network_cut`), those of
    the network too, which reach nobody. Nor have they keys. False where the kernel does not allow it, or the machine is not known."""
    machine = _MACHINES.get(os.uname().machine) if sys.maxsize > 1 << 32 and sys.byteorder == "little" else None
    if machine is None or not refuse_privileges():
        return False
    code = _filter(machine, _OF_ITS_NETWORK if network_cut else ())
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(held := ctypes.create_string_buffer(code, len(code))))
    done: bool = _libc.prctl(_SECCOMP, _FILTER, program, 0, 0) == 0
    del held  # which the kernel has read
    return done


def _filter(machine: _Machine, families: tuple[int, ...]) -> bytes:
    own = [_step(_LOAD, _NUMBER), _step(_ANY_OF, _X32, 0, 1), _step(_RETURN, _UNKNOWN), *_without(machine.keys)]
    own += _at(machine.socket, [_step(_LOAD, _FIRST), *_one_of(families)])
    own += _at(machine.pair, [_step(_LOAD, _SECOND), _step(_AND, 0xF), *_one_of(_CONNECTED)])
    own.append(_step(_RETURN, _ALLOW))
    older = [_step(_LOAD, _NUMBER), *_without(machine.older_denied), _step(_RETURN, _ALLOW)]
    which = [_step(_LOAD, _MACHINE), *_at(machine.name, own), *_at(machine.older, older)]
    return b"".join([*which, _step(_RETURN, _UNKNOWN)])


def _without(numbers: tuple[int, ...]) -> list[bytes]:
    """These calls are denied, and there are no rings."""
    answers = [*((number, _DENY) for number in numbers), *((number, _UNKNOWN) for number in _RINGS)]
    return [step for number, answer in answers for step in _at(number, [_step(_RETURN, answer)])]


def _at(value: int, then: list[bytes]) -> list[bytes]:
    """Do it where what is loaded is `value`; what is done ends by an answer."""
    return [_step(_EQUAL, value, 0, len(then)), *then]


def _one_of(values: tuple[int, ...]) -> list[bytes]:
    return [step for value in values for step in _at(value, [_step(_RETURN, _ALLOW)])] + [_step(_RETURN, _DENY)]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
