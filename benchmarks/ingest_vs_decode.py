"""Ingest to durable, with journal and duplicate search, against bare decoding and against the engine's own append.

`ingest_vs_decode`: payloads of six values through the whole pipeline, against msgspec decoding the same payloads to typed
structs. `ingest_vs_append`: the same, against DuckDB appending and committing the same rows from Arrow. Interleaved.
"""

from __future__ import annotations

import functools
import json
import random
import sys
import tempfile
import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
from benchmarks._result import compared

from twinwright.clock import SystemClock
from twinwright.documents import Problems, parse_text
from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.observability.metrics import Metrics
from twinwright.schema import PathInfo, Primitive
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.layout import Lifetime
from twinwright.storage.protocol import Store
from twinwright.telemetry.contract import compile_contract
from twinwright.telemetry.contract_spec import parse_contract
from twinwright.telemetry.payloads import Delivery, Payload, Receipt
from twinwright.telemetry.pipeline import Pipeline
from twinwright.twins.registry import TwinRegistry
from twinwright.twins.state import StateCache

BATCH = 50_000
ROUND, QUICK_ROUND = 48, 24  # batches
IN_FLIGHT = 12
TWINS = 1_000
FIELDS = ("pressure", "flow", "speed", "current", "voltage", "temperature")
UNITS = ("kPa", "l/min", "rpm", "A", "V", "degC")


class Reading(msgspec.Struct):
    """What a bare decoder would make of one payload."""

    ts: str
    id: str
    pressure: float
    flow: float
    speed: float
    current: float
    voltage: float
    temperature: float


@functools.cache
def _tails(count: int) -> list[bytes]:
    """All of a payload behind its seconds, for one batch."""
    rng = random.Random(7)
    values = ({name: round(rng.uniform(0, 1_000), 3) for name in FIELDS} for _ in range(count))
    return [b'.%03dZ", "id": "pump-%d", %s' % (i % 1_000, i % TWINS, json.dumps(one)[1:].encode()) for i, one in enumerate(values)]


