"""A contract drafted from a sample: what a person would write first, with the reasons, to be corrected by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from twinwright import units
from twinwright.clock import from_iso
from twinwright.errors import UnitError, UsageError, WorkspaceError
from twinwright.schema import PathInfo
from twinwright.telemetry.compressed import plain_name
from twinwright.telemetry.contract_spec import NAME_PATTERN
from twinwright.telemetry.held import column_type
from twinwright.telemetry.profiling import FieldProfile, Profile, profile
from twinwright.telemetry.timestamps import parse_pattern
from twinwright.workspace.load import Workspace, load_workspace, paths_of_twins

_TIME_NAMES = ("ts", "time", "timestamp", "datetime", "date", "when", "observed", "sampled", "at", "t")
_TWIN_NAMES = ("twin", "id", "device", "deviceid", "device_id", "sensor", "sensor_id", "asset", "host", "name", "tag", "unit_no")
_EPOCHS = (("epoch_s", 1e8, 1e10), ("epoch_ms", 1e11, 1e13), ("epoch_us", 1e14, 1e16))
_PATTERNS = tuple(
    f"{date} {time}"
    for date in ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d")
    for time in ("%H:%M:%S", "%H:%M:%S.%f", "%H:%M")
)
_NANOSECONDS = (1e17, 1e19)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+$")
_LEFT_OUT = {"object": "an object or array", "mixed": "of several kinds", "empty": "always empty"}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?$")
_UNIT_AFTER = re.compile(r"^(?P<name>.+?)(?:_(?P<suffix>[A-Za-z%°0-9/]+)|\s*[\[(](?P<bracket>[^\])]+)[\])])$")


@dataclass(slots=True)
class _Draft:
    contract: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)


def draft(file: Path, name: str | None, folder: Path) -> dict[str, Any]:
    """`contract yaml notes[] readings fields[]` from a sample. Raises UsageError for a file that can't be read, and a bad name."""
    if name is not None and not re.match(NAME_PATTERN, name):
        remedy = "Begin with a letter or digit, go on with letters, digits, `.`, `-` and `_`; 128 at most"
        raise UsageError(f"'{name}' can't name a contract", where="--name", remedy=remedy)
    found = profile(file)
    workspace = _workspace(folder)
    made = _Draft({"name": name or _name(plain_name(file).stem), "revision": 1, "format": found.format})
    if found.delimiter != ",":
        made.contract["delimiter"] = found.delimiter
    if found.each:
        made.contract["each"] = found.each[0] if len(found.each) == 1 else list(found.each)
    if found.unread:
        made.notes.append(f"{found.unread} lines are no JSON: they are left out")
    _time(found, made)
    _twin(found, workspace, made)
    _observations(found, workspace, made)
    return {
        "contract": made.contract,
        "yaml": _written(file, found, made),
        "notes": made.notes,
        "readings": found.readings,
        "fields": [one.as_json(found.readings) for one in found.fields],
    }


def _workspace(folder: Path) -> Workspace | None:
    """Of a folder that is in order; a draft can be made without."""
    try:
        return load_workspace(folder)
    except WorkspaceError:
        return None


def _name(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:128] or "sample"


def _time(found: Profile, made: _Draft) -> None:
    ranked = sorted(found.fields, key=lambda one: (_rank(one.name, _TIME_NAMES), -one.present))
    for one in ranked:
        format = _time_format(one)
        if format is None:
            continue
        spec = {"field": one.name} | ({} if format == "iso8601" else {"format": format})
        if format in _PATTERNS or (format == "iso8601" and any(isinstance(value, str) and _NAIVE.match(value) for value in one.values)):
            spec["zone"] = "UTC"
            made.notes.append(f"times in '{one.name}' carry no zone: UTC is a guess")
        if format.startswith("%d/%m") and _fits_pattern(one, format.replace("%d/%m", "%m/%d")):
            made.notes.append(f"times in '{one.name}' may as well begin with the month: that the day comes first is a guess")
        made.contract["twin"] = ""
        made.contract["time"] = spec
        made.used.add(one.name)
        return
    made.contract |= {"twin": "", "time": {"field": "ts"}}
    made.used.add("ts")
    made.notes.append("no field looks like a time: name the right one in `time`")
    for one in found.fields:
        if one.low is not None and one.high is not None and _NANOSECONDS[0] <= one.low and one.high <= _NANOSECONDS[1]:
            made.notes.append(f"'{one.name}' may count nanoseconds, which no format reads: have it sent as epoch_us or ISO 8601")


def _rank(name: str, names: Sequence[str]) -> int:
    """The place of a field's own name among those usual for it; then comes one of which a word is such a name (`eventTime`, `time_ms`)."""
    last = re.split(r"[.^@]", name)[-1]
    plain = last.lower().replace("-", "_")
    if plain in names:
        return names.index(plain)
    words = {word.lower() for word in _WORD.findall(last) if len(word) > 1}
    return len(names) if words & set(names) else len(names) + 1


def _time_format(one: FieldProfile) -> str | None:
    if one.kind == "text":
        if all(_is_time(str(value)) for value in list(one.values)[:50]):
            return "iso8601"
        return next((pattern for pattern in _PATTERNS if _fits_pattern(one, pattern)), None)
    if (
        one.kind in ("number", "integer")
        and one.low is not None
        and one.high is not None
        and _rank(one.name, _TIME_NAMES) <= len(_TIME_NAMES)
    ):
        return next((name for name, low, high in _EPOCHS if low <= one.low and one.high <= high), None)
    return None


