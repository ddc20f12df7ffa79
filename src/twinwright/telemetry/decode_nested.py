"""JSON payloads whose fields lie in objects and arrays, and those that hold many readings each (`each`).

An element that is not what the contract reads is refused by itself. Whatever is refused is kept as a document of its own: the
enclosing ones with this element alone, so that it can be read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from twinwright.telemetry.contract_spec import FieldKind
from twinwright.telemetry.decode import POLARS_TYPE, Column, Decoded, Undecodable, concatenate, empty
from twinwright.telemetry.decode_json import TAKE, JsonDecoder
from twinwright.telemetry.fields import FieldPath, Level, field_path
from twinwright.telemetry.nested_columns import Chunk, NestedColumns
from twinwright.telemetry.payloads import Payload, Reason

MAX_REFUSED = 1_000  # elements of one document with a letter each; what is beyond them shares one
MOST_REPEATED = 32  # times its own size: what a document may repeat in its elements of the text around them
_CHUNK = 1_000  # documents; one that is odd takes these along to the plain reader
_KEPT_AROUND = 64 * 1024  # bytes of what encloses a refused element: beyond them only what the contract reads is kept with it
_ANY_DOCUMENT: Mapping[str, FieldKind] = {"\x00": "scalar"}  # splits payloads and refuses what is no object, looking at no field


@dataclass(frozen=True, slots=True)
class _Element:
    """One reading to be: the documents around it from the outermost inwards, itself last; and its key or index at each level."""

    chain: tuple[Any, ...]
    places: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class _RefusedElement:
    element: _Element
    reason: Reason
    detail: str


class NestedDecoder:
    """Decodes the `fields` of a contract by their paths, in every element of `levels`."""

    def __init__(self, fields: Mapping[str, FieldKind], levels: Sequence[Level]) -> None:
        self._fields = fields
        self._levels = tuple(levels)
        self._paths = {name: field_path(name, within=len(levels)) for name in fields}
        self._documents = JsonDecoder(_ANY_DOCUMENT)
        self._reader = msgspec.json.Decoder()
        own = [path for path in self._paths.values() if path.up == 0 and not path.place]
        self._needs_inside = any(path.steps for path in own)
        readable = NestedColumns.can_read(fields, self._paths, self._levels)
        self._columns = NestedColumns(fields, self._paths, self._levels) if readable else None

    def decode(self, payloads: Sequence[Payload]) -> Decoded:
        documents = self._documents.decode(payloads)
        raws = [documents.raw(row) for row in range(documents.count)]
        parts = [self._chunk(raws[at : at + _CHUNK], documents.owner[at : at + _CHUNK]) for at in range(0, len(raws), _CHUNK)]
        return concatenate([*parts, empty(self._fields, documents.undecodable)], self._fields)

    def _chunk(self, raws: Sequence[bytes], owners: NDArray[np.int32]) -> Decoded:
        most = MOST_REPEATED * np.array([len(raw) for raw in raws])
        chunk = self._columns.read(raws, most) if self._columns is not None else None
        return self._plain(raws, owners) if chunk is None else self._read_whole(chunk, raws, owners)

    def _read_whole(self, chunk: Chunk, raws: Sequence[bytes], owners: NDArray[np.int32]) -> Decoded:
        """Columns of which every element is a row."""
        first = np.searchsorted(chunk.document, np.arange(len(raws)))

        def raw(row: int) -> bytes:
            document = int(chunk.document[row])
            return self._alone(self._elements_of(raws[document])[0][row - int(first[document])])

        return Decoded(len(chunk.document), chunk.columns, owners[chunk.document], raw)

    def _plain(self, raws: Sequence[bytes], owners: NDArray[np.int32]) -> Decoded:
        elements: list[_Element] = []
        owner: list[int] = []
        undecodable: list[Undecodable] = []
        for raw, payload in zip(raws, owners.tolist(), strict=True):
            found, refused = self._elements_of(raw)
            elements += found
            owner += [payload] * len(found)
            undecodable += self._letters(raw, payload, refused)
        columns = {name: self._column(name, kind, elements) for name, kind in self._fields.items()}
        return Decoded(len(elements), columns, np.array(owner, np.int32), lambda at: self._alone(elements[at]), tuple(undecodable))

    # --- elements ----------------------------------------------------------------------------------------------------

    def _elements_of(self, raw: bytes) -> tuple[list[_Element], list[_RefusedElement]]:
        try:
            document = self._reader.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            document = json.loads(raw)  # NaN and infinities
        found: list[_Element] = []
        refused: list[_RefusedElement] = []
        for one in self._elements(_Element((document,)), 0):
            if isinstance(one, _RefusedElement):
                refused.append(one)
            else:
                found.append(one)
        repeated = self._repeated(found)
        if repeated > MOST_REPEATED * len(raw):
            detail = f"its elements would repeat {repeated} bytes of what encloses them, at most {MOST_REPEATED} times its size"
            return [], [_RefusedElement(_Element((document,)), "too_large", detail)]
        return found, refused

    def _elements(self, around: _Element, depth: int) -> Iterator[_Element | _RefusedElement]:
        if depth == len(self._levels):
            yield around
            return
        level = self._levels[depth]
        inside = level.path.of(around.chain[-1])
        members: Iterable[tuple[str | int, Any]]
        if level.members and isinstance(inside, dict):
            members = inside.items()
        elif not level.members and isinstance(inside, list):
            members = enumerate(inside)
        else:
            what = "is missing" if inside is None else f"is not {'an object' if level.members else 'an array'}"
            yield _RefusedElement(around, "missing_field" if inside is None else "bad_type", f"`each: {level.text}` {what}")
            return
        for place, value in members:
            element = _Element((*around.chain, value), (*around.places, place))
            last = depth + 1 == len(self._levels)
            if isinstance(value, dict | list) or (last and not self._needs_inside and value is not None):
                yield from self._elements(element, depth + 1)
            else:
                yield _RefusedElement(element, "malformed", f"an object is expected in `{level.text}`, not {_called(value)}")

    def _repeated(self, elements: Sequence[_Element]) -> int:
        """Bytes of text that columns will hold more than once because they lie around many elements."""
        outer = [path for name, path in self._paths.items() if path.up and self._fields[name] in ("string", "scalar", "json")]
        if not outer:
            return 0
        size = 0
        for element in elements:
            for path in outer:
                value = self._value(element, path)
                size += len(value.encode()) if isinstance(value, str) else 64 if isinstance(value, dict | list) else 0
        return size

    def _value(self, element: _Element, path: FieldPath) -> Any:
        if path.place:
            place = element.places[-1]
            return place if isinstance(place, int) == (path.place == "@index") else None
        return path.of(element.chain[-1 - path.up])

    def _column(self, name: str, kind: FieldKind, elements: Sequence[_Element]) -> Column:
        path = self._paths[name]
        take = TAKE[kind]
        values: list[Any] = []
        wrong = np.zeros(len(elements), np.bool_)
        for row, element in enumerate(elements):
            value = self._value(element, path)
            taken = None if value is None else take(value)
            wrong[row] = value is not None and taken is None
            values.append(taken)
        return Column(pl.Series(name, values, dtype=POLARS_TYPE[kind]), wrong if wrong.any() else None)

    # --- what is refused ---------------------------------------------------------------------------------------------

    def _letters(self, raw: bytes, payload: int, refused: Sequence[_RefusedElement]) -> Iterator[Undecodable]:
        for one in refused[:MAX_REFUSED]:
            whole = len(one.element.chain) == 1
            yield Undecodable(payload, raw if whole else self._alone(one.element), one.detail, one.reason)
        if rest := refused[MAX_REFUSED:]:
            detail = f"{len(rest)} more elements of this document, counted as one reading; the first: {rest[0].detail}"
            yield Undecodable(payload, raw, detail, rest[0].reason)

    def _alone(self, element: _Element) -> bytes:
        """The documents around an element with nothing else in their arrays and objects of elements."""
        inner = element.chain[-1]
        for depth in reversed(range(len(element.places))):
            level, place = self._levels[depth], element.places[depth]
            only: Any = {place: inner} if level.members else [inner]
            inner = self._with(element.chain[depth], level.path.steps, only, len(element.places) - depth)
        return _written(inner)

    def _with(self, around: Any, steps: Sequence[str], only: Any, outwards: int) -> Any:
        """A document with `only` in the place of its elements."""
        if not steps:
            return only
        if isinstance(around, list):
            return [self._with(item, steps[1:], only, 0) if index == int(steps[0]) else item for index, item in enumerate(around)]
        rest = {key: value for key, value in around.items() if key != steps[0]}
        if outwards and len(_written(rest)) > _KEPT_AROUND:
            read = {path.steps[0] for path in self._paths.values() if path.up == outwards and path.steps}
            rest = {key: value for key, value in rest.items() if key in read}
        return {**rest, steps[0]: self._with(around[steps[0]], steps[1:], only, 0)}


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _called(value: Any) -> str:
    return {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "text"}.get(
        type(value), type(value).__name__
    )
