"""What an import job does: a file of NDJSON in the sections Header, Models, Twins and Relationships, a piece at a time.

The file lies in the workspace. A line that is refused is told in the job and in the output, and hinders no other; models are added
together, since they may refer to each other.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from twinwright.errors import InvalidTwinError, ModelAlreadyExistsError, Problem, TwinwrightError, UsageError
from twinwright.governance.principals import Principal
from twinwright.platform import interfaces
from twinwright.platform.session import Session
from twinwright.schema import Ontology
from twinwright.twins.graph.blocks import EdgeBlock, TwinBlock
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.fitting import taken_in
from twinwright.twins.graph.forms import Forms
from twinwright.twins.graph.relationship_writes import put_relationship
from twinwright.twins.graph.twin_writes import put_twin
from twinwright.workspace.load import PARTS

PIECE: Final = 20_000  # lines of one commit
MOST_BYTES: Final = 32 << 20  # of these lines, but for one
MAX_LINE: Final = 1 << 20
_SECTIONS: Final = ("Header", "Models", "Twins", "Relationships")
_TOLD: Final = 20  # refused lines that the job itself tells


def check_request(session: Session, request: Any, earlier: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The two files; `earlier` are other jobs. Raises InvalidTwinError."""
    named = request if isinstance(request, dict) else {}
    found: dict[str, str] = {}
    for field in ("inputBlobUri", "outputBlobUri"):
        value = named.get(field)
        if not isinstance(value, str) or not value:
            raise _invalid(f"`{field}` is missing", "Name a file of the workspace, such as imports/plant.ndjson", field)
        _file(session, value, field)
        found[field] = value
    if not _file(session, found["inputBlobUri"], "inputBlobUri").is_file():
        raise _invalid("there is no such file in the workspace", "Put it there first", "inputBlobUri")
    _require_output(session, found, {str(one.get("outputBlobUri")) for one in earlier})
    return found


def _require_output(session: Session, named: Mapping[str, str], others: Collection[str]) -> None:
    """It is appended to: so nothing that the workspace reads, and no file but the output of another job. Raises InvalidTwinError."""
    path, source = (_file(session, named[field], field) for field in ("outputBlobUri", "inputBlobUri"))
    if path.relative_to(session.folder.resolve()).parts[0] in PARTS:
        raise _invalid("it is a part of the workspace", "Name a file beside those, such as imports/told.ndjson", "outputBlobUri")
    if not path.parent.is_dir():
        raise _invalid("there is no such folder in the workspace", "Make it first", "outputBlobUri")
    if path == source or (path.exists() and named["outputBlobUri"] not in others):
        raise _invalid("there is such a file already, and no job wrote it", "Name one that is not there yet", "outputBlobUri")


def _file(session: Session, uri: str, field: str) -> Path:
    """A file of the workspace, outside its private folder. Raises InvalidTwinError."""
    root = session.folder.resolve()
    path = (root / uri.removeprefix("file:").lstrip("/")).resolve()
    if "://" in uri or not path.is_relative_to(root) or path.is_relative_to(session.private.resolve()) or path == root:
        raise _invalid("it is no file of the workspace", "Name one by its path in the workspace's folder", field)
    return path


def _invalid(what: str, remedy: str, field: str) -> InvalidTwinError:
    return InvalidTwinError([Problem(what, remedy, path=f"$.{field}", code="ValidationFailed")])


def import_some(session: Session, principal: Principal, body: dict[str, Any]) -> bool:
    """Whether there is more. The body says where in the file it is (`offset`, `line`) and in which section."""
    source = _file(session, body["inputBlobUri"], "inputBlobUri")
    section, line = body.get("section"), body.get("line", 0)
    items: list[tuple[int, bytes]] = []
    size = 0
    with source.open("rb") as file:
        file.seek(body.get("offset", 0))
        for raw in _lines(file):
            line += 1
            named = _section(raw, line)
            if named is not None and items:  # it is the next piece's
                file.seek(-len(raw), 1)
                line -= 1
                break
            if named is not None:
                section = named
            elif raw.strip():
                if section is None:
                    remedy = 'Begin the file with the line {"Section": "Header"}'
                    raise UsageError("it is in no section", where=f"line {line}", remedy=remedy)
                items.append((line, raw))
                size += len(raw)
            if (len(items) >= PIECE or size >= MOST_BYTES) and section != "Models":
                break
        body |= {"offset": file.tell(), "line": line, "section": section}
        more = file.tell() < source.stat().st_size
    _take(session, principal, body, section, items)
    return more


def _lines(file: Any) -> Iterator[bytes]:
    while raw := file.readline(MAX_LINE + 1):
        if len(raw) > MAX_LINE:
            raise UsageError(f"a line longer than {MAX_LINE} bytes", where="inputBlobUri", remedy="One document a line")
        yield raw


