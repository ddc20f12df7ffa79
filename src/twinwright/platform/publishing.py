"""The outputs of a run on its twin's `simulated` lane: one record for each sample, under a source that names the model and the run."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from twinwright.governance.principals import Principal
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import Floats
from twinwright.storage.layout import Counts
from twinwright.storage.protocol import GOOD, VALUE_SCHEMA, Store
from twinwright.twins.registry import TwinRegistry

KIND = "simulated"
_MOST_ROWS = 200_000


class LanePublisher:
    """Writes what a run gave, in the model's units; readers convert. Called where a scenario says `publish: true`."""

    def __init__(self, store: Store, registry: TwinRegistry) -> None:
        self.store, self.registry = store, registry

    def __call__(self, principal: Principal, record: dict[str, Any], definition: ModelDefinition, grid: Any, outputs: Floats) -> None:
        """Raises NotFoundError for a twin that is gone, StoreError."""
        twin = self.registry.current(record["twin"]).number
        source = f"{record['model']}@{record['model_version']}/{record['id']}"
        bound = [(index, port) for index, port in enumerate(definition.outputs) if port.property is not None]
        span = max(1, _MOST_ROWS // max(len(bound), 1))
        for at in range(0, grid.size if bound else 0, span):
            with self.store.transaction(principal, KIND) as transaction:
                parts = [
                    _rows(
                        twin,
                        str(port.property),
                        port.unit,
                        source,
                        transaction.commit,
                        grid[at : at + span],
                        outputs[at : at + span, index],
                    )
                    for index, port in bound
                ]
                transaction.append_values(pa.concat_tables(parts))
                transaction.count(Counts(), source=source, detail=f"{sum(len(part) for part in parts)} simulated")


def _rows(twin: int, path: str, unit: str | None, source: str, commit: int, times: Any, values: Floats) -> pa.Table:
    count = len(values)
    columns: dict[str, Any] = {
        "twin": pa.repeat(pa.scalar(twin, pa.int32()), count),
        "path": pa.repeat(path, count),
        "time": pa.array(times, pa.int64()),
        "source": pa.repeat(source, count),
        "correction": pa.repeat(pa.scalar(commit, pa.int64()), count),
        "revision": pa.repeat(pa.scalar(0, pa.int32()), count),
        "kind": pa.repeat(pa.scalar(GOOD, pa.int8()), count),
        "type": pa.repeat("DOUBLE", count),
        "num": pa.array(values, pa.float64()),
        "int": pa.nulls(count, pa.int64()),
        "txt": pa.nulls(count, pa.string()),
        "unit": pa.nulls(count, pa.string()) if unit is None else pa.repeat(unit, count),
        "lane": pa.repeat("simulated", count),
    }
    return pa.table([columns[name] for name in VALUE_SCHEMA.names], schema=VALUE_SCHEMA)
