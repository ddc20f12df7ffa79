"""Values that are not elements: representational literals, localizable strings, choices and identifiers.

Source: specification, "Representational literal" and "Localizable string". Each reader returns the plain value, or None
after it has put what is wrong into the report.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from twinwright.documents import Location
from twinwright.schema import dtmi, metamodel
from twinwright.schema.metamodel import NAME, Member
from twinwright.schema.sources import Report, Source, kind

_LANGUAGE = re.compile(r"[a-z]{2,4}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
_TYPES: dict[str, type] = {"string": str, "integer": int, "boolean": bool}
_ARTICLES = {"string": "a string", "integer": "an integer", "boolean": "a boolean"}
_MISPLACED = {"@id": "Id", "@context": "Context", "@graph": "Graph", "@language": "Language"}
_INTEGER_LIMIT = 2**31


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands, in which version of the language, and whom to tell what is wrong with it."""

    source: Source
    location: Location
    version: int
    report: Report

    def fail(self, code: str, message: str, remedy: str, *inside: str | int) -> None:
        self.report.add(self.source, (*self.location, *inside), code, message, remedy)


def single(value: Any, member: Member, place: Place) -> Any:
    """The one value of a member that may be written as an array of one; None (told, where it matters) for none or several."""
    if not isinstance(value, list):
        return value
    if len(value) == 1:
        return value[0]
    if value:
        place.fail(f"{member.kind}MultipleValues", f"'{member.name}' has {len(value)} values", "Keep one of them")
    elif member.required:
        place.fail(f"{member.kind}CountBelowMin", f"'{member.name}' has no value", "Give it one")
    return None


def scalar(value: Any, member: Member, place: Place) -> str | int | bool | None:
    """A string, integer or boolean member, with its length, range and, for names, its pattern checked."""
    inner = single(value, member, place)
    if inner is None:
        if value is None or value == [None]:
            place.fail("propertyValueNull", f"'{member.name}' is null", "Remove it or give it a value")
        return None
    found = literal(inner, member.kind, place)
    if isinstance(found, str):
        _check_text(found, member, place)
    elif isinstance(found, int) and not isinstance(found, bool):
        _check_range(found, member, place)
    return found


def literal(value: Any, wanted: str, place: Place) -> str | int | bool | None:
    """The value of a representational literal: bare, or an object with `@value` and `@type`."""
    if isinstance(value, dict):
        return _literal_object(value, wanted, place)
    if _is_a(value, wanted):
        return value  # type: ignore[no-any-return]
    place.fail(f"{wanted}Not{wanted.capitalize()}", f"{_ARTICLES[wanted]} is expected, not {kind(value)}", f"Write {_ARTICLES[wanted]}")
    return None


def localizable(value: Any, member: Member, place: Place) -> dict[str, str]:
    """Language code -> text of a localizable string; a bare string is in `en`."""
    if isinstance(value, str):
        found = {"en": value}
    elif isinstance(value, list):
        found = _localized_array(value, place)
    elif isinstance(value, dict):
        found = _language_map(value, place)
    else:
        place.fail("langStringElementNotStringOrObject", f"'{member.name}' is {kind(value)}", 'Write a string or {"en": "..."}')
        return {}
    if member.max_length is not None and any(len(text) > member.max_length for text in found.values()):
        place.fail("langStringValueTooLong", f"'{member.name}' is longer than {member.max_length} characters", "Shorten it")
    return found


def choice(value: Any, member: Member, place: Place) -> str | None:
    """One of the few strings that a member admits, as its term."""
    inner = single(value, member, place)
    if inner is None and isinstance(value, list) and not value:
        return None
    if not isinstance(inner, str) or inner not in member.choices:
        terms = ", ".join(name for name in member.choices if ":" not in name)
        known = isinstance(inner, str) and (
            inner in metamodel.standard_schemas(place.version) or inner in metamodel.reserved_terms(place.version)
        )
        code = "notRequiredValue" if known else "badDtmiOrTerm" if isinstance(inner, str) else "refNotStringOrObject"
        place.fail(code, f"'{member.name}' is {inner!r:.60}", f"It must be one of: {terms}")
        return None
    return inner.rpartition(":")[2].partition(";")[0]


def identifier(value: Any, member: Member, place: Place) -> str | None:
    """A DTMI that is not resolved (`target`)."""
    inner = single(value, member, place)
    if inner is None and isinstance(value, list) and len(value) != 1:
        return None
    if not isinstance(inner, str):
        place.fail("identifierNotString", f"'{member.name}' is {kind(inner)}", "Write a DTMI")
    elif not dtmi.is_dtmi(inner, place.version):
        place.fail("identifierNotDtmi", f"'{inner[:120]}' is not a DTMI", "Write it as dtmi:example:Thing;1")
    else:
        return inner
    return None


