"""The active context of an element: the language version, the extensions in force and what they define (specification, "Context")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from twinwright.documents import Location
from twinwright.schema import dtmi, extensions, local_context, metamodel, semantic_types
from twinwright.schema.extensions import IOT_CENTRAL, IOT_OPERATIONS, LAYERING, QUANTITATIVE, CoType
from twinwright.schema.metamodel import StandardSchema
from twinwright.schema.report import Report, Source
from twinwright.schema.sources import kind

LANGUAGE = "dtmi:dtdl:context"
LIMITLESS = "dtmi:dtdl:context;4#limitless"
CORE_LIMITS = "dtmi:dtdl:context;4#limits"
LIMIT_EXTENSIONS: Mapping[str, str] = {"dtmi:dtdl:limits:onvif": "onvif", "dtmi:dtdl:limits:aio": "aio"}
_IOT_CENTRAL_SCHEMAS = ("geopoint", "vector")
_RESERVED = {IOT_CENTRAL: "dtmi:iotcentral:", IOT_OPERATIONS: "dtmi:iotoperations:"}
_DECLARE = "Begin it with dtmi:dtdl:context;3"


@dataclass(frozen=True, slots=True)
class Context:
    """What is in force: `version` 0 is none yet; `incomplete`: an extension whose definition nobody here has.

    `extensions` are pairs of name and version; `limits` is as in `metamodel.LIMITS`; `layering`: the document names that extension.
    """

    version: int = 0
    extensions: frozenset[tuple[str, str]] = frozenset()
    incomplete: bool = False
    limits: str = ""
    layering: bool = False

    @property
    def table(self) -> Mapping[str, metamodel.ElementClass]:
        """The classes by name."""
        return metamodel.classes(self.version, self.limits)


@dataclass(frozen=True, slots=True)
class Options:
    """How a set of documents is read. `allow_undefined_extensions` None: allowed in v2, refused in v3 and v4.

    `acceptable_limits` None admits every limit extension that is known, else those that are named.
    """

    allow_undefined_extensions: bool | None = None
    max_version: int = 4
    acceptable_limits: frozenset[str] | None = None


def active(value: Any, outer: Context, options: Options, source: Source, location: Location, report: Report) -> Context | None:
    """The context of an element with this `@context` member inside `outer`; None (told) where what is inside can't be judged."""
    reader = _Reader(options, source, (*location, "@context"), report)
    return reader.read(value, outer)


@lru_cache(maxsize=128)
def _cotypes(version: int, active_extensions: frozenset[tuple[str, str]]) -> Mapping[str, CoType]:
    found: dict[str, CoType] = dict(extensions.standard()) if version == 2 else {}
    for name, number in sorted(active_extensions):
        found.update(extensions.cotypes(name, number))
    found.update({item.id: item for item in list(found.values())})
    return found


def cotypes(context: Context) -> Mapping[str, CoType]:
    """The co-types that the context defines, by term and by DTMI."""
    return _cotypes(context.version, context.extensions)


def schemas(context: Context) -> Mapping[str, StandardSchema]:
    """The schemas that the context names, by term and by DTMI."""
    return _schemas(context.version, context.extensions)


@lru_cache(maxsize=128)
def _schemas(version: int, active_extensions: frozenset[tuple[str, str]]) -> Mapping[str, StandardSchema]:
    found = dict(metamodel.standard_schemas(version))
    for name, number in sorted(active_extensions):
        if name == IOT_CENTRAL:
            for term in _IOT_CENTRAL_SCHEMAS:
                found[term] = found[f"dtmi:iotcentral:schema:{term};2"] = StandardSchema(term, "object", f"dtmi:iotcentral:schema:{term};2")
        elif name == QUANTITATIVE:
            for term in semantic_types.unit_types(int(number)):
                id = f"{QUANTITATIVE}:v{number}:enum:{term}"
                found[term] = found[id] = StandardSchema(term, "enum", id)
            found["EnergyRateUnit"] = found["PowerUnit"]
    return found


def standard_element(written: str, context: Context) -> tuple[str, str] | None:
    """Class and DTMI of a schema or command type of the language or an extension, by term or DTMI; None where it is none."""
    schema = schemas(context).get(written)
    if schema is not None:
        return schema.of, schema.id
    if context.version == 2 and written in (f"dtmi:iotcentral:schema:{term};2" for term in _IOT_CENTRAL_SCHEMAS):
        return "Object", written
    id = metamodel.command_types(context.version).get(written)
    return None if id is None else ("CommandType", id)


