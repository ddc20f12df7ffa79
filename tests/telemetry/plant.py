"""A small plant as `up` would build it: one store, its state cache and the pipeline, closed and opened again at will."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twinwright.clock import ManualClock, from_iso
from twinwright.documents import Problems, parse_text
from twinwright.governance.principals import SYSTEM
from twinwright.observability.metrics import Metrics
from twinwright.schema import PathInfo, Primitive
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.layout import Lifetime, Selection
from twinwright.storage.protocol import Store
from twinwright.telemetry.contract import Contract, compile_contract
from twinwright.telemetry.contract_spec import parse_contract
from twinwright.telemetry.payloads import Delivery, Payload, Position, Receipt
from twinwright.telemetry.pipeline import Pipeline
from twinwright.telemetry.replay import Reprocessing
from twinwright.twins.registry import TwinRegistry
from twinwright.twins.state import StateCache

NOW = from_iso("2026-03-01T08:00:00Z")
INTERFACE = "dtmi:example:Pump;1"
PATHS: Mapping[str, PathInfo] = {
    name: PathInfo(name, "property", Primitive(schema), unit, None, False)
    for name, schema, unit in (
        ("pressure", "double", "kPa"),
        ("flow", "double", "l/min"),
        ("motor/speed", "double", "rpm"),
        ("starts", "long", None),
        ("running", "boolean", None),
        ("mode", "string", None),
    )
}
OBSERVATIONS: Sequence[Mapping[str, Any]] = (
    {"path": "pressure", "field": "p", "unit": "kPa"},
    {"path": "flow", "field": "q", "unit": "l/min"},
    {"path": "starts", "field": "n"},
    {"path": "running", "field": "on"},
    {"path": "mode", "field": "m"},
)


def written(name: str = "pump", **changes: Any) -> dict[str, Any]:
    """A contract as written, with some of its fields changed."""
    return {"name": name, "twin": "{id}", "time": {"field": "ts"}, "observations": list(OBSERVATIONS), **changes}


def compiled(document: Mapping[str, Any] | str, paths: Mapping[str, PathInfo] = PATHS) -> tuple[Contract | None, Problems]:
    """What `apply` makes of a contract, and what is wrong with it."""
    problems = Problems()
    read = parse_text(document if isinstance(document, str) else json.dumps(document), "contracts/pump.yaml", problems)
    spec = parse_contract(read, problems) if read is not None else None
    return (compile_contract(spec, paths, read, problems) if spec is not None and read is not None else None), problems


def contract(name: str = "pump", **changes: Any) -> Contract:
    made, problems = compiled(written(name, **changes))
    assert made is not None, problems.items
    return made


class Plant:
    """Everything of one store file; `restart` closes it and builds it anew from what is durable.

    `open_store` is for tests of other engines: of a path and a clock it makes the store that belongs to them.
    """

    open_store: Callable[[Path, ManualClock], Store] = staticmethod(DuckDBStore)

    def __init__(self, path: Path, contracts: Sequence[Contract], twins: Sequence[str | Lifetime] = ("pump-1", "pump-2")) -> None:
        self.path, self.contracts = path, list(contracts)
        self.clock = ManualClock(NOW)
        self.lifetimes = [one if isinstance(one, Lifetime) else Lifetime(i + 1, one, INTERFACE) for i, one in enumerate(twins)]
        self._open()

    def _open(self) -> None:
        self.store = self.open_store(self.path, self.clock)
        self._apply()
        self.state = StateCache(self.store, SYSTEM)
        self.metrics = Metrics.create()
        self.pipeline = Pipeline(self.store, SYSTEM, self.state, self.clock, self.metrics)
        self.pipeline.configure({one.name: one for one in self.contracts}, TwinRegistry(self.lifetimes, {INTERFACE: PATHS}))
        self.reprocessing = Reprocessing(self.store, self.state, self.pipeline)

    def _apply(self) -> None:
        known = self.store.reading_tables(SYSTEM)
        missing = [one for one in self.contracts if not any(one.matches(table) for table in known)]
        if missing:
            with self.store.transaction(SYSTEM, "apply") as transaction:
                for one in missing:
                    transaction.create_reading_table(one.name, one.source, one.revision, one.columns)
                if not known:
                    transaction.declare_twins(self.lifetimes)

    def raise_revision(self, *contracts: Contract) -> None:
        """Apply newer revisions of some contracts, as `apply` does while the platform runs."""
        fresh = {one.name: one for one in contracts}
        self.contracts = [fresh.get(one.name, one) for one in self.contracts]
        self._apply()
        self.pipeline.configure({one.name: one for one in self.contracts}, self.pipeline.registry)

    def close(self) -> None:
        self.pipeline.close()
        self.store.close()

    def restart(self, *, materialise: bool = False) -> None:
        if materialise:
            self.state.materialise()
        self.close()
        self._open()

    def send(
        self, *bodies: bytes | dict[str, Any], to: str = "pump", captures: Mapping[str, str] | None = None, position: Position | None = None
    ) -> Receipt:
        """Each body is a payload of one delivery."""
        encoded = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
        return self.pipeline.submit(Delivery(to, tuple(Payload(body, captures or {}) for body in encoded), (position,) if position else ()))

    def history(self, **selection: Any) -> list[dict[str, Any]]:
        return list(self.store.history(SYSTEM, Selection(**selection)).to_pylist())

    def latest(self, **selection: Any) -> list[dict[str, Any]]:
        return list(self.store.latest(SYSTEM, Selection(**selection)).to_pylist())

    def cells(self) -> list[dict[str, Any]]:
        """The cell cache as rows: of each (contract, twin, path) the winner."""
        return [{"contract": name, **row} for name, table in self.state.tables() for row in table.to_pylist()]