def _fits_pattern(one: FieldProfile, pattern: str) -> bool:
    return bool(parse_pattern(pl.Series(list(one.values), dtype=pl.String, strict=False), pattern, "UTC")[1].all())


def _is_time(text: str) -> bool:
    try:
        from_iso(text + "Z" if _NAIVE.match(text) else text)
    except UsageError:
        return False
    return True


def _twin(found: Profile, workspace: Workspace | None, made: _Draft) -> None:
    twins = set(workspace.graph.twins) if workspace else set()
    for one in found.fields:
        if twins and one.values and {str(value) for value in one.values} <= twins:
            made.contract["twin"] = f"{{{one.name}}}"
            made.used.add(one.name)
            return
    named = sorted(
        (one for one in found.fields if one.kind in ("text", "integer") and one.name not in made.used),
        key=lambda one: _rank(one.name, _TWIN_NAMES),
    )
    if named and _rank(named[0].name, _TWIN_NAMES) < len(_TWIN_NAMES):
        made.contract["twin"] = f"{{{named[0].name}}}"
        made.used.add(named[0].name)
        if twins:
            made.notes.append(
                f"the values of '{named[0].name}' are not all twins of this workspace: write a template such as pump-{{{named[0].name}}}"
            )
        return
    made.contract["twin"] = min(twins) if len(twins) == 1 else "CHANGE-ME"
    made.notes.append("no field looks like the id of a twin: name it in `twin`")


def _observations(found: Profile, workspace: Workspace | None, made: _Draft) -> None:
    paths = paths_of_twins(workspace.ontology, [twin.interface for twin in workspace.graph.twins.values()]) if workspace else {}
    observations: list[dict[str, Any]] = []
    taken: set[str] = set()
    for one in found.fields:
        if one.name in made.used or one.kind in _LEFT_OUT:
            if one.kind in _LEFT_OUT:
                made.notes.append(f"'{one.name}' is left out: it is {_LEFT_OUT[one.kind]}")
            continue
        if found.format == "csv" and one.values and all(_DECIMAL_COMMA.match(str(value)) for value in one.values):
            made.notes.append(
                f"'{one.name}' is left out: its numbers have decimal commas, which contracts don't read: have them written with points"
            )
            continue
        observation = dict(_observation(one, paths, taken, found.readings, made.notes))
        if observation:
            taken.add(observation["path"])
            observations.append(observation)
    made.contract["observations"] = observations
    if not observations:
        made.notes.append("no field fits a path of a twin: write the observations yourself")


def _observation(
    one: FieldProfile, paths: Mapping[str, PathInfo], taken: set[str], readings: int, notes: list[str]
) -> Iterator[tuple[str, Any]]:
    name, unit = _split(one.name)
    path = _path(name, one, paths, taken)
    if path is None:
        notes.append(f"'{one.name}' fits no path of a twin: it is left out")
        return
    yield "path", path
    yield "field", one.name
    info = paths.get(path)
    if one.kind in ("number", "integer") and (info is None or info.unit is not None):
        if unit is not None and (info is None or units.compatible(unit, info.unit)):
            yield "unit", unit
        elif info is not None:
            yield "unit", info.unit
            notes.append(f"the unit of '{one.name}' is not known: {info.unit}, that of '{path}', is a guess")
    if one.present == readings:
        yield "required", True


def _split(name: str) -> tuple[str, str | None]:
    """`pressure_kPa` and `pressure [kPa]`: the name, and the unit where it is one."""
    match = _UNIT_AFTER.match(name)
    if match is None:
        return name, None
    try:
        return match["name"], units.canonical(match["suffix"] or match["bracket"])
    except UnitError:
        return name, None


def _path(name: str, one: FieldProfile, paths: Mapping[str, PathInfo], taken: set[str]) -> str | None:
    free = {_plain(path): path for path, info in paths.items() if path not in taken and _fits(one, info)}
    if not paths:
        plain = re.sub(r"\W+", "_", name.lstrip("^@")).strip("_")
        return plain if plain and plain not in taken else None
    wanted = [_plain(name), _plain(re.split(r"[.]", name)[-1])]
    for candidate in wanted:
        if candidate in free:
            return free[candidate]
        near = [plain for plain in free if plain.startswith(candidate) and len(candidate) > 2] or get_close_matches(
            candidate, list(free), 1, 0.75
        )
        if len(near) == 1:
            return free[near[0]]
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _fits(one: FieldProfile, info: PathInfo) -> bool:
    held = {"number": ("DOUBLE",), "integer": ("DOUBLE", "BIGINT"), "boolean": ("BOOLEAN",), "text": ("VARCHAR",)}
    return column_type(info.schema) in held.get(one.kind, ())


def _written(file: Path, found: Profile, made: _Draft) -> str:
    head = [f"# Drafted from {found.readings} readings of {file.name}. Check it, then: twinwright plan"]
    head += [f"# - {note}" for note in made.notes]
    lines = yaml.safe_dump(
        {key: value for key, value in made.contract.items() if key != "observations"}, sort_keys=False, allow_unicode=True
    )
    rows = [f"  - {_flow(one)}" for one in made.contract["observations"]]
    return "\n".join([*head, lines.rstrip(), "observations:" if rows else "observations: []", *rows]) + "\n"


def _flow(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, default_flow_style=True, width=10_000).strip()
