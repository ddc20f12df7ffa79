"""Values that are not elements: representational literals, localizable strings, choices and identifiers.

Source: specification, "Representational literal" and "Localizable string". Each reader returns the plain value, or None
after it has put what is wrong into the report.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from twinwright.documents import Location
from twinwright.schema import dtmi
from twinwright.schema.metamodel import NAME, Member
from twinwright.schema.report import Report, Source
from twinwright.schema.sources import kind, shown
from twinwright.schema.values import DURATION

_LANGUAGE = re.compile(r"[a-z]{2,4}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
_XSD = "http://www.w3.org/2001/XMLSchema#"
_ARTICLES = {"string": "a string", "integer": "an integer", "boolean": "a boolean", "duration": "a duration", "numeric": "a number"}
_TYPE_NAMES = {"numeric": "decimal"}
_MISPLACED = {"@id": "Id", "@context": "Context", "@graph": "Graph", "@language": "Language"}
_INTEGER_LIMIT = 2**31

Literal = str | int | bool | Decimal


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: the version of the language, the element and member it is of, and whom to tell what is wrong."""

    source: Source
    location: Location
    version: int
    report: Report
    element: str | None
    member: str

    def fail(self, code: str, message: str, remedy: str, *inside: str | int, value: object = None) -> None:
        """A problem of this value, or of what is `inside` it."""
        location = (*self.location, *inside)
        self.report.add(self.source, location, code, message, remedy, primary=self.element, member=self.member, value=value)


def single(value: Any, wanted: str, required: bool, place: Place) -> tuple[Any, Place]:
    """The one value, and its place, of a member that may be written as an array of one; None (told) for none or several."""
    if not isinstance(value, list):
        return value, place
    if len(value) == 1:
        return value[0], replace(place, location=(*place.location, 0))
    if value:
        place.fail(f"{wanted}MultipleValues", f"'{place.member}' has {len(value)} values", "Keep one of them")
    elif required:
        place.fail(f"{wanted}CountBelowMin", f"'{place.member}' has no value", "Give it one")
    return None, place


def scalar(value: Any, member: Member, place: Place) -> Literal | None:
    """A string, integer or boolean member, with its length, range and, for names, its pattern checked."""
    pattern = NAME if member.name == "name" else None
    return checked(value, member.kind, place, member.required, pattern, member.max_length, member.minimum, member.maximum)


def checked(
    value: Any,
    wanted: str,
    place: Place,
    required: bool,
    pattern: re.Pattern[str] | None,
    longest: int | None,
    low: int | None,
    high: int | None,
) -> Literal | None:
    """A literal of the kind wanted whose pattern, length and range are checked."""
    inner, place = single(value, wanted, required, place)
    if inner is None:
        if value is None or value == [None]:
            place.fail("propertyValueNull", f"'{place.member}' is null", "Remove it or give it a value")
            if required:
                place.fail("missingLiteralProperty", f"'{place.member}' has no value", "Give it one")
            _not_a(wanted, None, place)
        return None
    found = literal(inner, wanted, place)
    if isinstance(found, str):
        _check_text(found, pattern, longest, place)
    elif isinstance(found, int) and not isinstance(found, bool):
        _check_range(found, low, high, place)
    return found


def literal(value: Any, wanted: str, place: Place) -> Literal | None:
    """The value of a representational literal: bare, or an object with `@value` and `@type`."""
    if isinstance(value, dict):
        return _literal_object(value, wanted, place)
    if wanted == "duration" and isinstance(value, str):
        if DURATION.fullmatch(value):
            return value
        place.fail("durationInvalid", f"'{value[:60]}' is not a duration", "Write it as PT10M", value=value)
        return None
    if _is_a(value, wanted):
        return Decimal(str(value)) if wanted == "numeric" else value
    _not_a(wanted, value, place)
    return None