@lru_cache(maxsize=128)
def _units(version: int, active_extensions: frozenset[tuple[str, str]]) -> Mapping[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    editions = [(int(number), f"{QUANTITATIVE}:v{number}:unit:", "") for name, number in active_extensions if name == QUANTITATIVE]
    for edition, prefix, suffix in [*([(0, "dtmi:standard:unit:", ";2")] if version == 2 else []), *editions]:
        for name in semantic_types.units(edition):
            found[name] = found[f"{prefix}{name}{suffix}"] = (name, f"{prefix}{name}{suffix}")
    return found


def units(context: Context) -> Mapping[str, tuple[str, str]]:
    """Name and DTMI of the units that the context defines, by term and by DTMI."""
    return _units(context.version, context.extensions)


@lru_cache(maxsize=128)
def _terms(version: int, active_extensions: frozenset[tuple[str, str]]) -> frozenset[str]:
    found = set(metamodel.reserved_terms(version)) | set(metamodel.classes(version)) | set(_schemas(version, active_extensions))
    found |= set(_units(version, active_extensions))
    if version == 2:
        found |= {*semantic_types.unit_types(0), *semantic_types.words(0)}
    for name, number in active_extensions:
        if name == QUANTITATIVE:
            found |= semantic_types.words(int(number))
    for name, item in _cotypes(version, active_extensions).items():
        found |= {name, *(member.name for member in item.members)}
    return frozenset(found)


def terms(context: Context) -> frozenset[str]:
    """Every word that means something in the context, as whatever."""
    return _terms(context.version, context.extensions)


def is_reserved(identifier: str, context: Context | None = None) -> bool:
    """Whether only the language or an extension may define this: one in force in the context, or (None) any."""
    names = None if context is None else {name for name, _ in context.extensions}
    prefixes = [prefix for name, prefix in _RESERVED.items() if names is None or name in names]
    return dtmi.is_reserved(identifier) or identifier.startswith(tuple(prefixes))


class _Reader:
    """Reads one `@context` member."""

    def __init__(self, options: Options, source: Source, place: Location, report: Report) -> None:
        self.options, self.source, self.place, self.report = options, source, place, report
        self.many, self.at = False, 0  # whether it is an array, and which of its elements is looked at

    def fail(self, code: str, message: str, remedy: str, value: object = None, term: str | None = None) -> None:
        inside: list[str | int] = [*([self.at] if self.many else []), *([] if term is None else [term])]
        member = term if code.startswith("localTerm") else None  # what is wrong with a definition is not about its term
        self.report.add(self.source, (*self.place, *inside), code, message, remedy, value=value, member=member)

    def _each(self, specifiers: list[Any]) -> Iterator[Any]:
        for self.at, specifier in enumerate(specifiers):
            yield specifier

    def _check_text(self, specifiers: list[Any]) -> bool:
        """Whether all of them are text, as DTMIs are."""
        before = len(self.report.problems)
        for item in self._each(specifiers):
            if isinstance(item, dict):
                self._local(item, self.at == len(specifiers) - 1)
            elif not isinstance(item, str):
                self.fail("invalidContext", f"a context is a DTMI, not {kind(item)}", "Write it as dtmi:dtdl:context;3")
        return len(self.report.problems) == before

    def _local(self, definitions: dict[str, Any], last: bool) -> None:
        self.fail("disallowedLocalContext", "a context is a DTMI: local definitions are not read", "Remove the object")
        if not last:
            self.fail("localContextNotLast", "local definitions come last in a context", "Remove the object")
        for term, (code, message, remedy, written) in local_context.problems(definitions):
            self.fail(code, message, remedy, written, term)

    def read(self, value: Any, outer: Context) -> Context | None:
        specifiers = value if isinstance(value, list) else [value]
        if not specifiers and not outer.version:
            self.fail("emptyContext", "'@context' is empty", _DECLARE)
            return None
        self.many = isinstance(value, list)
        if not self._check_text(specifiers):
            if not outer.version and not isinstance(specifiers[0], str):
                self.at = 0
                self.fail("missingDtdlContext", "the context does not begin with a version of DTDL", _DECLARE)
            return None
        self.at = 0
        first = dtmi.deversioned(specifiers[0]) if specifiers else LANGUAGE
        if not outer.version and first != LANGUAGE and not _is_exempt(specifiers, 0):
            self.fail("missingDtdlContext", "the context does not begin with a version of DTDL", _DECLARE)
            return None
        good = self._check_order(specifiers)
        context = outer
        for specifier in self._each(specifiers):
            following = self._with(specifier, context)
            good = good and following is not None
            context = following or context
        if good and not context.version:
            self.fail("missingDtdlContext", "the context names no version of DTDL", _DECLARE)
            return None
        return context if good else None

    def _with(self, specifier: str, context: Context) -> Context | None:
        name, _, version = specifier.partition(";")
        if name == LANGUAGE and version:
            return self._language(specifier, version, context)
        if not version or not dtmi.is_dtmi(specifier, context.version or 4):
            self._malformed(specifier)
            return None
        if name in LIMIT_EXTENSIONS and version == "1":
            return self._limits(name, context)
        if version in extensions.versions().get(name, ()):
            return replace(context, extensions=frozenset({*(pair for pair in context.extensions if pair[0] != name), (name, version)}))
        allowed = self.options.allow_undefined_extensions
        if not (context.version == 2 if allowed is None else allowed):
            known = extensions.versions().get(name)
            remedy = f"Known versions: {', '.join(known)}" if known else "Correct its name, or allow undefined extensions"
            code = "unresolvableContextVersion" if known else "unresolvableContextSpecifier"
            self.fail(code, f"the extension '{specifier[:120]}' is not defined here", remedy, specifier)
        return replace(context, incomplete=True, layering=context.layering or name == LAYERING)

    def _malformed(self, specifier: str) -> None:
        shown = specifier[:120]
        if not specifier.startswith("dtmi:"):
            self.fail("nonDtmiContextSpecifier", f"'{shown}' is not a DTMI", "Write it as dtmi:example:context;1", specifier)
        elif dtmi.is_dtmi(specifier, 3):
            if ";" not in specifier:
                self.fail("missingContextVersion", f"'{shown}' has no version", "Add ;1", specifier)
            self.fail(
                "invalidContextSpecifierForVersion", f"'{shown}' is not the version of a context", "Write one number, as in ;1", specifier
            )
        else:
            self.fail("invalidContextSpecifier", f"'{shown}' is not a DTMI with a version", "Write it as dtmi:example:context;1", specifier)

    def _limits(self, name: str, context: Context) -> Context | None:
        acceptable = self.options.acceptable_limits
        if acceptable is not None and not acceptable.intersection((name, f"{name};1")):
            remedy = f"Acceptable: {', '.join(sorted(acceptable)) or CORE_LIMITS}"
            self.fail("disallowedLimitContext", f"the limits of '{name}' are not accepted here", remedy, f"{name};1")
            return None
        return replace(context, limits=LIMIT_EXTENSIONS[name])

    def _language(self, specifier: str, version: str, context: Context) -> Context | None:
        number, _, fragment = version.partition("#")
        if number not in ("2", "3", "4"):
            message = f"'{specifier[:60]}' is not a version of DTDL read here"
            self.fail("unrecognizedContextVersion", message, "Use version 2, 3 or 4", specifier)
            return None
        if "#" in version and number != "4":
            self.fail("disallowedContextFragment", f"DTDL {number} has no '#{fragment[:40]}'", f"Write {LANGUAGE};{number}", specifier)
            return None
        if "#" in version and specifier not in (LIMITLESS, CORE_LIMITS):
            remedy = f"Write {LANGUAGE};4, {LIMITLESS} or {CORE_LIMITS}"
            self.fail("invalidContextFragment", f"'#{fragment[:40]}' is not part of the context of DTDL 4", remedy, specifier)
            return None
        if int(number) > self.options.max_version:
            remedy = f"Use at most version {self.options.max_version}"
            self.fail("disallowedContextVersion", f"DTDL {number} is later than what is allowed here", remedy, specifier)
            return None
        return replace(context, version=int(number), limits="none" if specifier == LIMITLESS else "")

    def _check_order(self, specifiers: list[str]) -> bool:
        """The language comes before its extensions; limits follow the limitless language at once."""
        before = len(self.report.problems)
        affiliate, limitless, misplaced = False, False, False
        for specifier in self._each(specifiers):
            index, previous = self.at, specifiers[self.at - 1] if self.at else ""
            language = dtmi.deversioned(specifier) == LANGUAGE
            limits = specifier == CORE_LIMITS or dtmi.deversioned(specifier) in LIMIT_EXTENSIONS
            if limits and previous != LIMITLESS and not limitless:
                misplaced = True
                message = f"'{specifier[:80]}' has to follow '{LIMITLESS}' at once"
                self.fail("misplacedLimitContext", message, "Put them side by side", specifier)
            if language and affiliate:
                message = f"'{specifier[:60]}' comes after an extension"
                self.fail("dtdlContextFollowsAffiliate", message, "Put the DTDL context first", specifier)
            limitless = limitless or specifier.endswith("#limitless")
            followed = any(_is_limits(item) for item in specifiers[index + 1 : index + 2])
            if specifier == LIMITLESS and not misplaced and not followed:
                message = f"'{LIMITLESS}' is not followed by limits"
                self.fail("missingLimitContext", message, f"Add '{CORE_LIMITS}' after it", specifier)
            affiliate = affiliate or not (language or _is_exempt(specifiers, index))
        return len(self.report.problems) == before


def _is_exempt(specifiers: list[str], index: int) -> bool:
    """The context of IoT Central may stand before that of DTDL 2."""
    return index == 0 and specifiers[0] == f"{IOT_CENTRAL};2" and f"{LANGUAGE};2" in specifiers


def _is_limits(specifier: str) -> bool:
    return (
        specifier == f"{LANGUAGE};4"
        or (specifier.startswith(f"{LANGUAGE};4#") and specifier != LIMITLESS)
        or dtmi.deversioned(specifier) in LIMIT_EXTENSIONS
    )
