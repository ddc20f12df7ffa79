"""Messages of the .proto to requests of REST, and its answers to messages, by the descriptors: nothing is written twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

import msgspec
from google.api import annotations_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from twinwright.api.rpc import v1_pb2
from twinwright.api.rpc.bridge import Asked
from twinwright.api.slashes import have_ids
from twinwright.errors import UsageError

SERVICE: Final = v1_pb2.DESCRIPTOR.services_by_name["Twinwright"]
_PLACE: Final = re.compile(r"\{(\w+)(=\*\*)?\}")
_CAMEL: Final = frozenset({"continuation_token"})  # as the data plane has it
_HEADERS: Final = {"idempotency_key": "idempotency-key", "max_items": "max-items-per-page"}
_IN_QUERY: Final = frozenset({"after", "fresh", "interface", "precision", "priority"})  # also where the rest is the body


@dataclass(frozen=True)
class Rpc:
    """One rpc of the service and the resource of REST that answers it."""

    method: MethodDescriptor

    @property
    def name(self) -> str:
        return str(self.method.name)

    @cached_property
    def verb(self) -> str:
        return str(self._rule.WhichOneof("pattern")).upper()

    @cached_property
    def template(self) -> str:
        """The path of the resource; `{path=**}` spans slashes."""
        return str(getattr(self._rule, self.verb.lower()))

    @property
    def _rule(self) -> Any:
        return self.method.GetOptions().Extensions[annotations_pb2.http]

    @cached_property
    def request(self) -> Any:
        return message_factory.GetMessageClass(self.method.input_type)

    @cached_property
    def response(self) -> Any:
        return message_factory.GetMessageClass(self.method.output_type)

    def asked(self, request: Any, accept: str = "application/json") -> Asked:
        """The request of REST. Raises UsageError for a message that is none."""
        given = {field.name: getattr(request, field.name) for field in self.method.input_type.fields if _is_given(request, field)}
        places = [name for name, _ in _PLACE.findall(self.template)]
        ids = have_ids(self.template)
        path = _PLACE.sub(lambda place: _part(place[1], str(given.get(place[1], "")), spans=bool(place[2]), id=ids), self.template)
        headers = {"accept": accept, **{_HEADERS[name]: str(value) for name, value in given.items() if name in _HEADERS}}
        rest = {name: value for name, value in given.items() if name not in places and name not in _HEADERS}
        if self._rule.body == "payload":
            headers |= dict(_event_headers(request.attributes)) or {"content-type": "application/octet-stream"}
            query = {name: value for name, value in rest.items() if name in _IN_QUERY}
            return Asked(self.verb, path, _texts(query), headers, request.payload)
        if self._rule.body:
            query = {name: value for name, value in rest.items() if name in _IN_QUERY}
            make = _DOCUMENTS.get(self.name)
            document = _document(request, rest.keys() - _IN_QUERY) if make is None else make(request)
            return Asked(self.verb, path, _texts(query), headers | {"content-type": "application/json"}, msgspec.json.encode(document))
        names = {field.name: rest_name(field) for field in self.method.input_type.fields}
        return Asked(self.verb, path, _texts({names[name]: value for name, value in rest.items()}), headers)


RPCS: Final[Mapping[str, Rpc]] = {method.name: Rpc(method) for method in SERVICE.methods}


def rest_name(field: FieldDescriptor) -> str:
    """What REST calls a field: its own name, or the one that the .proto gives beside it."""
    usual = re.sub(r"_(\w)", lambda found: found[1].upper(), field.name)
    return str(field.name if field.json_name == usual and field.name not in _CAMEL else field.json_name)


def message_of(kind: Any, answer: Mapping[str, Any]) -> Any:
    """An answer of REST as a message; a member that is null is left out."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.name == "json":
            typed = {rest_name(other) for other in kind.DESCRIPTOR.fields if _is_map(other) and _entry(other).message_type}
            message.json = _json({name: value for name, value in answer.items() if name not in typed})
            continue
        name = next((one for one in (field.json_name, field.name, field.name.removesuffix("_json")) if one in answer), None)
        value = None if name is None else answer[name]
        if value is not None:
            _fill(message, field, value)
    return message


