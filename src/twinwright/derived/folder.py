"""All derived values of a workspace together: names, who writes what, and no value that is derived from itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from twinwright.derived.definition import Definition, Plant, compile_derived, parse_derived
from twinwright.documents import Document, Location, Problems, parse_text


@dataclass(frozen=True, slots=True)
class _File:
    definition: Definition
    document: Document
    owners: frozenset[str]


def compile_folder(texts: Mapping[str, str], plant: Plant, problems: Problems) -> dict[str, Definition]:
    """Definitions by name, from their documents by file name; every problem is added."""
    before = len(problems)
    files: dict[str, _File] = {}
    for file, text in texts.items():
        document = parse_text(text, file, problems)
        spec = parse_derived(document, problems) if document else None
        if document is None or spec is None:
            continue
        if spec.name in files:
            problems.add(document.problem(("name",), f"there is another derived value '{spec.name}'", "Rename one", "duplicate_derived"))
        definition = compile_derived(spec, plant, document, problems)
        if definition is not None:
            files[spec.name] = _File(definition, document, frozenset(plant.owners(spec)))
    if len(problems) == before:
        _check_outputs(files, problems)
        _check_cycles(files, _sources(files, plant, problems), problems)
    return {name: file.definition for name, file in files.items()}


def _check_outputs(files: Mapping[str, _File], problems: Problems) -> None:
    """A twin's path is derived in one way."""
    writers: dict[str, list[_File]] = {}
    for file in files.values():
        mine = writers.setdefault(file.definition.path, [])
        for other in mine:
            if shared := file.owners & other.owners:
                message = f"'{file.definition.path}' of '{min(shared)}' is derived by '{other.definition.name}' as well"
                remedy = "Write to another path, or name other twins"
                problems.add(file.document.problem(("output", "path"), message, remedy, "derived_twice"))
        mine.append(file)


def _sources(files: Mapping[str, _File], plant: Plant, problems: Problems) -> dict[str, dict[str, Location]]:
    """By name, the derived values that each is derived from, and where that is written."""
    found: dict[str, dict[str, Location]] = {}
    for name, file in files.items():
        mine = found.setdefault(name, {})
        for one in file.definition.inputs:
            if one.lane != "derived":
                continue
            place: Location = ("inputs", one.name)
            writers = [other for other in files.values() if other.definition.path == one.path]
            if not writers:
                derived = ", ".join(sorted({other.definition.path for other in files.values()}))
                message, remedy = f"nothing derives '{one.path}'", f"Leave out `lane: derived`; derived are: {derived}"
                problems.add(file.document.problem((*place, "path"), message, remedy, "not_derived"))
            members = file.owners
            if one.relationship is not None:
                members = frozenset(m for owner, m in plant.edges(one.relationship, one.direction) if owner in file.owners)
            mine.update((other.definition.name, place) for other in writers if members & other.owners)
    return found


def _check_cycles(files: Mapping[str, _File], sources: Mapping[str, Mapping[str, Location]], problems: Problems) -> None:
    for cycle in _cycles(sources):
        first = cycle[0]
        following = cycle[1] if len(cycle) > 1 else first
        message = f"derived from itself: {' <- '.join([*cycle, first])}"
        remedy = "Derive one of them from observed values"
        problems.add(files[first].document.problem(sources[first][following], message, remedy, "cycle"))


def _cycles(sources: Mapping[str, Mapping[str, Location]]) -> Iterator[list[str]]:
    """One cycle for each value at which one was closed, by a walk with a stack of its own: folders may be large."""
    done: set[str] = set()
    for start in sources:
        trail: list[str] = []
        waiting: list[tuple[str, Iterator[str]]] = []
        following: str | None = start
        while following is not None or waiting:
            if following is not None and following not in done and following not in trail:
                trail.append(following)
                waiting.append((following, iter(sources[following])))
            elif following in trail:
                yield trail[trail.index(following) :]
            following = next(waiting[-1][1], None) if waiting else None
            if following is None and waiting:
                done.add(waiting.pop()[0])
                trail.pop()
