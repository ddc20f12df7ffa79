"""Interfaces compiled to what reads lines of JSON straight into columns.

A line that does not fit the form is left to who checks documents one by one: it may be as sound as the others (a value with a time of its
own, a number written in an odd way), and if it is not, what is wrong with it is told there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from twinwright.schema import Component, Ontology, PathInfo, Primitive, Property, Schema, Telemetry, check_value, integer_range
from twinwright.twins.graph.blocks import EdgeBlock, Fits, TwinBlock, Values, edge_block, values_of

T = TypeVar("T")
_INT64: Final = 2**63 - 1
_FLOAT_MAX: Final = 3.4028234663852886e38
_TYPED: Final[dict[str, Any]] = {"double": float, "float": float, "boolean": bool, "string": str}


class _Head(msgspec.Struct, rename={"model": "$model"}):
    model: str


class _Headed(msgspec.Struct, rename={"metadata": "$metadata"}):
    """So much of a twin as is needed to choose its form."""

    metadata: _Head


class _Notes(msgspec.Struct, rename={"at": "sourceTime"}):
    """Of a property, without a time of its own."""

    at: None = None


class _Edge(
    msgspec.Struct,
    forbid_unknown_fields=True,
    gc=False,
    rename={"id": "$relationshipId", "source": "$sourceId", "target": "$targetId", "name": "$relationshipName"}
    | {"etag": "$etag", "metadata": "$metadata"},
):
    """A relationship without properties."""

    id: str
    source: str
    target: str
    name: str
    etag: Any = None
    metadata: Any = None


_EDGE_OWN: Final = frozenset({"$relationshipId", "$sourceId", "$targetId", "$relationshipName", "$etag", "$metadata"})


class _Lines(Generic[T]):
    """Reads lines, all at once where it can."""

    def __init__(self, type: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(type)

    def read(self, lines: Sequence[bytes]) -> tuple[list[T], list[int]]:
        """What was read, and of which lines: those that do not fit are left out."""
        joined = b"\n".join(lines)
        try:
            joined.decode()  # what is passed over must be text, too
            if joined.count(b"}\n{") == len(lines) - 1 and joined[:1] == b"{" and joined[-1:] == b"}":
                found = self._decoder.decode_lines(joined)  # none of them goes on in the next line
                if len(found) == len(lines):
                    return found, list(range(len(lines)))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
        return self._one_by_one(lines)

    def _one_by_one(self, lines: Sequence[bytes]) -> tuple[list[T], list[int]]:
        found, rows = [], []
        for row, line in enumerate(lines):
            try:
                line.decode()
                found.append(self._decoder.decode(line))
                rows.append(row)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
        return found, rows


@dataclass(frozen=True, slots=True)
class _Path:
    """Where the values of a path are in what was read."""

    info: PathInfo
    get: Callable[[Any], Any]


class TwinForm:
    """Of one interface."""

    def __init__(self, dtmi: str, ontology: Ontology) -> None:
        self._dtmi, self._ontology = dtmi, ontology
        self._paths: list[_Path] = []
        own = [("id", str, "$dtId"), ("etag", Any, "$etag")]
        self._lines: _Lines[Any] = _Lines(self._part(dtmi, "", "", own))

    def _part(self, dtmi: str, prefix: str, getter: str, own: Sequence[tuple[str, Any, str]] = ()) -> Any:
        """The twin itself or a component; whole, so components are required."""
        fields: list[Any] = []
        renamed: dict[str, str] = {}
        notes: list[tuple[str, str]] = []
        for at, (name, content) in enumerate(self._ontology.interface(dtmi).contents.items()):
            field = f"f{at}"
            renamed[field] = name
            if isinstance(content, Component):
                fields.append((field, self._part(content.schema, f"{prefix}{name}/", f"{getter}{field}.")))
            elif isinstance(content, Property):
                info = self._ontology.paths(self._dtmi)[prefix + name]
                self._paths.append(_Path(info, attrgetter(getter + field)))
                fields.append((field, _typed(content.schema) | msgspec.UnsetType, msgspec.UNSET))
                notes.append((field, name))
            elif isinstance(content, Telemetry):  # what a reader was shown
                fields.append((field, Any, msgspec.UNSET))
        for field, kind, name in own:
            renamed[field] = name
            fields.append((field, kind) if field == "id" else (field, kind, msgspec.UNSET))
        renamed["metadata"] = "$metadata"
        fields.append(("metadata", self._metadata(notes, dtmi if own else None)))
        return msgspec.defstruct("Part", fields, rename=renamed, forbid_unknown_fields=True, kw_only=True)

    @staticmethod
    def _metadata(notes: Sequence[tuple[str, str]], dtmi: str | None) -> Any:
        model: Any = Any if dtmi is None else Literal[dtmi]
        fields: list[Any] = [(field, _Notes | msgspec.UnsetType, msgspec.UNSET) for field, _ in notes]
        fields += [("updated", Any, msgspec.UNSET), ("model", model, msgspec.UNSET) if dtmi is None else ("model", model)]
        renamed = {**dict(notes), "updated": "$lastUpdateTime", "model": "$model"}
        return msgspec.defstruct("Metadata", fields, rename=renamed, forbid_unknown_fields=True, kw_only=True)

    def read(self, lines: Sequence[bytes], numbers: NDArray[np.int64]) -> tuple[TwinBlock, list[int]]:
        """The lines that fit, and which these are."""
        read, rows = self._lines.read(lines)
        fits = np.ones(len(read), np.bool_)
        columns = []
        for path in self._paths:
            given = [(row, value) for row, value in enumerate(map(path.get, read)) if value is not msgspec.UNSET]
            if given:
                which, values = zip(*given, strict=True)
                column, wrong = sound_values(path.info, np.array(which, np.int32), values, self._ontology)
                fits[wrong] = False
                columns += column
        block = TwinBlock(self._dtmi, [one.id for one in read], tuple(columns), numbers[rows])
        return (block, rows) if fits.all() else (block.chosen(fits), [row for row, fit in zip(rows, fits.tolist(), strict=True) if fit])


def _typed(schema: Schema) -> Any:
    """The type that reads a schema; Any where it is not enough."""
    if not isinstance(schema, Primitive):
        return Any
    whole = integer_range(schema)
    if whole is not None and whole[1] <= _INT64:
        return Annotated[int, msgspec.Meta(ge=whole[0], le=whole[1])]
    return _TYPED.get(schema.name, Any)


def sound_values(
    info: PathInfo, rows: NDArray[np.int32], values: Sequence[Any], ontology: Ontology
) -> tuple[list[Values], NDArray[np.int32]]:
    """The values of a path, and the rows that have one which does not conform to its schema."""
    fits = _conforming(info.schema, values, ontology)
    if fits.all():
        return [values_of(info, rows, values)], rows[:0]
    kept = [value for value, fit in zip(values, fits.tolist(), strict=True) if fit]
    return [values_of(info, rows[fits], kept)] if kept else [], rows[~fits]


def _conforming(schema: Schema, values: Sequence[Any], ontology: Ontology) -> Fits:
    if _typed(schema) is float:
        try:
            numbers = np.array(values, np.float64)
            return np.asarray(np.isfinite(numbers) & ((schema != Primitive("float")) | (np.abs(numbers) <= _FLOAT_MAX)), np.bool_)
        except (OverflowError, ValueError, TypeError):
            pass
    elif _typed(schema) is not Any:  # read as what they are
        kinds, whole = set(map(type, values)), integer_range(schema)
        if whole is None and kinds == {_typed(schema)}:
            return np.ones(len(values), np.bool_)
        if whole is not None and kinds == {int} and whole[0] <= min(values) and max(values) <= whole[1]:
            return np.ones(len(values), np.bool_)
    return np.array([not check_value(value, schema, ontology.schemas) for value in values], np.bool_)


class Forms:
    """Of an ontology, each made when first asked for."""

    def __init__(self, ontology: Ontology) -> None:
        self._ontology = ontology
        self._forms: dict[str, TwinForm] = {}
        self._heads = _Lines(_Headed)
        self._edges = _Lines(_Edge)

    def _form(self, dtmi: str) -> TwinForm:
        if dtmi not in self._forms:
            self._forms[dtmi] = TwinForm(dtmi, self._ontology)
        return self._forms[dtmi]

    def twins(self, lines: Sequence[bytes], numbers: NDArray[np.int64]) -> tuple[list[TwinBlock], list[int]]:
        """Blocks of the lines that fit a form, and the rows of those that don't."""
        heads, rows = self._heads.read(lines)
        of_model: dict[str, list[int]] = {}
        for head, row in zip(heads, rows, strict=True):
            of_model.setdefault(head.metadata.model, []).append(row)
        blocks, taken = [], set[int]()
        for model, mine in of_model.items():
            if model in self._ontology.interfaces:
                block, read = self._form(model).read([lines[row] for row in mine], numbers[mine])
                blocks.append(block)
                taken.update(mine[one] for one in read)
        return blocks, [row for row in range(len(lines)) if row not in taken]

    def edges(self, lines: Sequence[bytes], numbers: NDArray[np.int64]) -> tuple[list[EdgeBlock], list[int]]:
        """The same of relationships."""
        read, rows = self._edges.read(lines)
        columns = [[one.source for one in read], [one.id for one in read], [one.name for one in read], [one.target for one in read]]
        columns.append(["{}"] * len(read))
        left = []
        for row in sorted(set(range(len(lines))) - set(rows)) if len(rows) < len(lines) else ():
            told = _told_edge(lines[row])
            if told is None:
                left.append(row)
                continue
            rows.append(row)
            for column, value in zip(columns, told, strict=True):
                column.append(value)
        return [edge_block(columns, numbers[rows].tolist())], left


def _told_edge(line: bytes) -> tuple[str, str, str, str, str] | None:
    """(source, id, name, target, properties) of a relationship; None where it has not all of them."""
    try:
        document = json.loads(line.decode())
        named = [document[name] for name in ("$sourceId", "$relationshipId", "$relationshipName", "$targetId")]
        properties = {name: value for name, value in document.items() if name not in _EDGE_OWN}
        text = json.dumps(properties, sort_keys=True, allow_nan=False)
        "".join(named).encode()  # half of a pair of surrogates is none
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    return None if not all(isinstance(one, str) for one in named) else (named[0], named[1], named[2], named[3], text)
