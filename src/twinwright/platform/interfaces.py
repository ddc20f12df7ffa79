"""DTDL interfaces of clients, beside those of the folder: kept as records, checked together with all that is there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from twinwright import schema
from twinwright.clock import to_iso
from twinwright.errors import (
    JsonPatchError,
    LimitExceededError,
    ModelAlreadyExistsError,
    ModelNotFoundError,
    ModelReferencesNotDecommissionedError,
    ModelReferencesNotDeletedError,
    OperationNotAllowedError,
    SchemaError,
    UsageError,
)
from twinwright.governance.principals import Principal
from twinwright.platform.applied import INTERFACE, Applied, documents_of
from twinwright.platform.session import Session
from twinwright.schema import Component, Ontology
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.json_patch import parse_patch

MOST_ADDED: Final = 10_000  # interfaces of one request
MOST_DEPENDENCIES: Final = 1_000


def listed(applied: Applied, dependencies_for: Sequence[str]) -> list[dict[str, Any]]:
    """By id. Raises ModelNotFoundError, LimitExceededError."""
    if len(dependencies_for) > MOST_DEPENDENCIES:
        raise LimitExceededError(f"{len(dependencies_for)} models", where="dependenciesFor", remedy=f"Ask for at most {MOST_DEPENDENCIES}")
    documents = _documents(applied)
    if not dependencies_for:
        return [_described(applied, dtmi, documents[dtmi]) for dtmi in sorted(documents)]
    for dtmi in dependencies_for:
        _require(applied, dtmi, documents)
    wanted = needed(applied.ontology, dependencies_for)
    return [_described(applied, dtmi, documents[dtmi]) for dtmi in sorted(wanted) if dtmi in documents]


def one(applied: Applied, dtmi: str) -> dict[str, Any]:
    """Raises ModelNotFoundError."""
    documents = _documents(applied)
    _require(applied, dtmi, documents)
    return _described(applied, dtmi, documents[dtmi])


def _documents(applied: Applied) -> dict[str, Mapping[str, Any]]:
    """The interfaces that are there, as they were written; those inside others are not by themselves."""
    found: dict[str, Mapping[str, Any]] = {}
    for text in applied.schema_texts.values():
        parsed = json.loads(text)
        found |= {str(document.get("@id")): document for document in (parsed if isinstance(parsed, list) else [parsed])}
    return found | {dtmi: record.body["model"] for dtmi, record in applied.added.items() if record.body["model"] is not None}


def _require(applied: Applied, dtmi: str, documents: Mapping[str, Any]) -> None:
    if dtmi not in documents:
        from difflib import get_close_matches

        near = get_close_matches(dtmi, list(documents), 1)
        remedy = f"Did you mean '{near[0]}'?" if near else f"{len(applied.ontology.interfaces)} are there: GET /models"
        raise ModelNotFoundError(f"there is no model '{dtmi[:200]}'", remedy=remedy)


def _described(applied: Applied, dtmi: str, document: Mapping[str, Any]) -> dict[str, Any]:
    record = applied.added.get(dtmi)
    at = record.body["uploaded"] if record is not None and record.body["uploaded"] is not None else applied.at
    texts = {name: document.get(name) for name in ("displayName", "description")}
    shown: dict[str, Any] = {
        name: {"en": text} if isinstance(text, str) else text if isinstance(text, dict) else {} for name, text in texts.items()
    }
    decommissioned = record is not None and bool(record.body["decommissioned"])
    return {"id": dtmi, **shown, "uploadTime": to_iso(at), "decommissioned": decommissioned, "model": dict(document)}


def needed(ontology: Ontology, interfaces: Iterable[str]) -> set[str]:
    """Interfaces, and all that they extend and contain."""
    found, waiting = set[str](), list(interfaces)
    while waiting:
        name = waiting.pop()
        if name not in found and name in ontology.interfaces:
            found.add(name)
            waiting += _needed(ontology, name)
    return found


def _needed(ontology: Ontology, dtmi: str) -> Iterator[str]:
    interface = ontology.interface(dtmi)
    yield from interface.extends
    yield from (item.schema for item in interface.contents.values() if isinstance(item, Component))


# --- changing ----------------------------------------------------------------------------------------------------------


def add(session: Session, principal: Principal, documents: Any) -> list[dict[str, Any]]:
    """Raises UsageError, SchemaError, ModelAlreadyExistsError."""
    documents = documents if isinstance(documents, list) else [documents]
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise UsageError("the body holds no models", where="$", remedy="Send a list of DTDL interfaces")
    if len(documents) > MOST_ADDED:
        raise LimitExceededError(f"{len(documents)} models", where="$", remedy=f"Send at most {MOST_ADDED} at a time")
    ids = [str(document.get("@id")) for document in documents]
    while True:
        applied = session.served.applied
        taken = [dtmi for dtmi in ids if dtmi in applied.ontology.interfaces]
        if taken:
            raise ModelAlreadyExistsError(f"there is a model '{taken[0]}' already", remedy="Give a changed model a new version")
        named = [(f"[{index}]", document) for index, document in enumerate(documents)]
        schema.load([*documents_of(applied.schema_texts, applied.added), *named])
        if _put(session, principal, applied, ids, documents):
            break
    return [one(session.served.applied, dtmi) for dtmi in ids]


def _put(session: Session, principal: Principal, applied: Applied, ids: Sequence[str], documents: Sequence[Any]) -> bool:
    """Whether what they were checked against was still there."""

    def write(draft: Draft) -> bool:
        if session.served.applied is not applied:
            return False
        for dtmi, document in zip(ids, documents, strict=True):
            body = {"model": document, "uploaded": draft.now, "decommissioned": False, "removed": False}
            draft.put_record(INTERFACE, dtmi, body)
        return True

    return bool(served(session, principal, write)[0])


def served(session: Session, principal: Principal, write: Any) -> tuple[Any, int]:
    """What a write gave, and its commit; with what it changed served before anybody else changes interfaces."""
    with session.changing:
        done = session.graph.submit(principal, write)
        session.serve_again()
    return done.value, done.token


def decommission(session: Session, principal: Principal, dtmi: str, patch: Any) -> int:
    """Raises ModelNotFoundError, JsonPatchError, ModelReferencesNotDecommissionedError."""
    operations = parse_patch(patch)
    if not operations or any(operation.path != ("decommissioned",) or operation.op not in ("replace", "add") for operation in operations):
        raise JsonPatchError(
            "only `/decommissioned` of a model can be replaced", remedy='[{"op": "replace", "path": "/decommissioned", ...}]'
        )
    wanted = operations[-1].value
    if not isinstance(wanted, bool):
        raise JsonPatchError("`/decommissioned` is true or false", where="$[0].value", remedy="Send true")

    def write(draft: Draft) -> None:
        applied = session.served.applied
        _require(applied, dtmi, _documents(applied))
        using = sorted(set(users(applied.ontology, dtmi)) - applied.decommissioned)
        if wanted and using:
            raise ModelReferencesNotDecommissionedError(f"'{using[0]}' refers to '{dtmi}'", remedy="Decommission that one first")
        record = applied.added.get(dtmi)
        body = record.body if record is not None else {"model": None, "uploaded": None, "removed": False}
        draft.put_record(INTERFACE, dtmi, {**body, "decommissioned": wanted})

    return served(session, principal, write)[1]


def delete(session: Session, principal: Principal, dtmi: str) -> int:
    """Raises ModelNotFoundError, ModelReferencesNotDeletedError, OperationNotAllowedError (it is the folder's)."""

    def write(draft: Draft) -> None:
        applied = session.served.applied
        _require(applied, dtmi, _documents(applied))
        if dtmi in applied.folder_interfaces:
            raise OperationNotAllowedError(
                f"'{dtmi}' is kept in the workspace's folder", remedy="Leave it in peace: only `apply` changes it"
            )
        _refuse_where_needed(draft, applied, dtmi)
        draft.put_record(INTERFACE, dtmi, {**applied.added[dtmi].body, "removed": True})

    return served(session, principal, write)[1]


def _refuse_where_needed(draft: Draft, applied: Applied, dtmi: str) -> None:
    using = sorted(users(applied.ontology, dtmi))
    if using:
        raise ModelReferencesNotDeletedError(f"'{using[0]}' refers to '{dtmi}'", remedy="Delete that one first")
    twin = draft.interfaces().get(dtmi)
    if twin is not None:
        raise ModelReferencesNotDeletedError(f"the twin '{twin}' is of '{dtmi}'", remedy="Delete its twins, or change their model")
    others = {name: record for name, record in applied.added.items() if name != dtmi}
    try:
        schema.load(documents_of(applied.schema_texts, others))
    except SchemaError as error:
        raise ModelReferencesNotDeletedError(f"others refer to '{dtmi}': {error.problems[0]}", remedy="Delete those first") from None


def users(ontology: Ontology, dtmi: str) -> Iterator[str]:
    """Interfaces that extend one, or have it as a component."""
    return (name for name in ontology.interfaces if name != dtmi and dtmi in _needed(ontology, name))