def untyped(value: Any, place: Place, required: bool = True) -> Literal | None:
    """A literal whose datatype something else decides: text, a whole number or a boolean."""
    inner, place = single(value, "literal", required, place)
    if isinstance(inner, dict):
        written = inner.get("@type")
        names = [written] if isinstance(written, str) else written if isinstance(written, list) and len(written) == 1 else []
        wanted = next((name for name in ("string", "integer", "boolean") if names and _type_is(names[0], name)), None)
        if wanted is None and "@type" not in inner and "@value" in inner:
            wanted = next((name for name in ("boolean", "integer", "string") if _is_a(inner["@value"], name)), None)
        found = _literal_object(inner, wanted or "literal", place)
        if "@value" not in inner or (wanted is not None and not _is_a(inner["@value"], wanted)):
            place.fail("literalNotValid", "this is no string, integer or boolean", "Write one, or a value object of one")
        return found
    if any(_is_a(inner, name) for name in ("string", "integer", "boolean")):
        plain: str | int | bool = inner
        return plain
    if inner is not None or value is None or value == [None]:
        place.fail("literalNotValid", f"a string, integer or boolean is expected, not {kind(inner)}", "Write one", value=inner)
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
    language, longest = max(found.items(), key=lambda item: len(item[1]), default=("", ""))
    if member.max_length is not None and len(longest) > member.max_length:
        message = f"'{member.name}' is longer than {member.max_length} characters"
        inside: list[str | int] = [language] if isinstance(value, dict) else _places_of(longest, value) if isinstance(value, list) else []
        place.fail("langStringValueTooLong", message, "Shorten it", *inside, value=longest)
    return found


def identifier(value: Any, member: Member, place: Place) -> str | None:
    """A DTMI that is not resolved (`target`)."""
    inner, place = single(value, "identifier", member.required, place)
    if inner is None and isinstance(value, list) and len(value) != 1:
        return None
    if not isinstance(inner, str):
        place.fail("identifierNotString", f"'{member.name}' is {kind(inner)}", "Write a DTMI")
    elif len(inner) > dtmi.MAX_LENGTH:
        place.fail("identifierTooLong", f"'{member.name}' has {len(inner)} characters", f"At most {dtmi.MAX_LENGTH}", value=inner)
    elif not dtmi.is_dtmi(inner, place.version):
        place.fail("identifierNotDtmi", f"'{inner[:120]}' is not a DTMI", "Write it as dtmi:example:Thing;1", value=inner)
    else:
        return inner
    return None


def _not_a(wanted: str, value: Any, place: Place) -> None:
    code = "durationNotString" if wanted == "duration" else f"{wanted}Not{wanted.capitalize()}"
    place.fail(code, f"{_ARTICLES[wanted]} is expected, not {kind(value)}", f"Write {_ARTICLES[wanted]}")


def _literal_object(value: dict[str, Any], wanted: str, place: Place) -> Literal | None:
    good = True
    for key in value:
        strict = place.version >= 3
        if not key.startswith("@") or (strict and key not in ("@value", "@type")) or key in ("@id", "@context", "@graph"):
            code = _MISPLACED.get(key, "Keyword" if key.startswith("@") else "InvalidProp")
            place.fail(f"valueObject{code}", f"'{key[:60]}' is not part of a value object", "Keep @value and @type only", key, value=key)
            good = False
    if "@value" not in value:
        if good or not any(key.startswith("@") for key in value):
            place.fail(f"{wanted}ObjectNoValue", "the value object has no @value", "Add @value")
        return None
    good = good and ("@type" not in value or _check_type(value["@type"], wanted, place))
    inner = value["@value"]
    if not good:
        return None
    if wanted == "literal" or not _is_a(inner, wanted):
        code = "literalNotValid" if wanted == "literal" else f"{wanted}ValueNot{'String' if wanted == 'duration' else wanted.capitalize()}"
        place.fail(code, f"@value is {kind(inner)}", f"Write {_ARTICLES.get(wanted, 'a string, integer or boolean')}", "@value")
        return None
    return literal(inner, wanted, place)


def _check_type(written: Any, wanted: str, place: Place) -> bool:
    inner = written[0] if isinstance(written, list) and len(written) == 1 else written
    if not isinstance(inner, str):
        place.fail("literalTypeNotSingular", f"@type is {kind(inner)}, not one name", "Write one name", "@type")
        return False
    if wanted == "literal" or not _type_is(inner, wanted):
        name = _TYPE_NAMES.get(wanted, wanted)
        code = "literalNotValid" if wanted == "literal" else f"{wanted}TypeNot{wanted.capitalize()}"
        place.fail(code, f"@type is {shown(inner)}", f"Write xsd:{name if wanted != 'literal' else 'string'}", "@type")
        return False
    return True


def _type_is(written: Any, wanted: str) -> bool:
    name = _TYPE_NAMES.get(wanted, wanted)
    return written in (f"xsd:{name}", f"{_XSD}{name}")


