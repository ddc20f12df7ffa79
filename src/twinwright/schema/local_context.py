"""Local contexts: words that a document defines for itself, which DTDL does not read, and what is wrong with them besides.

Source: JSON-LD 1.1, "Context definitions", and the DTDL language description, "Context" and "Reserved strings". Such an object is
refused whatever it holds; its words are judged all the same, because they will stand in some context once they are moved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from twinwright.schema import dtmi, metamodel, semantic_types
from twinwright.schema.sources import kind

_LATEST = 4
_SCHEME = "dtmi"
_WEB = re.compile(r"https?:(?!//[^\s/]+)")
_PREFIX = re.compile(r"dtmi(?::[A-Za-z_][A-Za-z0-9_]*)*:")  # what a name is put behind: `dtmi:example:`

Found = tuple[str, str, str, str | None]  # code, message, remedy, and what was written


def problems(local: dict[str, Any]) -> Iterator[tuple[str, Found]]:
    """Each word of a local context that could not be defined so, with what is wrong with it."""
    for term, definition in local.items():
        yield from ((term, found) for found in (_of_term(term), _of_definition(definition)) if found is not None)


def _of_term(term: str) -> Found | None:
    shown = term[:60]
    if not term:
        return "localTermEmpty", "a term is empty", "Give it a name", None
    if term == _SCHEME:
        return "localTermSchemePrefix", f"'{shown}' is the scheme of identifiers", "Choose another word", None
    if ":" in term or term.startswith("@"):
        return "localTermInvalid", f"'{shown}' is not a term", "Write a word without ':' and '@'", None
    if term in _words():
        return "localTermReserved", f"'{shown}' is a word of the language", "Choose another word", None
    return None


def _of_definition(definition: object) -> Found | None:
    inner, remedy = definition, "Write a DTMI or another URI"
    if isinstance(definition, dict):
        if "@id" not in definition:
            return "termDefinitionMissingIdProperty", "the definition of a term has no '@id'", remedy, None
        inner = definition["@id"]
        if not isinstance(inner, str):
            return "termDefinitionIdPropertyNotString", f"'@id' of a term is {kind(inner)}", remedy, None
    if not isinstance(inner, str):
        return "termDefinitionNotStringOrObject", f"the definition of a term is {kind(inner)}", remedy, None
    if inner.startswith("dtmi:") and not dtmi.is_system_dtmi(inner) and not _PREFIX.fullmatch(inner[: dtmi.MAX_LENGTH]):
        return "localTermDefinitionInvalidDtmi", f"'{inner[:80]}' is not a DTMI", remedy, inner
    if _WEB.match(inner) or any(character.isspace() for character in inner[: dtmi.MAX_LENGTH]):
        return "localTermDefinitionInvalidUri", f"'{inner[:80]}' is not a URI", remedy, inner
    return None


def _words() -> frozenset[str]:
    edition = max(semantic_types.EDITIONS)
    language = metamodel.reserved_terms(_LATEST) | frozenset(metamodel.classes(_LATEST))
    return language | semantic_types.words(edition) | semantic_types.units(edition) | frozenset(semantic_types.names(edition))
