"""The active context of an element: the language version and the extensions in force (specification, "Context")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from twinwright.documents import Location
from twinwright.schema import dtmi
from twinwright.schema.metamodel import StandardSchema
from twinwright.schema.sources import Report, Source, kind

LANGUAGE = "dtmi:dtdl:context;"
LIMITLESS = "dtmi:dtdl:context;4#limitless"
CORE_LIMITS = "dtmi:dtdl:context;4#limits"
QUANTITATIVE_TYPES = "dtmi:dtdl:extension:quantitativeTypes"

_RESULTS: Mapping[str, tuple[str, ...]] = dict.fromkeys(("Result", "NormalResult", "ErrorResult", "Error", "ErrorMessage"), ())
_MQTT = ("commandTopic", "telemetryTopic", "payloadFormat", "cmdServiceGroupId", "telemServiceGroupId")

# Extension -> the co-types it defines and the members each of them brings. QuantitativeTypes has tables of its own.
EXTENSIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    QUANTITATIVE_TYPES: {},
    "dtmi:dtdl:extension:historization": {"Historized": ()},
    "dtmi:dtdl:extension:annotation": {"ValueAnnotation": ("annotates",)},
    "dtmi:dtdl:extension:overriding": {"Override": ("overrides",)},
    "dtmi:dtdl:extension:mqtt": {
        "Mqtt": _MQTT,
        "Cacheable": ("ttl",),
        "Idempotent": (),
        "Indexed": ("index",),
        "Transparent": (),
        **_RESULTS,
    },
    "dtmi:dtdl:extension:requirement": {"Required": ()},
    "dtmi:iotcentral:context": {},
}
_EXTENSION_VERSIONS: Mapping[str, tuple[str, ...]] = {
    "dtmi:dtdl:extension:mqtt": ("1", "2", "3"),
    "dtmi:dtdl:extension:requirement": ("1",),
    "dtmi:iotcentral:context": ("2",),
}
_IOT_CENTRAL_SCHEMAS = ("geopoint", "vector")
LIMIT_EXTENSIONS = frozenset({"dtmi:dtdl:limits:onvif"})


@dataclass(frozen=True, slots=True)
class Context:
    """What is in force: `version` 0 is none yet; `incomplete`: an extension whose definition nobody here has."""

    version: int = 0
    extensions: frozenset[str] = frozenset()
    incomplete: bool = False
    limited: bool = True


@dataclass(frozen=True, slots=True)
class Options:
    """How a set of documents is read. `allow_undefined_extensions` None: allowed in v2, refused in v3 and v4."""

    allow_undefined_extensions: bool | None = None
    max_version: int = 4


def active(value: Any, outer: Context, options: Options, source: Source, location: Location, report: Report) -> Context:
    """The context of an element with this `@context` member inside `outer`; what is wrong goes into `report`."""
    place = (*location, "@context")
    specifiers = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in specifiers):
        found = next(item for item in specifiers if not isinstance(item, str))
        code = "disallowedLocalContext" if isinstance(found, dict) else "invalidContext"
        report.add(source, place, code, f"a context is a DTMI, not {kind(found)}", "Write it as dtmi:dtdl:context;3")
        return outer
    _check_order(specifiers, source, place, report)
    context = outer
    for specifier in specifiers:
        context = _with(specifier, context, options, source, place, report)
    return context


def cotypes(context: Context) -> Mapping[str, tuple[str, ...]]:
    """The co-types of the extensions in force (QuantitativeTypes aside) and the members of each."""
    found: dict[str, tuple[str, ...]] = {}
    for extension in context.extensions:
        found.update(EXTENSIONS.get(extension, {}))
    return found


def extension_schemas(context: Context) -> Mapping[str, StandardSchema]:
    """The schemas that the extensions in force define, by term and by DTMI."""
    found: dict[str, StandardSchema] = {}
    for name in _IOT_CENTRAL_SCHEMAS if "dtmi:iotcentral:context" in context.extensions else ():
        found[name] = found[f"dtmi:iotcentral:schema:{name};2"] = StandardSchema(name, "object")
    return found


def _with(specifier: str, context: Context, options: Options, source: Source, place: Location, report: Report) -> Context:
    if specifier.startswith(LANGUAGE):
        return _language(specifier, context, options, source, place, report)
    name, _, version = specifier.partition(";")
    if not dtmi.is_dtmi(specifier, 3) or not version:
        code = (
            "invalidContextSpecifier" if version else "missingContextVersion" if dtmi.is_dtmi(specifier, 3) else "nonDtmiContextSpecifier"
        )
        report.add(source, place, code, f"'{specifier[:120]}' is not a DTMI with a version", "Write it as dtmi:example:context;1")
        return context
    if name in LIMIT_EXTENSIONS:
        return Context(context.version, context.extensions, context.incomplete, True)
    if name in EXTENSIONS and version in _EXTENSION_VERSIONS.get(name, ("1", "2")):
        return Context(context.version, context.extensions | {name}, context.incomplete, context.limited)
    allowed = options.allow_undefined_extensions
    if not (context.version == 2 if allowed is None else allowed):
        remedy = "Correct its name, or allow undefined extensions"
        code = "unresolvableContextVersion" if name in EXTENSIONS else "unresolvableContextSpecifier"
        report.add(source, place, code, f"the extension '{specifier}' is not defined here", remedy)
    return Context(context.version, context.extensions, True, context.limited)


def _language(specifier: str, context: Context, options: Options, source: Source, place: Location, report: Report) -> Context:
    if specifier in (LIMITLESS, CORE_LIMITS):
        return Context(4, context.extensions, context.incomplete, specifier == CORE_LIMITS)
    number = specifier.removeprefix(LANGUAGE)
    if number not in ("2", "3", "4"):
        report.add(
            source, place, "unrecognizedContextVersion", f"'{specifier[:60]}' is not a version of DTDL read here", "Use version 2, 3 or 4"
        )
        return context
    if int(number) > options.max_version:
        remedy = f"Use at most version {options.max_version}"
        report.add(source, place, "disallowedContextVersion", f"DTDL {number} is later than what is allowed here", remedy)
    return Context(int(number), context.extensions, context.incomplete, True)


def _check_order(specifiers: list[str], source: Source, place: Location, report: Report) -> None:
    """The language comes before its extensions; limits follow the limitless language at once."""
    followed: Iterable[str]
    seen_extension = False
    for index, specifier in enumerate(specifiers):
        before = specifiers[index - 1] if index else ""
        followed = specifiers[index + 1 : index + 2]
        if not specifier.startswith(LANGUAGE):
            is_limits = dtmi.deversioned(specifier) in LIMIT_EXTENSIONS
            if is_limits and before != LIMITLESS:
                report.add(
                    source, place, "misplacedLimitContext", f"'{specifier}' has to follow '{LIMITLESS}' at once", "Put them side by side"
                )
            seen_extension = seen_extension or not (specifier == "dtmi:iotcentral:context;2" and "dtmi:dtdl:context;2" in specifiers)
            continue
        if seen_extension:
            message = f"'{specifier}' comes after an extension"
            report.add(source, place, "dtdlContextFollowsAffiliate", message, "Put the DTDL context first")
        if specifier == CORE_LIMITS and before != LIMITLESS:
            report.add(
                source, place, "misplacedLimitContext", f"'{specifier}' has to follow '{LIMITLESS}' at once", "Put them side by side"
            )
        if specifier == LIMITLESS and not any(_is_limits(item) for item in followed):
            report.add(source, place, "missingLimitContext", f"'{LIMITLESS}' is not followed by limits", f"Add '{CORE_LIMITS}' after it")


def _is_limits(specifier: str) -> bool:
    return specifier in (CORE_LIMITS, "dtmi:dtdl:context;4") or dtmi.deversioned(specifier) in LIMIT_EXTENSIONS