def payloads(start: int, count: int, rng: random.Random, repeats: float = 0.05) -> list[bytes]:
    """Payloads of six values, one a second of each of the twins; a share of them is sent twice. Values return in later batches,
    in other places; `count` and `start` are multiples of the twins."""
    tails, shift = _tails(count), rng.randrange(count // TWINS) * TWINS
    seconds = range(1_772_352_000 + start // TWINS, 1_772_352_000 + (start + count) // TWINS)
    heads = [time.strftime('{"ts": "%Y-%m-%dT%H:%M:%S', time.gmtime(second)).encode() for second in seconds]
    made = [heads[index // TWINS] + tails[index - shift] for index in range(count)]
    for _ in range(int(count * repeats)):
        made[rng.randrange(count)] = made[rng.randrange(count)]
    return made


def platform(folder: Path, twins: int = TWINS) -> tuple[Store, StateCache, Pipeline]:
    """The default store with one contract and its pipeline, as `up` would build them."""
    return furnished(DuckDBStore(folder / "store.duckdb"), twins)


def furnished(store: Store, twins: int = TWINS) -> tuple[Store, StateCache, Pipeline]:
    """A store with one contract and its twins, which are declared where it is empty, and its pipeline."""
    observations = [{"path": name, "field": name, "unit": unit, "range": [-10, 10_000]} for name, unit in zip(FIELDS, UNITS, strict=True)]
    text = json.dumps({"name": "pump", "twin": "{id}", "time": {"field": "ts"}, "observations": observations})
    problems = Problems()
    document = parse_text(text, "pump.yaml", problems)
    assert document is not None
    spec = parse_contract(document, problems)
    paths = {n: PathInfo(n, "property", Primitive("double"), u, None, False) for n, u in zip(FIELDS, UNITS, strict=True)}
    assert spec is not None
    contract = compile_contract(spec, paths, document, problems)
    assert contract is not None, problems
    lifetimes = [Lifetime(number + 1, f"pump-{number}", "dtmi:bench:Pump;1") for number in range(twins)]
    if not store.reading_tables(LOCAL_ADMIN):
        with store.transaction(LOCAL_ADMIN, "apply") as transaction:
            transaction.create_reading_table(contract.name, contract.source, contract.revision, contract.columns)
            transaction.declare_twins(lifetimes)
    state = StateCache(store, LOCAL_ADMIN)
    pipeline = Pipeline(store, LOCAL_ADMIN, state, SystemClock(), Metrics.create())
    pipeline.configure({contract.name: contract}, TwinRegistry(lifetimes, {"dtmi:bench:Pump;1": paths}))
    return store, state, pipeline


def decode_bare(batch: list[bytes]) -> float:
    """Seconds that msgspec takes to decode the payloads, typed."""
    decoder = msgspec.json.Decoder(Reading)
    started = time.perf_counter()
    for payload in batch:
        decoder.decode(payload)
    return time.perf_counter() - started


def append_bare(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> float:
    """Seconds that DuckDB takes to append and commit the rows."""
    started = time.perf_counter()
    connection.execute("BEGIN")
    connection.register("fresh", rows)
    connection.execute("INSERT INTO readings SELECT * FROM fresh")
    connection.unregister("fresh")
    connection.execute("COMMIT")
    return time.perf_counter() - started


def measure(quick: bool) -> list[dict[str, Any]]:
    """Payloads per second of each side, medians of interleaved rounds. In a round are as many batches as two or three of the engine's
    checkpoints take in, so that each side's are in its time, and filling and draining the pipeline weighs little."""
    rounds, size = (3, QUICK_ROUND) if quick else (9, ROUND)
    rng = random.Random(7)
    ours, decoding, appending = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        store, _state, pipeline = platform(Path(folder))
        engine = duckdb.connect(str(Path(folder) / "bare.duckdb"))
        fixed = ("commit BIGINT", "origin BIGINT", "twin INTEGER", "time BIGINT", "correction BIGINT", "marks TINYINT", "bad0 BIGINT")
        columns = [*(f"{column} NOT NULL" for column in fixed), *(f"v{j} DOUBLE" for j in range(len(FIELDS)))]
        engine.execute(f"CREATE TABLE readings ({', '.join(columns)})")
        for index in range(rounds):
            batches = [payloads((index * size + part) * BATCH, BATCH, rng) for part in range(size)]
            deliveries = [Delivery("pump", tuple(Payload(body) for body in batch)) for batch in batches]
            ours.append(ingest(pipeline, deliveries) / size)
            decoding.append(decode_bare(batches[0]))
            rows = [rows_of_batch(index * size + part, rng) for part in range(size)]
            appending.append(sum(append_bare(engine, table) for table in rows) / size)
        pipeline.close()
        store.close()
    rates = [BATCH / float(np.median(seconds[1:])) for seconds in (ours, decoding, appending)]
    return [
        compared("ingest_vs_decode", rates[0], rates[1], "payloads/s"),
        compared("ingest_vs_append", rates[0], rates[2], "payloads/s"),
    ]


def ingest(pipeline: Pipeline, deliveries: list[Delivery]) -> float:
    """Seconds until all is durable, with some deliveries in flight as a file or a broker keeps them."""
    waiting: deque[Future[Receipt]] = deque()
    received = 0
    started = time.perf_counter()
    for delivery in deliveries:
        if len(waiting) == IN_FLIGHT:
            received += waiting.popleft().result().received
        waiting.append(pipeline.submit_soon(delivery))
    received += sum(future.result().received for future in waiting)
    seconds = time.perf_counter() - started
    assert received == len(deliveries) * BATCH
    return seconds


def rows_of_batch(index: int, rng: random.Random) -> pa.Table:
    generator = np.random.default_rng(rng.randrange(2**32))
    columns = {
        "commit": np.full(BATCH, index),
        "origin": np.full(BATCH, index),
        "twin": (np.arange(BATCH) % TWINS).astype(np.int32),
        "time": 1_772_352_000_000_000 + np.arange(BATCH) * 1_000 + index * BATCH * 1_000,
        "correction": np.zeros(BATCH, np.int64),
        "marks": np.zeros(BATCH, np.int8),
        "bad0": np.zeros(BATCH, np.int64),
        **{f"v{j}": np.round(generator.uniform(0, 1_000, BATCH), 3) for j in range(len(FIELDS))},
    }
    return pa.table(columns)


if __name__ == "__main__":
    for result in measure("--quick" in sys.argv):
        print(json.dumps(result))
