"""The shared library of an FMU: the right one for this machine, loaded with what lies beside it, its functions looked up."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twinwright.simulation.fmi.archive import Archive
from twinwright.simulation.fmi.description import Interface, Kind, ModelDescription
from twinwright.simulation.fmi.platforms import host_platforms, own_binary, own_platform, platforms, source_list
from twinwright.simulation.protocol import ModelError

_COMMON_2 = (
    "GetVersion Instantiate FreeInstance SetupExperiment EnterInitializationMode ExitInitializationMode Terminate Reset "
    "GetReal GetInteger GetBoolean GetString SetReal SetInteger SetBoolean SetString"
)
_OWN_2 = {
    "cs": "DoStep GetRealStatus GetBooleanStatus GetStatus",
    "me": "EnterEventMode NewDiscreteStates EnterContinuousTimeMode CompletedIntegratorStep SetTime SetContinuousStates GetDerivatives "
    "GetEventIndicators GetContinuousStates GetNominalsOfContinuousStates",
}
_COMMON_3 = (
    "GetVersion FreeInstance EnterInitializationMode ExitInitializationMode EnterEventMode UpdateDiscreteStates Terminate Reset "
    "GetFloat32 GetFloat64 GetInt8 GetUInt8 GetInt16 GetUInt16 GetInt32 GetUInt32 GetInt64 GetUInt64 GetBoolean GetString GetBinary "
    "SetFloat32 SetFloat64 SetInt8 SetUInt8 SetInt16 SetUInt16 SetInt32 SetUInt32 SetInt64 SetUInt64 SetBoolean SetString SetBinary"
)
_OWN_3 = {
    "cs": "InstantiateCoSimulation DoStep EnterStepMode",
    "me": "InstantiateModelExchange EnterContinuousTimeMode CompletedIntegratorStep SetTime SetContinuousStates "
    "GetContinuousStateDerivatives GetEventIndicators GetContinuousStates GetNominalsOfContinuousStates",
}
_OPTIONAL = {"GetRealStatus", "GetBooleanStatus", "GetStatus", "EnterStepMode", "EnterEventMode", "UpdateDiscreteStates"}
_STATES_2 = "GetFMUstate SetFMUstate FreeFMUstate SerializedFMUstateSize SerializeFMUstate DeSerializeFMUstate"
_STATES_3 = "GetFMUState SetFMUState FreeFMUState SerializedFMUStateSize SerializeFMUState DeserializeFMUState"
_MORE_3 = "EnterConfigurationMode ExitConfigurationMode"


class Library:
    """A loaded library; `functions` are the addresses of what it has of the interface, by name without `fmi2` or `fmi3`."""

    def __init__(self, path: Path, description: ModelDescription, interface: Interface) -> None:
        self.path = path
        self.makes_states = False  # where it is known that to deserialise a state makes one; see Instance.restore
        self.dependencies: list[tuple[Path, ctypes.CDLL]] = []
        libc = ctypes.CDLL(None)
        libc.setlinebuf(ctypes.c_void_p.in_dll(libc, "stdout"))  # what it prints is in the log, though it crashes
        handle = self._load(path)
        self.handle = handle
        version = description.major
        needed = f"{_COMMON_2 if version == 2 else _COMMON_3} {(_OWN_2 if version == 2 else _OWN_3)[interface.kind]}".split()
        optional = (_STATES_2 if version == 2 else f"{_STATES_3} {_MORE_3}").split()
        self.functions: dict[str, int] = {}
        self._callables: dict[tuple[str, tuple[Any, ...], Any], Callable[..., Any]] = {}
        missing = []
        for name in [*needed, *optional]:
            address = _address(handle, f"fmi{version}{name}", interface.identifier)
            if address is not None:
                self.functions[name] = address
            elif name not in _OPTIONAL and name not in optional and not _unused(name, description):
                missing.append(f"fmi{version}{name}")
        if missing:
            shown = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
            raise ModelError("refused", f"{path.name} lacks {shown}", remedy="Export the FMU again; it is not complete")

    def callable(self, name: str, types: tuple[Any, ...], result: Any) -> Callable[..., Any] | None:
        """A function by name, as one of these types; None where it has none. Made once: that takes longer than most calls."""
        found = self._callables.get((name, types, result))
        if found is None and name in self.functions:
            found = self._callables[name, types, result] = ctypes.CFUNCTYPE(result, *types)(self.functions[name])
        return found

    def _load(self, path: Path, mode: int = os.RTLD_LOCAL, within: tuple[str, ...] = ()) -> ctypes.CDLL:
        """Load it; libraries that it needs and that lie beside it are loaded first, each once."""
        tried: set[str] = set()
        while True:
            try:
                return ctypes.CDLL(str(path), mode=mode | os.RTLD_NOW)
            except OSError as error:
                match = re.match(r"([^\s:/]+): cannot open shared object file", str(error))
                name = match[1] if match else ""
                if not name or name in (*tried, *within) or not (path.parent / name).is_file():
                    remedy = "Install what it needs, or export it without dependencies"
                    if name in tried:
                        remedy = f"{name} lies beside it and has no soname: link it with one, or with an rpath of $ORIGIN"
                    raise ModelError("refused", f"{path.name} can't be loaded: {error}", remedy=remedy) from None
                tried.add(name)
                self.dependencies.append((path.parent / name, self._load(path.parent / name, os.RTLD_GLOBAL, (*within, path.name))))


def choose(description: ModelDescription, kind: Kind | None) -> Interface:
    """The interface to run: the kind asked for, or co-simulation where there is one that needs no tool. Raises ModelError (`refused`)."""
    order: tuple[Kind, ...] = (kind,) if kind else ("cs", "me")
    there = [one for wanted in order if (one := description.interface(wanted))]
    if not there:
        have = ", ".join(one.kind for one in description.interfaces) or "none"
        raise ModelError("refused", f"{description.name} can't be run as {' or '.join(order)}", remedy=f"Kinds that it has: {have}")
    found = next((one for one in there if not one.has("needsExecutionTool")), there[0])
    if found.has("needsExecutionTool"):
        tool = description.tool or "the tool that made it"
        raise ModelError(
            "refused",
            f"{description.name} only steers {tool}, which would have to be installed and running here",
            remedy="Export it from there as a stand-alone FMU",
        )
    return found


def find_library(archive: Archive, folder: Path, description: ModelDescription, interface: Interface) -> Path:
    """The library for this machine in the unpacked FMU, compiled from its sources where it brings none. Raises ModelError."""
    name = own_binary(archive, interface)
    if name is not None:
        return folder / name
    sources = source_list(archive, description, interface)
    if sources is not None:
        from twinwright.simulation.fmi.compiled_sources import compile_once

        target = folder / "binaries" / host_platforms()[0] / f"{interface.identifier}.so"
        try:
            compile_once(archive.body, folder, sources, description.major, target, None if description.major == 3 else interface.identifier)
        except OSError as error:
            raise ModelError(
                "refused", f"it has no binary for {own_platform()}, and its sources: {error}", remedy="Export it with one"
            ) from None
        return target
    have = ", ".join(platforms(archive)) or "no platform"
    raise ModelError(
        "refused",
        f"'{interface.identifier}' has no library for {own_platform()}: it was exported for {have}",
        remedy=f"Export it for {' or '.join(host_platforms())}, or with its sources",
    )


def _address(handle: ctypes.CDLL, name: str, identifier: str) -> int | None:
    for symbol in (name, f"{identifier}_{name}"):  # the prefix belongs to static linking, and some leave it in
        try:
            return ctypes.cast(getattr(handle, symbol), ctypes.c_void_p).value
        except AttributeError:
            continue
    return None


def _unused(name: str, description: ModelDescription) -> bool:
    """Whether a function sets or gets a type of which the FMU has no variable, or the discrete states of a kind without."""
    if not re.match(r"[GS]et(Float|U?Int|Boolean|String|Binary|Real|Integer)", name):
        return name in ("Terminate", "Reset", "GetVersion")
    kind = name[3:]
    kinds = {"Real": ("Float64",), "Integer": ("Int32", "Enumeration")}.get(kind, (kind,))
    if kind == "Int64":
        kinds = ("Int64", "Enumeration")
    return not any(one.type in kinds for one in description.variables)
