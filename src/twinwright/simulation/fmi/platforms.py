"""Which binary of an FMU runs on this machine, and how its sources are compiled where there is none."""

from __future__ import annotations

import platform
import re
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from twinwright.errors import UsageError
from twinwright.simulation.fmi.archive import Archive
from twinwright.simulation.fmi.description import Interface, ModelDescription
from twinwright.simulation.fmi.xml_tree import parse_xml

HEADERS = (".h", ".hpp", ".inc")
_SUFFIXES = {"linux": ".so", "darwin": ".dylib", "win": ".dll"}
_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64", "i386": "x86", "i686": "x86"}
_ELF_MACHINES = {"x86_64": 62, "aarch64": 183, "x86": 3}  # e_machine of the System V ABI
# FMI 2.0, 2.3 and FMI 3.0, 2.5 name platforms differently, and tools mix the two.
_OLD_NAMES = {"x86_64-linux": "linux64", "x86-linux": "linux32", "x86_64-darwin": "darwin64", "aarch64-darwin": "darwin64"}


@dataclass(frozen=True, slots=True)
class SourceList:
    """What to compile: files below `sources/`, definitions and include folders."""

    files: tuple[str, ...]
    definitions: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def own_platform() -> str:
    """This machine as FMI 3.0 names it: x86_64-linux."""
    system = {"linux": "linux", "darwin": "darwin"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    return f"{_MACHINES.get(machine, machine)}-{system}"


def host_platforms() -> tuple[str, ...]:
    """The folders below `binaries/` whose libraries run here, in the order in which they are looked for."""
    own = own_platform()
    return (own, _OLD_NAMES[own]) if own in _OLD_NAMES else (own,)


def binaries(archive: Archive, identifier: str) -> dict[str, str]:
    """The shared library of a model identifier by platform folder."""
    found = {}
    for name in archive.under("binaries"):
        parts = name.split("/")
        if len(parts) == 3 and re.fullmatch(rf"{re.escape(identifier)}\.(so|dll|dylib)", parts[2]):
            found[parts[1]] = name
    return found


def platforms(archive: Archive) -> list[str]:
    """Every platform that the FMU has binaries for."""
    return sorted({name.split("/")[1] for name in archive.under("binaries") if name.count("/") >= 2})


def own_binary(archive: Archive, interface: Interface) -> str | None:
    """The library for this machine, or None."""
    there = binaries(archive, interface.identifier)
    return next((there[name] for name in host_platforms() if name in there), None)


def library_fault(body: bytes) -> str | None:
    """What in its headers keeps a file from being a shared library of this machine; None where they are in order, or no ELF is expected."""
    if not sys.platform.startswith("linux"):
        return None
    if body[:4] != b"\x7fELF":
        return "is no shared library"
    wide, order = body[4:5] == b"\x02", ">" if body[5:6] == b"\x02" else "<"
    try:
        machine = struct.unpack_from(f"{order}H", body, 18)[0]
        if machine != _ELF_MACHINES.get(own_platform().split("-")[0], machine):
            return "is of another machine"
        start, size, count = *struct.unpack_from(f"{order}{'Q' if wide else 'I'}", body, 32 if wide else 28), *_sizes(body, order, wide)
        offset, layout = (8, "Q16xQ") if wide else (4, "I8xI")
        segments = [struct.unpack_from(f"{order}{layout}", body, start + index * size + offset) for index in range(count)]
    except struct.error:
        return "is cut short"
    return "is cut short" if any(at + length > len(body) for at, length in segments) else None


def _sizes(body: bytes, order: str, wide: bool) -> tuple[int, int]:
    """Of an ELF file: the bytes of a program header, and how many there are."""
    size, count = struct.unpack_from(f"{order}HH", body, 54 if wide else 42)
    return size, count


def source_list(archive: Archive, description: ModelDescription, interface: Interface) -> SourceList | None:
    """What its description (2.0) or build description says is to be compiled; None where there is nothing to compile."""
    if "sources/buildDescription.xml" in archive.files:
        found = _build_description(archive, interface)
        if found is not None:
            return found
    names = _compiled([_below_sources(name) for name in interface.sources])
    return SourceList(names) if names and description.major == 2 and all(name in archive.files for name in names) else None


def _compiled(names: Sequence[str]) -> tuple[str, ...]:
    """Without the headers that some tools list among the sources."""
    return tuple(name for name in names if not name.lower().endswith(HEADERS))


def _below_sources(name: str) -> str:
    """A listed file by its name in the archive; some tools write `./util/list.c`."""
    return f"sources/{PurePosixPath(name.replace(chr(92), '/')).as_posix()}"


def _build_description(archive: Archive, interface: Interface) -> SourceList | None:
    root = parse_xml(archive.read("sources/buildDescription.xml", 1 << 20), f"{archive.name}:sources/buildDescription.xml")
    for configuration in root.named("BuildConfiguration"):
        if configuration.attributes.get("modelIdentifier") != interface.identifier:
            continue
        where = configuration.attributes.get("platform")
        sets = [one for one in configuration.named("SourceFileSet") if one.attributes.get("language", "C99").startswith("C")]
        if (where is not None and where != own_platform()) or not sets:
            continue
        nodes = [node for one in sets for node in one.children]
        files = _compiled([_below_sources(node.attributes.get("name", "")) for node in nodes if node.tag == "SourceFile"])
        definitions = tuple(_definition(node.attributes) for node in nodes if node.tag == "PreprocessorDefinition")
        includes = tuple(_below_sources(node.attributes.get("name", "")) for node in nodes if node.tag == "IncludeDirectory")
        if files and all(name in archive.files for name in files):
            return SourceList(files, definitions, includes)
    return None


def _definition(attributes: dict[str, str]) -> str:
    name, value = attributes.get("name", ""), attributes.get("value")
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise UsageError(f"'{name[:40]}' is no name of a preprocessor definition", remedy="Correct sources/buildDescription.xml")
    return f"-D{name}" if value is None else f"-D{name}={value}"
