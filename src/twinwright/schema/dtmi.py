"""Digital twin model identifiers (DTDL language specification, "Digital Twin Model Identifier")."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LENGTH = 2048
RESERVED_PREFIXES = ("dtmi:dtdl:", "dtmi:standard:")

_SEGMENT = r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?"
_V2 = re.compile(rf"dtmi:{_SEGMENT}(?::{_SEGMENT})*;[1-9][0-9]{{0,8}}")
_LATER = re.compile(rf"dtmi:{_SEGMENT}(?::{_SEGMENT})*(?:;[1-9][0-9]{{0,8}}(?:\.[1-9][0-9]{{0,5}})?)?")
_SYSTEM = re.compile(
    r"dtmi:[A-Za-z_](?:[A-Za-z0-9_]*[A-Za-z0-9])?(?::[A-Za-z_][A-Za-z0-9_]*)*(?:;[0-9]+(?:\.[0-9]+)?)?(?:#[A-Za-z_][A-Za-z0-9_]*)?"
)


@dataclass(frozen=True, slots=True)
class Dtmi:
    """An identifier in its parts: `dtmi:plant:Pump;2.1` has the path `dtmi:plant:Pump` and the version (2, 1)."""

    path: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.path};{'.'.join(map(str, self.version))}" if self.version else self.path


def is_dtmi(text: object, language_version: int = 4) -> bool:
    """Whether this is the identifier of a user's element in that version of DTDL (v2 asks for one version number)."""
    return isinstance(text, str) and len(text) <= MAX_LENGTH and bool((_V2 if language_version == 2 else _LATER).fullmatch(text))


def is_system_dtmi(text: str) -> bool:
    """Whether this has the wider syntax of names that the language or its extensions define."""
    return len(text) <= MAX_LENGTH and bool(_SYSTEM.fullmatch(text))


def is_reserved(text: str) -> bool:
    """Whether only the language itself may define this."""
    return text.startswith(RESERVED_PREFIXES)


def parse(text: str) -> Dtmi:
    """The parts of an identifier. Raises ValueError where it is none."""
    if not is_dtmi(text):
        raise ValueError(f"'{text[:120]}' is not a DTMI")
    path, _, version = text.partition(";")
    return Dtmi(path, tuple(int(part) for part in version.split(".")) if version else ())


def deversioned(text: str) -> str:
    """What stands left of the semicolon."""
    return text.partition(";")[0]
