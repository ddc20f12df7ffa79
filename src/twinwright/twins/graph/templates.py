"""A template of twins and relationships: documents with `{column}` in their texts, filled in from a row.

A text that is one place alone takes the column's value as it is, and is left out where the row has none; within a text a place is
written as text. `{room.floor}` is a member of a column that holds an object, `{{` and `}}` are braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from twinwright.errors import InvalidTwinError, Problem
from twinwright.twins.graph.measured import is_quantity

Kind = Literal["twin", "relationship"]
Place = tuple[str | int, ...]
MOST_PARTS: Final = 100  # documents of a template
MOST_DEPTH: Final = 32
MOST_TEXT: Final = 4_096
_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|[{}]")
_SECTIONS: Final[Mapping[str, tuple[Kind, tuple[str, ...]]]] = {
    "twins": ("twin", ("$dtId", "$metadata")),
    "relationships": ("relationship", ("$relationshipId", "$sourceId", "$targetId", "$relationshipName")),
}
_NOTHING: Final = object()


class UnfilledError(Exception):
    """A row has no value where its document needs one: `column` of the row, `place` of the document."""

    def __init__(self, column: str, place: str) -> None:
        super().__init__(column, place)
        self.column, self.place = column, place


@dataclass(frozen=True, slots=True)
class _Column:
    """A text that is one place alone."""

    name: str


@dataclass(frozen=True, slots=True)
class _Text:
    """Texts and places in turn."""

    pieces: tuple[str | _Column, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a template."""

    kind: Kind
    place: str
    _content: Mapping[str, Any]

    def filled(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The document of a row, which has its values by the names of `columns`. Raises UnfilledError."""
        made: dict[str, Any] = _filled(self._content, row, self.place)
        named = made["$metadata"] if self.kind == "twin" else made
        required = ("$model",) if self.kind == "twin" else _SECTIONS["relationships"][1]
        for owner, name in [*((named, name) for name in required), *([(made, "$dtId")] if self.kind == "twin" else [])]:
            if owner.get(name) is None:
                content = self._content["$metadata"] if owner is not made else self._content
                raise UnfilledError(next(_columns(content[name]), name), f"{self.place}.{name}")
            owner[name] = text_of(owner[name])
        return made


@dataclass(frozen=True, slots=True)
class Template:
    """`columns` are the places that it has, in the order of their names."""

    parts: tuple[Part, ...]
    columns: tuple[str, ...]


def template_of(document: Any) -> Template:
    """`{"twins": [...], "relationships": [...]}`. Raises InvalidTwinError with every problem, by its JSON path."""
    problems: list[Problem] = []
    parts: list[Part] = []
    if not isinstance(document, dict) or not document or document.keys() - _SECTIONS.keys():
        raise InvalidTwinError([Problem("it is no template", 'Write {"twins": [...], "relationships": [...]}', path="$.template")])
    for section, (kind, required) in _SECTIONS.items():
        listed = document.get(section) or []
        if not isinstance(listed, list):
            problems.append(Problem(f"`{section}` is no list", "Write a list of documents", path=f"$.template.{section}"))
            continue
        for index, one in enumerate(listed):
            place = f"$.template.{section}[{index}]"
            if _is_document(one, kind, required, place, problems):
                parts.append(Part(kind, place, _compiled(one, place, 0, problems)))
    if not parts and not problems:
        problems.append(Problem("the template has no document", "Give it twins, relationships, or both", path="$.template"))
    if len(parts) > MOST_PARTS:
        problems.append(Problem(f"{len(parts)} documents", f"Use at most {MOST_PARTS}", path="$.template"))
    if problems:
        raise InvalidTwinError(problems)
    columns = sorted({name for part in parts for name in _columns(part._content)})
    return Template(tuple(parts), tuple(columns))


def text_of(value: Any) -> str:
    """A value of a column as a part of a text: 3.0 is written as 3, and a number without its unit."""
    if is_quantity(value):
        return text_of(value["value"])
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def column_of(row: Mapping[str, Any], name: str) -> Any:
    """The value of a column, or of a member of it; None where there is none."""
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _is_document(one: Any, kind: Kind, required: Sequence[str], place: str, problems: list[Problem]) -> bool:
    if not isinstance(one, dict):
        problems.append(Problem(f"a {kind} is an object", f"Give it {', '.join(required)}", path=place))
        return False
    missing = [name for name in required if one.get(name) is None]
    if missing:
        problems.append(Problem(f"`{missing[0]}` is missing", f"A {kind} needs {', '.join(required)}", path=place))
        return False
    metadata = one.get("$metadata")
    if kind == "twin" and not (isinstance(metadata, dict) and isinstance(metadata.get("$model"), str) and len(metadata) == 1):
        problems.append(Problem("`$metadata` is not its `$model` alone", 'Write {"$model": "dtmi:..."}', path=f"{place}.$metadata"))
        return False
    return True


def _compiled(value: Any, place: str, depth: int, problems: list[Problem]) -> Any:
    """The same with places in the texts."""
    if depth > MOST_DEPTH:
        problems.append(Problem(f"nested deeper than {MOST_DEPTH}", "Make the document flatter", path=place))
        return None
    if isinstance(value, dict):
        return {name: _compiled(inner, f"{place}.{name}", depth + 1, problems) for name, inner in value.items()}
    if isinstance(value, list):
        return [_compiled(inner, f"{place}[{index}]", depth + 1, problems) for index, inner in enumerate(value)]
    return _text(value, place, problems) if isinstance(value, str) else value


def _text(text: str, place: str, problems: list[Problem]) -> str | _Column | _Text | None:
    if len(text) > MOST_TEXT:
        problems.append(Problem(f"a text of {len(text)} characters", f"Use at most {MOST_TEXT}", path=place))
        return None
    pieces: list[str | _Column] = []
    at = 0
    for found in _PIECE.finditer(text):
        pieces.append(text[at : found.start()])
        at = found.end()
        if found[0] in ("{", "}"):
            problems.append(Problem(f"a `{found[0]}` without its other", "Write {column}, and {{ or }} for a brace", path=place))
            return None
        pieces.append(_Column(found[1].strip()) if found[1] else found[0][0])
    pieces.append(text[at:])
    said = [piece for piece in pieces if piece != ""]
    if len(said) == 1 and isinstance(said[0], _Column):
        return said[0]
    return _Text(tuple(said)) if any(isinstance(piece, _Column) for piece in said) else "".join(map(str, said))


def _columns(content: Any) -> Iterator[str]:
    if isinstance(content, _Column):
        yield content.name
    elif isinstance(content, _Text):
        yield from (piece.name for piece in content.pieces if isinstance(piece, _Column))
    elif isinstance(content, Mapping):
        for inner in content.values():
            yield from _columns(inner)
    elif isinstance(content, list):
        for inner in content:
            yield from _columns(inner)


def _filled(content: Any, row: Mapping[str, Any], place: str) -> Any:
    if isinstance(content, _Column):
        value = row.get(content.name)
        return _NOTHING if value is None else value
    if isinstance(content, _Text):
        return "".join(piece if isinstance(piece, str) else _written(piece, row, place) for piece in content.pieces)
    if isinstance(content, Mapping):
        made = {name: _filled(inner, row, f"{place}.{name}") for name, inner in content.items()}
        return {name: value for name, value in made.items() if value is not _NOTHING}
    if isinstance(content, list):
        listed = (_filled(inner, row, f"{place}[{index}]") for index, inner in enumerate(content))
        return [value for value in listed if value is not _NOTHING]
    return content


def _written(column: _Column, row: Mapping[str, Any], place: str) -> str:
    value = row.get(column.name)
    if value is None or (isinstance(value, (Mapping, list)) and not is_quantity(value)):
        raise UnfilledError(column.name, place)
    return text_of(value)
