"""The state of one twin among many: what a growing fleet costs the reader of one document.

Ours is the time at the larger fleet, the rival the same read at the smaller one; the read is a whole document, with six
observed values and their metadata, from the cell cache through `TwinReads`, of twins chosen at random.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from benchmarks._result import compared
from benchmarks.ingest_vs_decode import FIELDS

from twinwright import schema
from twinwright.clock import SystemClock
from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.layout import Counts, Lifetime, ReadingColumn
from twinwright.twins.reads import TwinReads
from twinwright.twins.registry import TwinRegistry
from twinwright.twins.state import StateCache

INTERFACE = "dtmi:bench:Pump;1"
READS = 300


def fleet(folder: Path, twins: int) -> tuple[DuckDBStore, TwinReads]:
    """A store with one reading of each of the twins, and reads on it."""
    contents = [{"@type": "Property", "name": name, "schema": "double"} for name in FIELDS]
    ontology = schema.load([{"@context": "dtmi:dtdl:context;3", "@id": INTERFACE, "@type": "Interface", "contents": contents}])
    lifetimes = [Lifetime(number + 1, f"pump-{number}", INTERFACE) for number in range(twins)]
    store = DuckDBStore(folder / f"store-{twins}.duckdb")
    now = SystemClock().now()
    with store.transaction(LOCAL_ADMIN, "ingest") as transaction:
        columns = [ReadingColumn(name, "DOUBLE", None) for name in FIELDS]
        table = transaction.create_reading_table("pump", "pump", 1, columns)
        zeros = np.zeros(twins, np.int64)
        commit = np.full(twins, transaction.commit)
        values = {f"v{j}": np.random.default_rng(j).uniform(0, 1_000, twins) for j in range(len(FIELDS))}
        arrays = {"commit": commit, "origin": commit, "twin": np.arange(1, twins + 1, dtype=np.int32), "time": zeros + now}
        transaction.append_readings(
            table, pa.table({**arrays, "correction": zeros, "marks": zeros.astype(np.int8), "bad0": zeros, **values})
        )
        transaction.count(Counts(twins, twins), source="pump")
    state = StateCache(store, LOCAL_ADMIN)
    paths = {INTERFACE: ontology.paths(INTERFACE)}
    return store, TwinReads(store, state, ontology, TwinRegistry(lifetimes, paths))


def microseconds(reads: TwinReads, twins: int, rng: random.Random) -> float:
    """The median time of a document."""
    spent = []
    for index in range(READS):
        twin = f"pump-{rng.randrange(twins)}"
        began = time.perf_counter()
        document = reads.document(LOCAL_ADMIN, twin, as_of=None, known_at=None, lane="observed", facts=False)
        if index:  # the first one loads the cells
            spent.append(time.perf_counter() - began)
        assert document["$dtId"] == twin and all(name in document for name in FIELDS)
    return statistics.median(spent) * 1e6


def measure(quick: bool) -> dict[str, Any]:
    """Microseconds per document in a large fleet and in a small one."""
    small, large = 10_000, 200_000 if quick else 1_000_000
    rng = random.Random(3)
    with tempfile.TemporaryDirectory() as folder:
        stores = {twins: fleet(Path(folder), twins) for twins in (small, large)}
        spent = {twins: microseconds(reads, twins, rng) for twins, (_, reads) in stores.items()}
        for store, _ in stores.values():
            store.close()
    return compared(f"point_read_{large}_twins", spent[large], spent[small], "us/document", "lower")


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
