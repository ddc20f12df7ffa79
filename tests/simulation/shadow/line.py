"""A small plant with a model that follows it, which can be stopped short at any transaction and started anew."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from tests.telemetry.plant import INTERFACE, NOW, Plant, contract

from twinwright import schema
from twinwright.clock import SECOND, to_iso
from twinwright.documents import Problems, parse_text
from twinwright.governance.principals import SYSTEM
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.model_document import parse_model
from twinwright.simulation.shadow import switch
from twinwright.simulation.shadow.consumer import Bound, ShadowConsumer
from twinwright.simulation.shadow.definition import Shadow, compile_shadows

STEP = 10  # seconds
BEGIN = NOW - 3_600 * SECOND
PRESSURE = {"@type": ["Property", "Pressure"], "schema": "double", "unit": "kilopascal"}
DTDL = {
    "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
    "@id": INTERFACE,
    "@type": "Interface",
    "contents": [
        {**PRESSURE, "name": "pressure"},
        {**PRESSURE, "name": "error"},
        {"@type": ["Property", "VolumeFlowRate"], "schema": "double", "unit": "litrePerSecond", "name": "flow"},
    ],
}
CODE = "def rhs(t, x, u, p):\n    return [(p[1] * u[0] - x[0]) / p[0]]\n"
MODEL = f"""name: lag
version: 1.0.0
kind: ode
artefact: lag.py:rhs
interface: {INTERFACE}
inputs:     {{u: {{property: flow, unit: l/s, hold: HOLD}}}}
states:     {{x: {{start: x0, unit: kPa}}}}
outputs:    {{x: {{property: pressure, unit: kPa}}}}
parameters:
  tau: {{value: 30, unit: s}}
  gain: {{value: 100, unit: kPa*s/l}}
  x0: {{value: 100, unit: kPa, per: run}}
step: PT{STEP}S
"""
SHADOW = {"name": "live", "model": "lag", "interface": INTERFACE, "lateness": "PT2M", "residuals": {"x": "error"}}
Facts = dict[tuple[int, str, int, str], tuple[str, float]]


class Killed(BaseException):
    """Nothing catches this: as if the process were gone."""


def model(folder: Path, hold: str = "zero", **changes: str) -> ModelDefinition:
    """The model as a workspace has it."""
    (folder / "lag.py").write_text(CODE)
    problems = Problems()
    document = parse_text(MODEL.replace("HOLD", hold), "models/lag.yaml", problems)
    assert document is not None
    made = parse_model(document, folder, problems)
    assert made is not None, problems.items
    return made


def compiled(made: ModelDefinition, migrated: frozenset[str] = frozenset(), **changes: Any) -> tuple[dict[str, Shadow], Problems]:
    """A shadow as written, with some of its fields changed, and what is wrong with it. None takes a field out."""
    problems = Problems()
    text = json.dumps({name: value for name, value in {**SHADOW, **changes}.items() if value is not None})
    ontology = schema.load([DTDL])
    return compile_shadows({"shadows/live.yaml": text}, {made.name: made}, ontology, {"pump-1": INTERFACE}, problems, migrated), problems


def body(tick: int, flow: float | None, pressure: float | None = None, twin: str = "pump-1") -> dict[str, Any]:
    """A payload at a time of `tick` halves of a step."""
    said = {"q": flow, "p": pressure}
    return {"id": twin, "ts": to_iso(BEGIN + tick * STEP * SECOND // 2), **{name: one for name, one in said.items() if one is not None}}


class Line:
    """A consumer on a plant; `follow` as a platform does after commits."""

    def __init__(self, folder: Path, hold: str = "zero", **changes: Any) -> None:
        folder.mkdir(exist_ok=True)
        observations = [{"path": "pressure", "field": "p", "unit": "kPa"}, {"path": "flow", "field": "q", "unit": "l/min"}]
        self.plant = Plant(folder / "store.duckdb", [contract(observations=observations)])
        shadows, problems = compiled(model(folder, hold), **changes)
        assert not problems, problems.items
        self.shadow = shadows["live"]
        self.begin()

    def begin(self) -> None:
        """A consumer that knows nothing but what the store does."""
        self.consumer = ShadowConsumer(self.plant.store, SYSTEM, self.plant.clock)
        self.consumer.configure([Bound(self.shadow, (1, 2))], self.plant.store.last_commit(SYSTEM))

    def follow(self) -> None:
        self.consumer.catch_up()
        assert not [one.error for one in self.consumer.status() if one.error]

    def switch(self, *, stop: bool) -> None:
        switch.switch(self.plant.store, SYSTEM, "live", stop=stop)
        assert self.consumer.heed(60.0)

    def follow_until_killed(self, after: int) -> None:
        """The process ends in the middle of the transaction that follows `after` others; the next begins with what is durable."""
        whole, left = self.plant.store.transaction, [after]

        @contextlib.contextmanager
        def transaction(*arguments: Any) -> Any:
            with whole(*arguments) as one:
                yield one
                left[0] -= 1
                if left[0] < 0:
                    raise Killed

        self.plant.store.transaction = transaction
        try:
            with contextlib.suppress(Killed):
                self.consumer.catch_up()
        finally:
            self.plant.store.transaction = whole
        self.begin()

    def facts(self) -> Facts:
        """What is published, `removed` left out."""
        rows = [(lane, row) for lane in ("simulated", "derived") for row in self.plant.history(lane=lane)]
        return {(row["twin"], row["path"], row["time"], row["source"]): (lane, row["num"]) for lane, row in rows if row["kind"] != 2}

    def states(self) -> list[dict[str, Any]]:
        return list(self.plant.store.checkpoints(SYSTEM, "live").to_pylist())

    def close(self) -> None:
        self.plant.close()
