"""CloudEvents 1.0 in JSON: one event, a batch (an array), or one a line; and in binary mode, where the attributes came beside the data.

The data of an event is what a payload of JSON is: a document is one reading, an array or lines of them are several, each with the
attributes of the event. Sources: CloudEvents 1.0.2, "JSON Event Format" and "HTTP Protocol Binding".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from twinwright.telemetry.contract_spec import FieldKind
from twinwright.telemetry.decode import Column, Decoded, Decoder, Undecodable, empty
from twinwright.telemetry.decode_json import JsonDecoder, read_with_nan
from twinwright.telemetry.decode_nested import NestedDecoder
from twinwright.telemetry.decode_text import from_text
from twinwright.telemetry.fields import is_flat
from twinwright.telemetry.formats import DATA, EVENT_CAPTURE
from twinwright.telemetry.payloads import Payload

_NOTHING = b"{}"
_TEXT = Annotated[str, msgspec.Meta(min_length=1)]
_REQUIRED: Mapping[str, Any] = {"specversion": Literal["1.0"], "id": _TEXT, "source": _TEXT, "type": _TEXT}


@dataclass(frozen=True, slots=True)
class _Event:
    """An event: its attributes by their place among those wanted, its data, and its JSON (None: they came apart)."""

    payload: int
    attributes: tuple[str | int | bool | None, ...]
    data: bytes
    element: bytes | None


class CloudEventsDecoder:
    """Decodes the `fields` of a contract: attributes by name, fields of the data as `data.name`, or by the path `data.motor.speed`.

    An event that lacks one of `specversion id source type`, or has another version, is undecodable. Attributes may be written as
    text whatever their type is: in binary mode they always are.
    """

    def __init__(self, fields: Mapping[str, FieldKind]) -> None:
        self._fields = fields
        self._names = [name for name in fields if not name.startswith(DATA)]
        data = {name.removeprefix(DATA): kind for name, kind in fields.items() if name.startswith(DATA)}
        self._documents = JsonDecoder(data)
        self._data: Decoder = self._documents if all(map(is_flat, data)) else NestedDecoder(data, ())
        types: dict[str, Any] = dict.fromkeys(self._names, str | int | bool | None)
        types |= {**_REQUIRED, "data": msgspec.Raw, "data_base64": bytes | None}
        members: list[Any] = [(f"a{at}", kind, *_default(name)) for at, (name, kind) in enumerate(types.items())]
        rename = {f"a{at}": name for at, name in enumerate(types)}
        self._member = {name: member for member, name in rename.items()}
        self._type = msgspec.defstruct("Event", members, rename=rename, kw_only=True, gc=False)
        self._decoder = msgspec.json.Decoder(self._type)

    def decode(self, payloads: Sequence[Payload]) -> Decoded:
        events, undecodable = self._events(payloads)
        if not events:
            return empty(self._fields, undecodable)
        data = self._data.decode([Payload(event.data) for event in events])
        parts = np.bincount(data.owner, minlength=len(events))
        for bad in data.undecodable:
            parts[bad.payload] += 1

        def raw(at: int, part: bytes) -> bytes:
            event = events[at]
            if event.element is None:
                return part if parts[at] > 1 else event.data
            return _with_data(event.element, part) if parts[at] > 1 else event.element

        for bad in data.undecodable:
            undecodable.append(Undecodable(events[bad.payload].payload, raw(bad.payload, bad.raw), f"its data: {bad.detail}", bad.reason))
        for at in np.flatnonzero(parts == 0).tolist():
            undecodable.append(Undecodable(events[at].payload, raw(at, b""), "its data is an empty array"))
        columns = {DATA + name: column for name, column in data.columns.items()}
        for place, name in enumerate(self._names):
            columns[name] = _attribute(name, self._fields[name], [event.attributes[place] for event in events], data.owner)
        owner = np.array([event.payload for event in events], np.int32)[data.owner]
        return Decoded(data.count, columns, owner, lambda row: raw(int(data.owner[row]), data.raw(row)), tuple(undecodable))

    def _events(self, payloads: Sequence[Payload]) -> tuple[list[_Event], list[Undecodable]]:
        beside = [_attributes_beside(payload) for payload in payloads]
        structured = [index for index, attributes in enumerate(beside) if not attributes]
        elements, owners, bad = self._documents.elements([payloads[index] for index in structured])
        undecodable = [Undecodable(structured[one.payload], one.raw, one.detail, one.reason) for one in bad]
        found: list[_Event] = []
        for element, owner in zip(elements, owners, strict=True):
            try:
                found.append(self._read(structured[owner], element))
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError) as error:
                undecodable.append(Undecodable(structured[owner], element, f"not a CloudEvent: {error}"))
        for index, attributes in enumerate(beside):
            if attributes:
                try:
                    event = msgspec.convert(attributes, self._type)
                except msgspec.ValidationError as error:
                    undecodable.append(Undecodable(index, payloads[index].body, f"not a CloudEvent: {error}"))
                    continue
                body = payloads[index].body
                found.append(_Event(index, self._attributes(event), body if body.strip() else _NOTHING, None))
        found.sort(key=lambda event: event.payload)  # stable: in the order of the payloads, and of the events in each
        return found, undecodable

    def _read(self, payload: int, element: bytes) -> _Event:
        str(element, "utf-8")  # raises; the reader looks only at members that it knows
        try:
            event = self._decoder.decode(element)
            data = bytes(getattr(event, self._member["data"]))
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            document, _ = read_with_nan(element)  # such values are bad; the event is not lost for them
            if not isinstance(document, dict):
                raise
            data = json.dumps(document.pop("data", {})).encode()
            event = self._decoder.decode(json.dumps(document))
        packed = getattr(event, self._member["data_base64"])
        if data == b"null":
            data = _NOTHING
        if packed is not None and data != _NOTHING:
            raise ValueError("it has both data and data_base64")
        return _Event(payload, self._attributes(event), data if packed is None else packed, element)

    def _attributes(self, event: Any) -> tuple[str | int | bool | None, ...]:
        return tuple(getattr(event, self._member[name]) for name in self._names)


def _default(name: str) -> tuple[Any, ...]:
    return () if name in _REQUIRED else (msgspec.Raw(_NOTHING),) if name == "data" else (None,)


def _attributes_beside(payload: Payload) -> dict[str, str]:
    """The attributes of an event in binary mode; none for one in structured mode."""
    captures = payload.captures
    if EVENT_CAPTURE + "specversion" not in captures:
        return {}
    return {name.removeprefix(EVENT_CAPTURE): value for name, value in captures.items() if name.startswith(EVENT_CAPTURE)}


def _attribute(name: str, kind: FieldKind, values: Sequence[str | int | bool | None], owner: NDArray[np.int32]) -> Column:
    written = [str(value).lower() if isinstance(value, bool) else None if value is None else str(value) for value in values]
    return from_text(pl.Series(name, written, dtype=pl.String).gather(owner), kind)


def _with_data(element: bytes, part: bytes) -> bytes:
    """The event with a part of its data only."""
    document = _members(element)
    document.pop("data", None)
    document.pop("data_base64", None)
    is_json = part.strip() != b"null" and (_is_json(part) or read_with_nan(part)[0] is not None)  # null would be no data
    name, value = ("data", part) if is_json else ("data_base64", b'"' + base64.b64encode(part) + b'"')
    return msgspec.json.encode(document | {name: msgspec.Raw(value)})


def _members(element: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(element, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:  # there is a NaN in it
        document, _ = read_with_nan(element)
        return {name: msgspec.Raw(json.dumps(value, ensure_ascii=False).encode()) for name, value in document.items()}


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return True
