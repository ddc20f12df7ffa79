"""The life of one FMU instance: made, set, initialised, saved, restored, ended. One class for each version of FMI.

What runs at every step is not here but in the loops (engine.c).
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_size_t, c_uint8, c_uint32, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from twinwright.simulation.fmi.abi import Loops, number_type
from twinwright.simulation.fmi.description import Interface, ModelDescription
from twinwright.simulation.fmi.library import Library
from twinwright.simulation.protocol import ModelError

_STATUS = ("OK", "Warning", "Discard", "Error", "Fatal", "Pending")
_NAMES_2 = {"Float64": "Real", "Int32": "Integer", "Enumeration": "Integer"}
_NAMES_3 = {"Enumeration": "Int64"}
FATAL = 4


def type_name(kind: str, major: int) -> str:
    """What the functions of a version call a type."""
    return (_NAMES_2 if major == 2 else _NAMES_3).get(kind, kind)


class Instance:
    """What both versions have in common. Every function raises ModelError for a status worse than Warning."""

    major: int

    def __init__(self, library: Library, description: ModelDescription, interface: Interface, loops: Loops) -> None:
        self.library, self.description, self.interface, self.loops = library, description, interface, loops
        self.handle: int | None = None
        self.idle = False  # given back, until it is taken again
        self.dead = False  # after Fatal nothing of it may be called (FMI 2.0, 2.1.3; FMI 3.0, 2.2)

    def function(self, name: str, *types: Any, result: Any = c_int) -> Callable[..., Any]:
        found = self.library.callable(name, types, result)
        if found is None:
            raise ModelError(
                "refused", f"the FMU has no function fmi{self.major}{name}", remedy="Export it again; its description says it has"
            )
        return found

    def call(self, name: str, types: Sequence[Any] = (), *values: Any) -> int:
        """fmiX<name>(instance, values...). Raises ModelError with what the FMU said."""
        status = int(self.function(name, c_void_p, *types)(self.handle, *values))
        self.judge(name, status)
        return status

    def judge(self, name: str, status: int, time: float | None = None) -> None:
        if status <= 1:
            return
        self.dead = self.dead or status == FATAL
        said = self.loops.last_message().rstrip(" .\n")
        told = _STATUS[status] if 0 <= status < len(_STATUS) else str(status)
        at = "" if time is None else f" at t = {time:g} s"
        message = f"fmi{self.major}{name} answered {told}{at}" + (f": {said}" if said else "")
        raise ModelError("raised", message, remedy="See the log of the run; `logging: true`, or --log, makes the FMU say more")

    # --- values ---

    def set_numbers(self, kind: str, references: Sequence[int], values: Any) -> None:
        """Numbers of one FMI type; `values` has an element for each element of the variables."""
        data = np.ascontiguousarray(values, number_type(kind, self.major)[1])
        self._numbers("Set", kind, references, data)

    def get_numbers(self, kind: str, references: Sequence[int], count: int) -> Any:
        data = np.zeros(count, number_type(kind, self.major)[1])
        self._numbers("Get", kind, references, data)
        return data

    def _numbers(self, verb: str, kind: str, references: Sequence[int], data: Any) -> None:
        many = (c_uint32 * len(references))(*references)
        more = ((c_size_t,), (data.size,)) if self.major == 3 else ((), ())
        name = f"{verb}{type_name(kind, self.major)}"
        self.call(name, (c_void_p, c_size_t, c_void_p, *more[0]), many, len(references), data.ctypes.data, *more[1])

    def set_texts(self, reference: int, values: Sequence[str]) -> None:
        """The strings of one variable."""
        data = (c_char_p * len(values))(*(value.encode() for value in values))
        more = ((c_size_t,), (len(values),)) if self.major == 3 else ((), ())
        self.call("SetString", (c_void_p, c_size_t, c_void_p, *more[0]), (c_uint32 * 1)(reference), 1, data, *more[1])

    def get_texts(self, reference: int, count: int) -> list[str]:
        data = (c_char_p * count)()
        more = ((c_size_t,), (count,)) if self.major == 3 else ((), ())
        self.call("GetString", (c_void_p, c_size_t, c_void_p, *more[0]), (c_uint32 * 1)(reference), 1, data, *more[1])
        return [(one or b"").decode(errors="replace") for one in data]

    # --- life ---

    def free(self) -> None:
        """Let the instance go. Nothing is called after a fatal error."""
        if self.handle and not self.dead:
            self.function("FreeInstance", c_void_p, result=None)(self.handle)
        self.handle = None

    def terminate(self) -> None:
        self.call("Terminate")

    def reset(self) -> None:
        self.call("Reset")

    def save(self) -> bytes:
        """The serialised state of the FMU."""
        spelling = "FMUstate" if self.major == 2 else "FMUState"
        state = c_void_p()
        self.call(f"Get{spelling}", (c_void_p,), byref(state))
        try:
            size = c_size_t()
            self.call(f"Serialized{spelling}Size", (c_void_p, c_void_p), state, byref(size))
            if size.value > 1 << 30:
                raise ModelError("raised", f"the FMU says that its state has {size.value} bytes", remedy="At most 1 GiB is kept")
            data = (c_uint8 * max(size.value, 1))()
            self.call(f"Serialize{spelling}", (c_void_p, c_void_p, c_size_t), state, data, size.value)
        finally:
            self.function(f"Free{spelling}", c_void_p, c_void_p)(self.handle, byref(state))
        return bytes(data)[: size.value]

    def restore(self, data: bytes) -> None:
        """Put the instance into a state that `save` gave, of this or another instance.

        Some FMUs write through whatever pointer they are given, and crash where it is null: so they get a state that they have made.
        Of one that answers with another state it is known from then on that it makes its own, and a null is what it has to be given:
        else each would be left behind.
        """
        spelling = "FMUstate" if self.major == 2 else "FMUState"
        name = "DeSerializeFMUstate" if self.major == 2 else "DeserializeFMUState"
        state = c_void_p()
        if not self.library.makes_states:
            self.call(f"Get{spelling}", (c_void_p,), byref(state))
        given = state.value
        try:
            self.call(name, (c_char_p, c_size_t, c_void_p), data, len(data), byref(state))
            self.library.makes_states = state.value != given
            self.call(f"Set{spelling}", (c_void_p,), state)
        finally:
            self.function(f"Free{spelling}", c_void_p, c_void_p)(self.handle, byref(state))

    def instantiate(self, resources: bytes, *, logging: bool, event_mode: bool) -> None:
        """`resources` is what `resources_for` says of that folder."""
        raise NotImplementedError

    def enter_initialization(self, start: float, stop: float | None, tolerance: float | None) -> None:
        raise NotImplementedError

    def set_binaries(self, reference: int, values: Sequence[bytes]) -> None:
        raise NotImplementedError

    def get_binaries(self, reference: int, count: int) -> list[bytes]:
        raise NotImplementedError

    def _made(self, name: str, handle: int | None) -> None:
        if not handle:
            said = self.loops.last_message()
            raise ModelError(
                "raised", f"fmi{self.major}{name} gave no instance" + (f": {said}" if said else ""), remedy="See the log of the run"
            )
        self.handle = handle


class Instance2(Instance):
    """FMI 2.0."""

    major = 2

    def instantiate(self, resources: bytes, *, logging: bool, event_mode: bool) -> None:  # noqa: ARG002 -- of 3.0
        make = self.function("Instantiate", c_char_p, c_int, c_char_p, c_char_p, c_void_p, c_int, c_int, result=c_void_p)
        kind = 0 if self.interface.kind == "me" else 1
        name, token = self.description.name.encode(), self.description.token.encode()
        self._made("Instantiate", make(name, kind, token, resources, self.loops.callbacks2(), 0, int(logging)))

    def enter_initialization(self, start: float, stop: float | None, tolerance: float | None) -> None:  # noqa: ARG002 -- see setup
        self.call("EnterInitializationMode")

    def setup(self, start: float, stop: float | None, tolerance: float | None) -> None:
        """fmi2SetupExperiment, which comes before all that is set."""
        types = (c_int, c_double, c_double, c_int, c_double)
        known = tolerance is not None, stop is not None
        self.call("SetupExperiment", types, int(known[0]), tolerance or 0.0, start, int(known[1]), stop or 0.0)


class Instance3(Instance):
    """FMI 3.0."""

    major = 3

    def instantiate(self, resources: bytes, *, logging: bool, event_mode: bool) -> None:
        name, token = self.description.name.encode(), self.description.token.encode()
        common = (c_char_p, c_char_p, c_char_p, c_uint8, c_uint8)
        if self.interface.kind == "me":
            make = self.function("InstantiateModelExchange", *common, c_void_p, c_void_p, result=c_void_p)
            self._made("InstantiateModelExchange", make(name, token, resources, 0, int(logging), None, self.loops.logger3()))
            return
        more = (c_uint8, c_uint8, c_void_p, c_size_t, c_void_p, c_void_p, c_void_p)
        make = self.function("InstantiateCoSimulation", *common, *more, result=c_void_p)
        events = int(event_mode)
        handle = make(name, token, resources, 0, int(logging), events, events, None, 0, None, self.loops.logger3(), None)
        self._made("InstantiateCoSimulation", handle)

    def enter_initialization(self, start: float, stop: float | None, tolerance: float | None) -> None:
        types = (c_uint8, c_double, c_double, c_uint8, c_double)
        known = tolerance is not None, stop is not None
        self.call("EnterInitializationMode", types, int(known[0]), tolerance or 0.0, start, int(known[1]), stop or 0.0)

    def set_binaries(self, reference: int, values: Sequence[bytes]) -> None:
        sizes = (c_size_t * len(values))(*(len(value) for value in values))
        buffers = [ctypes.create_string_buffer(value, max(len(value), 1)) for value in values]
        data = (c_void_p * len(values))(*(ctypes.addressof(one) for one in buffers))
        types = (c_void_p, c_size_t, c_void_p, c_void_p, c_size_t)
        self.call("SetBinary", types, (c_uint32 * 1)(reference), 1, sizes, data, len(values))

    def get_binaries(self, reference: int, count: int) -> list[bytes]:
        sizes, data = (c_size_t * count)(), (c_void_p * count)()
        types = (c_void_p, c_size_t, c_void_p, c_void_p, c_size_t)
        self.call("GetBinary", types, (c_uint32 * 1)(reference), 1, sizes, data, count)
        if sum(sizes) > 1 << 26:
            raise ModelError("raised", f"a binary variable has {sum(sizes)} bytes", remedy="At most 64 MiB are recorded")
        return [ctypes.string_at(address, size) if address else b"" for address, size in zip(data, sizes, strict=True)]


def update_discrete_states(instance: Instance, time: float) -> float:
    """Event iteration until nothing changes; the time of the next time event, infinity where there is none."""
    for _ in range(1000):
        if instance.major == 2:
            info = _EventInfo()
            instance.call("NewDiscreteStates", (c_void_p,), byref(info))
            needed, terminate, defined, following = info.needed, info.terminate, info.time_defined, info.time
        else:
            flags, at = [c_uint8() for _ in range(5)], c_double()
            instance.call("UpdateDiscreteStates", (c_void_p,) * 6, *(byref(one) for one in flags), byref(at))
            needed, terminate, defined, following = flags[0].value, flags[1].value, flags[4].value, at.value
        if terminate:
            raise ModelError("raised", f"the FMU ended the simulation at t = {time:g} s, in an event")
        if not needed:
            return float(following) if defined else math.inf
    raise ModelError("raised", f"events follow each other without end at t = {time:g} s", remedy="Look for a condition that undoes itself")


def resources_for(folder: Path, major: int) -> bytes:
    """An absolute folder as a version of FMI names it: a URI in 2.0, a path that ends in a separator in 3.0."""
    return (folder.as_uri() if major == 2 else f"{folder}/").encode()


class _EventInfo(ctypes.Structure):
    _fields_ = (
        *((name, c_int) for name in ("needed", "terminate", "nominals_changed", "values_changed", "time_defined")),
        ("time", c_double),
    )


def double_pointer(values: Any) -> Any:
    """The address of an array of doubles."""
    return values.ctypes.data_as(POINTER(c_double))
