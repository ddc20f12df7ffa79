"""The values that a run's parameters take: declared, given, of a parameter set, or drawn from what was calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from twinwright import units
from twinwright.errors import NotFoundError, UsageError
from twinwright.governance.principals import Principal
from twinwright.simulation.definition import ModelDefinition, Parameter
from twinwright.simulation.protocol import Floats
from twinwright.simulation.scenario import Quantity
from twinwright.storage.records import RecordStore

_MAX_DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """A stored version of a model's parameters: value and unit by name, and the covariance of those in `order`."""

    id: str
    model_version: str
    values: Mapping[str, Quantity]
    order: tuple[str, ...]
    covariance: Floats | None


class ParameterLookup(Protocol):
    """Finds a parameter set: the promoted one of a model (None where there is none) or one by id. Raises NotFoundError."""

    def __call__(self, principal: Principal, model: str, reference: str) -> ParameterSet | None: ...


def stored_parameters(records: RecordStore) -> ParameterLookup:
    """Look parameter sets up in the store's records `parameter-set` and `promotion`."""

    def look_up(principal: Principal, model: str, reference: str) -> ParameterSet | None:
        if reference == "promoted":
            promotions = [one for one in records.records(principal, "promotion") if one.id == model]
            if not promotions:
                return None
            reference = promotions[0].body["parameter_set"]
        body = records.get_record(principal, "parameter-set", reference).body
        if body["model"] != model:
            raise NotFoundError(f"parameter set {reference} is of the model '{body['model']}'", remedy=f"Name a parameter set of '{model}'")
        return _from_body(body)

    return look_up


def _from_body(body: Mapping[str, Any]) -> ParameterSet:
    covariance = body.get("covariance")
    return ParameterSet(
        id=body["id"],
        model_version=str(body["model_version"]),
        values={name: Quantity(float(one["value"]), one.get("unit")) for name, one in body["parameters"].items()},
        order=tuple(body.get("order") or ()),
        covariance=None if covariance is None else np.array(covariance, np.float64),
    )


def declared_parameter(definition: ModelDefinition, name: str) -> Parameter:
    """Raises UsageError for a name that the definition does not declare."""
    own = definition.parameter(name)
    if own is None:
        known = ", ".join(definition.defaults()) or "none"
        raise UsageError(f"{definition.name} has no parameter '{name}'", where=definition.file, remedy=f"It has: {known}")
    return own


def in_own_units(definition: ModelDefinition, values: Mapping[str, Quantity]) -> dict[str, float]:
    """Values by name in the definition's units. Raises UsageError for names it does not declare, UnitError."""
    converted: dict[str, float] = {}
    for name, quantity in values.items():
        own = declared_parameter(definition, name)
        converted[name] = quantity.value if quantity.unit is None else float(units.convert(quantity.value, quantity.unit, own.unit))
    return converted


def member_seed(seed: int, index: int) -> int:
    """The seed of one ensemble member: of its index and the ensemble's seed, whatever the ensemble's size."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def draw(definition: ModelDefinition, found: ParameterSet | None, seed: int) -> dict[str, float]:
    """Parameters from the normal distribution of a calibration, within the bounds (by rejection). Raises UsageError."""
    if found is None or found.covariance is None or not found.order:
        raise UsageError(
            f"an ensemble draws from a calibrated distribution, and the parameters of {definition.name} have none",
            where=found.id if found else definition.file,
            remedy=f"Calibrate and promote first: `twinwright calibrate {definition.name} ...`, or leave `ensemble` out",
        )
    center = np.array([found.values[name].value for name in found.order])
    generator = np.random.Generator(np.random.Philox(seed))
    factor = _square_root(found.covariance)
    for _ in range(_MAX_DRAWS):
        drawn = center + factor @ generator.standard_normal(center.size)
        quantities = {name: Quantity(float(value), found.values[name].unit) for name, value in zip(found.order, drawn, strict=True)}
        values = in_own_units(definition, quantities)
        if all(_within(definition, name, value) for name, value in values.items()):
            return values
    raise UsageError(
        f"none of {_MAX_DRAWS} draws lies within the bounds of the parameters",
        where=found.id,
        remedy="Widen the bounds in the model, or calibrate on more data",
    )


def _square_root(covariance: Floats) -> Floats:
    """A matrix whose product with its transpose is the covariance, which may be singular."""
    eigenvalues, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return np.asarray(vectors * np.sqrt(np.clip(eigenvalues, 0.0, None)), np.float64)


def _within(definition: ModelDefinition, name: str, value: float) -> bool:
    parameter = definition.parameter(name)
    low, high = (parameter.bounds if parameter else None) or (None, None)
    return (low is None or value >= low) and (high is None or value <= high)
