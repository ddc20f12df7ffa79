"""The queueing network of the example: against queueing theory, and what it says of the incident."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twinwright.documents import Problems, load
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.model_document import parse_model
from twinwright.simulation.models.events import EventsModel
from twinwright.simulation.protocol import Floats

SERVICE = Path(__file__).resolve().parents[2] / "examples" / "service"


@pytest.fixture(scope="module")
def shop() -> ModelDefinition:
    problems = Problems()
    document = load(SERVICE / "models" / "shop.yaml", problems)
    definition = parse_model(document, SERVICE / "models", problems) if document else None
    assert definition is not None, problems.items
    return definition


def run(shop: ModelDefinition, rate: float, slowness: Floats, **parameters: float) -> dict[str, Floats]:
    model = EventsModel(shop, SERVICE / "models")
    times = np.arange(slowness.size) * 60.0
    found = model.advance(model.initial(parameters, {}), times, np.column_stack([np.full(times.size, rate), slowness]))
    return {port.name: found.outputs[:, index] for index, port in enumerate(shop.outputs)}


@pytest.mark.parametrize("load", [0.3, 0.6])
def test_one_queue_waits_as_long_as_theory_says(shop: ModelDefinition, load: float) -> None:
    """With workers for all and one connection it is an M/M/1 queue: the mean stay is 1 / (mu - lambda)."""
    found = run(shop, 5 * load, np.ones(301), workers=1000, connections=1, query_time=0.2, shop_time=1e-9, checkout_time=1e-9, patience=1e9)
    stay = float(found["latency"][20:].mean())
    assert stay == pytest.approx(1 / (5 - 5 * load), rel=0.1)
    inside = float(found["inside"][20:].mean())
    assert inside == pytest.approx(5 * load * stay, rel=0.15, abs=0.12)  # Little's law
    assert not found["lost"].any()


def test_what_comes_is_served_lost_or_inside(shop: ModelDefinition) -> None:
    overloaded = run(shop, 20.0, np.ones(31), workers=2)
    served = 2 / (0.12 + 0.18)  # a worker is held through checkout and query
    assert float(overloaded["lost"][5:].mean()) == pytest.approx(1 - served / 20.0, abs=0.05)
    assert overloaded["inside"].max() < 20 * (5 + 1) * 1.5  # who has lost patience is gone


def test_the_incident_is_seen_and_gets_over(shop: ModelDefinition) -> None:
    slowness = np.ones(41)
    slowness[10:20] = 5.0
    found = run(shop, 7.0, slowness)
    assert found["latency"][1:10].max() < 0.5
    assert found["latency"][13:20].min() > 2.0
    assert found["lost"][13:20].min() > 0.15
    assert found["latency"][25:].max() < 0.5
    assert not found["lost"][25:].any()