def _fill(message: Any, field: FieldDescriptor, value: Any) -> None:
    if field.name.endswith("_json"):
        if field.is_repeated:
            getattr(message, field.name).extend(_json(one) for one in value)
        else:
            setattr(message, field.name, _json(value))
    elif _is_map(field):
        held = getattr(message, field.name)
        for name, one in value.items():
            if _entry(field).message_type:
                held[name].CopyFrom(message_of(message_factory.GetMessageClass(_entry(field).message_type), one))
            else:
                held[name] = one
    elif field.message_type:
        kind = message_factory.GetMessageClass(field.message_type)
        if field.is_repeated:
            getattr(message, field.name).extend(message_of(kind, one) for one in value)
        else:
            getattr(message, field.name).CopyFrom(message_of(kind, value))
    elif field.is_repeated:
        getattr(message, field.name).extend(float("nan") if one is None else one for one in value)
    else:
        setattr(message, field.name, value)


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _entry(field: FieldDescriptor) -> FieldDescriptor:
    return field.message_type.fields_by_name["value"]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _is_given(request: Any, field: FieldDescriptor) -> bool:
    return bool(request.HasField(field.name) if field.has_presence else getattr(request, field.name))


def _part(name: str, value: str, *, spans: bool, id: bool) -> str:
    if not value:
        raise UsageError(f"`{name}` is missing", where=name, remedy="Give it")
    if "/" in value and not spans and not id:  # it would be another resource
        raise UsageError("there is a '/' in it", where=name, remedy="Give an id or a name")
    return quote(value, safe="/" if spans else "")


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}


def _document(request: Any, names: set[str]) -> dict[str, Any]:
    """The fields of a message that are given, as REST calls them."""
    fields = (field for field in request.DESCRIPTOR.fields if field.name in names)
    return {rest_name(field): _plain(getattr(request, field.name)) for field in fields}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, bool, int, float)) else list(value)


def _event_headers(attributes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in attributes.items():
        if not re.fullmatch(r"[a-z0-9]{1,64}", name):
            raise UsageError(
                f"'{name[:64]}' names no attribute of an event", where="attributes", remedy="Use lower-case letters and digits"
            )
        yield ("content-type", value) if name == "datacontenttype" else (f"ce-{name}", quote(value, safe=" /:,;+()[]{}@=?&"))


def _raw(text: str) -> Any:
    """JSON as it was given: REST says what is wrong with it."""
    return msgspec.Raw(text.encode() or b"null")


def _given(request: Any, *names: str) -> dict[str, Any]:
    """The fields that are given, those of JSON as they are."""
    found: dict[str, Any] = {}
    for field in request.DESCRIPTOR.fields:
        if field.name in names and _is_given(request, field):
            value, name = getattr(request, field.name), field.name.removesuffix("_json")
            raw = name != field.name
            found[name] = [_raw(one) for one in value] if raw and field.is_repeated else _raw(value) if raw else _plain(value)
    return found


def _update(request: Any) -> Any:
    return _given(request, "query", "set_json", "remove", "patch_json", "delete", "with_relationships", "dry_run")


def _import(request: Any) -> Any:
    return _given(request, "query", "template_json", "rows_json", "on", "dry_run")


def _scenario(request: Any) -> Any:
    if request.WhichOneof("what") != "scenario_json":
        return {"scenario": request.scenario}
    return _raw(request.scenario_json)


_DOCUMENTS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "Query": lambda asked: {"query": asked.query or None, "continuationToken": asked.continuation_token or None},
    "RetryDeadLetters": lambda asked: {
        "ids": None if asked.all else list(asked.ids),
        "contract": asked.contract or None,
        "dry_run": asked.dry_run,
    },
    "RetryWebhookLetters": lambda asked: {"ids": None if asked.all else list(asked.ids)},
    "Simulate": _scenario,
    "SubmitRun": _scenario,
    "UpdateTwins": _update,
    "ImportByQuery": _import,
}
