"""Parameter sets and looks: what was learned, from which data, and how often data that judge were looked at. Append-only.

A parameter set is an immutable version of a model's parameters. Its id is the SHA-256 of its content, so it can't change without
becoming another one; its `parent` is the set whose values the fit started from, and the chain of parents is its *lineage*.

A *look* is one quotation of errors on one window that the fit did not see. Whoever has looked at a window can choose by it, so a window
judges honestly only once: a look is `first` where no earlier look at the same model and twin overlaps it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from twinwright.calibration.dataset import Window
from twinwright.calibration.metrics import Metrics, from_json
from twinwright.clock import from_iso
from twinwright.errors import NotFoundError, StoreError
from twinwright.governance.principals import Principal
from twinwright.storage.records import RecordStore

PARAMETER_SET = "parameter-set"
HOLDOUT_LOOK = "holdout-look"
VALIDATION = "validation"
PROMOTION = "promotion"
_MAX_LINEAGE = 10_000


@dataclass(frozen=True, slots=True)
class Look:
    """One look: what it showed of `parameter_set` (None: the declared values), by output, and whether it was the first one."""

    model: str
    twin: str
    window: Window
    parameter_set: str | None
    metrics: Mapping[str, Metrics]
    baseline: str
    first: bool


def content_id(body: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a JSON document in sorted-key form."""
    return hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()


def window_of(body: Mapping[str, Any]) -> Window:
    """A window as `Window.as_json` wrote it."""
    return Window(from_iso(body["from"]), from_iso(body["to"]))


class ParameterSets:
    """The parameter sets, looks and promotions of a store."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records

    def save(self, principal: Principal, body: Mapping[str, Any]) -> dict[str, Any]:
        """Store a new set; returns its body with its `id`. Raises ForbiddenError, StoreError."""
        return self._put(principal, PARAMETER_SET, body)

    def save_validation(self, principal: Principal, body: Mapping[str, Any]) -> dict[str, Any]:
        """Store what a validation found; returns its body with its `id`. Raises ForbiddenError, StoreError."""
        return self._put(principal, VALIDATION, body)

    def get(self, principal: Principal, id: str, *, model: str) -> dict[str, Any]:
        """The body of a set of this model by id or unique prefix. Raises NotFoundError, StoreError (content is not what the id says)."""
        try:
            body = self._records.get_record(principal, PARAMETER_SET, id).body
        except NotFoundError as error:
            known = [one.id[:12] for one in self._records.records(principal, PARAMETER_SET) if one.body.get("model") == model]
            remedy = f"Sets of {model}, newest last: {', '.join(known[-5:])}" if known else f"Make one with `twinwright calibrate {model}`"
            raise NotFoundError(f"no single parameter set '{id}'", where=error.where, remedy=remedy) from None
        if body["model"] != model:
            raise NotFoundError(
                f"the parameter set {body['id'][:12]} belongs to the model {body['model']}", remedy=f"Name a set of {model}"
            )
        if content_id({key: value for key, value in body.items() if key != "id"}) != body["id"]:
            raise StoreError(
                f"the parameter set {body['id'][:12]} is not what its id says",
                remedy="It was changed in the store: restore it, or calibrate",
            )
        return body

    def lineage(self, principal: Principal, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A set and its ancestors, itself first. Raises NotFoundError for a parent that is gone."""
        chain = [dict(body)]
        while (parent := chain[-1]["parent"]) is not None and len(chain) < _MAX_LINEAGE:
            chain.append(self.get(principal, parent, model=body["model"]))
        return chain

    def promoted(self, principal: Principal, model: str) -> dict[str, Any] | None:
        """The body of the set that is promoted for a model, or None."""
        current = [one for one in self._records.records(principal, PROMOTION) if one.id == model]
        return self.get(principal, current[0].body["parameter_set"], model=model) if current else None

    def promote(self, principal: Principal, model: str, body: Mapping[str, Any]) -> int:
        """Make a set the promoted one of its model; older promotions stay readable as versions. Returns the commit number."""
        return self._records.put_record(principal, PROMOTION, model, dict(body))

    def looks(self, principal: Principal, model: str, twin: str, window: Window) -> int:
        """How many looks at this model and twin overlap a window so far."""
        return sum(look.twin == twin and look.window.overlaps(window) for look in self._all_looks(principal, model))

    def looks_of(self, principal: Principal, body: Mapping[str, Any]) -> list[Look]:
        """The looks at one parameter set, oldest first."""
        return [look for look in self._all_looks(principal, body["model"]) if look.parameter_set == body["id"]]

    def record_look(self, principal: Principal, look: Look, at: str) -> None:
        """Count one look. `at` (ISO 8601) makes a repeated look another record."""
        body = {
            "model": look.model,
            "twin": look.twin,
            "window": look.window.as_json(),
            "parameter_set": look.parameter_set,
            "metrics": {name: metrics.as_json() for name, metrics in look.metrics.items()},
            "baseline": look.baseline,
            "first": look.first,
            "at": at,
        }
        self._put(principal, HOLDOUT_LOOK, body)

    def _put(self, principal: Principal, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        complete = {**body, "id": content_id(body)}
        self._records.put_record(principal, kind, complete["id"], complete)
        return complete

    def _all_looks(self, principal: Principal, model: str) -> list[Look]:
        return [_look(one.body) for one in self._records.records(principal, HOLDOUT_LOOK) if one.body["model"] == model]


def _look(body: Mapping[str, Any]) -> Look:
    return Look(
        model=body["model"],
        twin=body["twin"],
        window=window_of(body["window"]),
        parameter_set=body["parameter_set"],
        metrics={name: from_json(metrics) for name, metrics in body["metrics"].items()},
        baseline=body["baseline"],
        first=body["first"],
    )