def _section(raw: bytes, line: int) -> str | None:
    if b'"Section"' not in raw:
        return None
    try:
        document = json.loads(raw)
    except ValueError:
        return None
    name = document.get("Section") if isinstance(document, dict) else None
    if name is not None and name not in _SECTIONS:
        raise UsageError(f"there is no section {name!r}", where=f"line {line}", remedy=f"Use {', '.join(_SECTIONS)}")
    return name


def _take(session: Session, principal: Principal, body: dict[str, Any], section: str | None, items: list[tuple[int, bytes]]) -> None:
    progress, refused = body["progress"], list[dict[str, Any]]()
    read: _Read | None = None
    if section == "Models" and items:
        models = list(_parsed(items, refused))
        progress["models"] = progress.get("models", 0) + _add_models(session, principal, models, refused)
    elif section in ("Twins", "Relationships"):
        read = _read(session.served.applied.ontology, section, items, refused)

    def write(draft: Draft) -> None:
        if read is not None:
            _put_all(draft, read, progress, refused)
        if refused:
            progress["errors"] = progress.get("errors", 0) + len(refused)
            body["refused"] = [*body.get("refused", []), *refused][:_TOLD]
        progress["lines"] = body["line"]
        draft.put_record("import-job", body["id"], body)

    session.graph.submit(principal, write)
    with _file(session, body["outputBlobUri"], "outputBlobUri").open("a", encoding="utf-8") as output:
        for one in (*refused, {"progress": progress}):
            output.write(json.dumps(one) + "\n")


def _add_models(session: Session, principal: Principal, documents: list[tuple[int, Any]], refused: list[dict[str, Any]]) -> int:
    """Those that are not there yet, as they are; a resumed job finds some of its own."""
    there = {one["id"]: one["model"] for one in interfaces.listed(session.served.applied, ())}
    fresh = []
    for line, document in documents:
        dtmi = document.get("@id") if isinstance(document, dict) else None
        if dtmi in there and there[dtmi] != document:
            refused.append(_told(line, ModelAlreadyExistsError(f"there is another model '{dtmi}' already")))
        elif dtmi not in there:
            fresh.append(document)
    if fresh:
        interfaces.add(session, principal, fresh)
    return len(fresh)


@dataclass(frozen=True, slots=True)
class _Read:
    """Lines of one section: those that could be read in columns, and the others, each with its line."""

    section: str
    blocks: Sequence[TwinBlock] | Sequence[EdgeBlock]
    documents: Sequence[tuple[int, Any]]


def _read(ontology: Ontology, section: str, items: list[tuple[int, bytes]], refused: list[dict[str, Any]]) -> _Read:
    forms, numbers, lines = Forms(ontology), np.array([line for line, _ in items], np.int64), [raw.strip() for _, raw in items]
    blocks, left = forms.twins(lines, numbers) if section == "Twins" else forms.edges(lines, numbers)
    return _Read(section, blocks, list(_parsed([items[row] for row in left], refused)))


def _parsed(items: Iterable[tuple[int, bytes]], refused: list[dict[str, Any]]) -> Iterator[tuple[int, Any]]:
    for line, raw in items:
        try:
            yield line, json.loads(raw)
        except (ValueError, RecursionError) as error:
            refused.append(_told(line, UsageError(f"not JSON: {error}")))


def _put_all(draft: Draft, read: _Read, progress: dict[str, Any], refused: list[dict[str, Any]]) -> None:
    """In columns where that can be done, else one by one."""
    left, taken = taken_in(draft, read.blocks, [_key(read.section, document) for _, document in read.documents])
    for line, document in sorted([*read.documents, *left], key=lambda one: one[0]):
        try:
            _put(draft, read.section, document)
            taken += 1
        except TwinwrightError as error:
            refused.append(_told(line, error))
    name = read.section.lower()
    if taken:
        progress[name] = progress.get(name, 0) + taken


def _key(section: str, document: Any) -> Any:
    named = document if isinstance(document, dict) else {}
    return named.get("$dtId") if section == "Twins" else (named.get("$sourceId"), named.get("$relationshipId"))


def _put(draft: Draft, section: str, document: Any) -> None:
    if not isinstance(document, dict):
        raise UsageError("it is not an object", remedy="One document a line")
    if section == "Twins":
        put_twin(draft, str(document.get("$dtId", "")), document, None)
    else:
        put_relationship(draft, str(document.get("$sourceId", "")), str(document.get("$relationshipId", "")), document, None)


def _told(line: int, error: TwinwrightError) -> dict[str, Any]:
    return {"code": error.code, "message": f"line {line}: {error}"}