def _is_a(value: Any, wanted: str) -> bool:
    if wanted == "integer":
        return isinstance(value, int) and not isinstance(value, bool) and -_INTEGER_LIMIT <= value < _INTEGER_LIMIT
    if wanted == "numeric":
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return isinstance(value, bool if wanted == "boolean" else str)


def _check_text(text: str, pattern: re.Pattern[str] | None, longest: int | None, place: Place) -> None:
    if longest is not None and len(text) > longest:
        place.fail("stringTooLong", f"'{place.member}' is longer than {longest} characters", "Shorten it", value=text)
    if pattern is not None and not pattern.fullmatch(text):
        remedy = "Use letters, digits and _, begin with a letter, end with a letter or digit"
        remedy = remedy if pattern is NAME else f"It has to match {pattern.pattern}"
        place.fail("stringInvalid", f"'{text[:80]}' is not a {place.member}", remedy, value=text)


def _check_range(number: int, low: int | None, high: int | None, place: Place) -> None:
    bounded = low is not None and high is not None
    if low is not None and low == high and number != low:
        place.fail("valueNotExact", f"'{place.member}' is {number}", f"It must be {low}", value=str(number))
    elif low is not None and number < low:
        code = "valueBelowRange" if bounded else "valueBelowMin"
        place.fail(code, f"'{place.member}' is {number}", f"It must be at least {low}", value=str(number))
    elif high is not None and number > high:
        code = "valueAboveRange" if bounded else "valueAboveMax"
        place.fail(code, f"'{place.member}' is {number}", f"It must be at most {high}", value=str(number))


def _localized_array(items: list[Any], place: Place) -> dict[str, str]:
    found: dict[str, str] = {}
    for index, item in enumerate(items):
        pair = ("en", item) if isinstance(item, str) else _tagged(item, replace(place, location=(*place.location, index)))
        if pair is None:
            continue
        if pair[0] in found:
            message = f"two texts have the language '{pair[0]}'"
            place.fail("langStringElementCodeNotUnique", message, "Keep one of them", index, value=pair[0])
        found[pair[0]] = pair[1]
    return found


def _places_of(text: str, items: list[Any]) -> list[str | int]:
    """Where the text stands, if in one of the items."""
    found: list[str | int] = [index for index, item in enumerate(items) if text == (item.get("@value") if isinstance(item, dict) else item)]
    return found[:1]


def _tagged(item: Any, place: Place) -> tuple[str, str] | None:
    if not isinstance(item, dict):
        place.fail("langStringElementNotStringOrObject", f"a text is expected, not {kind(item)}", "Write a string")
        return None
    good = True
    for key in item:
        strict = place.version >= 3
        if not key.startswith("@") or (strict and key not in ("@value", "@language")) or key in ("@id", "@context", "@graph"):
            code = {"@type": "Type", **_MISPLACED}.get(key, "Keyword" if key.startswith("@") else "InvalidProp")
            message = f"'{key[:60]}' is not part of a text"
            place.fail(f"langStringElement{code}", message, "Keep @value and @language only", key, value=key)
            good = False
    language = item.get("@language", "en")
    if not isinstance(language, str):
        place.fail("langStringElementCodeNotString", f"@language is {kind(language)}", "Write it as en or en-US", "@language")
        good = False
    elif not _LANGUAGE.fullmatch(language):
        message = f"{shown(language)} is not a language code"
        place.fail("langStringElementInvalidCode", message, "Write it as en or en-US", "@language", value=language)
        good = False
    if "@value" not in item:
        place.fail("langStringElementNoValue", "the text has no @value", "Add @value")
        return None
    if not isinstance(item["@value"], str):
        place.fail("langStringElementValueNotString", f"@value is {kind(item['@value'])}", "Write a string", "@value")
        return None
    return (language, item["@value"]) if good else None


def _language_map(value: dict[str, Any], place: Place) -> dict[str, str]:
    if value.keys() == {"@value", "@language"}:
        message = "a text with its language stands in an array"
        place.fail("langTagValueInLangMap", message, 'Write {"en": "..."}, or put it into [...]')
        return {}
    found: dict[str, str] = {}
    for code, text in value.items():
        if not _LANGUAGE.fullmatch(code):
            problem = "langMapObjKeyword" if code.startswith("@") else "langStringInvalidCode"
            place.fail(problem, f"'{code[:40]}' is not a language code", "Write it as en or en-US", code, value=code)
        elif not isinstance(text, str):
            place.fail("langStringValueNotString", f"the text is {kind(text)}", "Write a string", code)
        else:
            found[code] = text
    return found