def _literal_object(value: dict[str, Any], wanted: str, place: Place) -> str | int | bool | None:
    for key in value:
        strict = place.version >= 3
        if not key.startswith("@") or (strict and key not in ("@value", "@type")) or key in ("@id", "@context", "@graph"):
            code = _MISPLACED.get(key, "Keyword" if key.startswith("@") else "InvalidProp")
            place.fail(f"valueObject{code}", f"'{key[:60]}' is not part of a value object", "Keep @value and @type only", key)
            return None
    if "@value" not in value:
        place.fail(f"{wanted}ObjectNoValue", "the value object has no @value", "Add @value")
        return None
    types = (f"xsd:{wanted}", f"http://www.w3.org/2001/XMLSchema#{wanted}")
    if "@type" in value and value["@type"] not in (*types, [types[0]], [types[1]]):
        place.fail(f"{wanted}TypeNot{wanted.capitalize()}", f"@type is {value['@type']!r:.60}", f"Write xsd:{wanted}", "@type")
        return None
    inner = value["@value"]
    if not _is_a(inner, wanted):
        place.fail(f"{wanted}ValueNot{wanted.capitalize()}", f"@value is {kind(inner)}", f"Write {_ARTICLES[wanted]}", "@value")
        return None
    return inner  # type: ignore[no-any-return]


def _is_a(value: Any, wanted: str) -> bool:
    if wanted == "integer":
        return isinstance(value, int) and not isinstance(value, bool) and -_INTEGER_LIMIT <= value < _INTEGER_LIMIT
    return isinstance(value, _TYPES[wanted])


def _check_text(text: str, member: Member, place: Place) -> None:
    if member.max_length is not None and len(text) > member.max_length:
        place.fail("stringTooLong", f"'{member.name}' is longer than {member.max_length} characters", "Shorten it")
    if member.name == "name" and not NAME.fullmatch(text):
        place.fail(
            "stringInvalid", f"'{text[:80]}' is not a name", "Use letters, digits and _, begin with a letter, end with a letter or digit"
        )


def _check_range(number: int, member: Member, place: Place) -> None:
    low, high = member.minimum, member.maximum
    if low is not None and low == high and number != low:
        place.fail("valueNotExact", f"'{member.name}' is {number}", f"It must be {low}")
    elif low is not None and number < low:
        place.fail("valueBelowMin", f"'{member.name}' is {number}", f"It must be at least {low}")
    elif high is not None and number > high:
        place.fail("valueAboveMax", f"'{member.name}' is {number}", f"It must be at most {high}")


def _localized_array(items: list[Any], place: Place) -> dict[str, str]:
    found: dict[str, str] = {}
    for index, item in enumerate(items):
        pair = ("en", item) if isinstance(item, str) else _tagged(item, index, place)
        if pair is None:
            continue
        if pair[0] in found:
            place.fail("langStringElementCodeNotUnique", f"two texts have the language '{pair[0]}'", "Keep one of them", index)
        found[pair[0]] = pair[1]
    return found


def _tagged(item: Any, index: int, place: Place) -> tuple[str, str] | None:
    if not isinstance(item, dict):
        place.fail("langStringElementNotStringOrObject", f"a text is expected, not {kind(item)}", "Write a string", index)
        return None
    strict = place.version >= 3
    for key in item:
        if not key.startswith("@") or (strict and key not in ("@value", "@language")) or key in ("@id", "@context", "@graph"):
            code = {"@type": "Type", **_MISPLACED}.get(key, "Keyword" if key.startswith("@") else "InvalidProp")
            place.fail(f"langStringElement{code}", f"'{key[:60]}' is not part of a text", "Keep @value and @language only", index, key)
            return None
    language = item.get("@language", "en")
    if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
        place.fail(
            "langStringElementInvalidCode", f"{language!r:.40} is not a language code", "Write it as en or en-US", index, "@language"
        )
        return None
    if "@value" not in item:
        place.fail("langStringElementNoValue", "the text has no @value", "Add @value", index)
        return None
    if not isinstance(item["@value"], str):
        place.fail("langStringElementValueNotString", f"@value is {kind(item['@value'])}", "Write a string", index, "@value")
        return None
    return language, item["@value"]


def _language_map(value: dict[str, Any], place: Place) -> dict[str, str]:
    found: dict[str, str] = {}
    for code, text in value.items():
        if not _LANGUAGE.fullmatch(code):
            problem = {"@value": "langTagValueInLangMap"}.get(
                code, "langMapObjKeyword" if code.startswith("@") else "langStringInvalidCode"
            )
            place.fail(problem, f"'{code[:40]}' is not a language code", "Write it as en or en-US", code)
        elif not isinstance(text, str):
            place.fail("langStringValueNotString", f"the text is {kind(text)}", "Write a string", code)
        else:
            found[code] = text
    return found
