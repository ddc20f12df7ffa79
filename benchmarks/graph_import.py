"""An import of a graph from NDJSON: four values a twin, four relationships each; checked whole, then written.

The rival reads the same lines with msgspec into DuckDB tables of the same columns, in transactions of as many rows, and does nothing
else: it checks no interface, no end of a relationship and no duplicate, and keeps nothing in memory. Both are seconds of processor time,
both threads together; standard error tells the wall clock and the most memory.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
from benchmarks._result import compared

from twinwright.platform.importing import PIECE
from twinwright.platform.local import LocalPlatform

MODEL = "dtmi:bench:Pump;1"
PATHS = ("pressure", "flow", "power", "speed")
EACH = 4  # relationships of a twin
_CONTENTS = [
    *({"@type": "Property", "name": name, "schema": "double"} for name in PATHS),
    {"@type": "Relationship", "name": "feeds", "target": MODEL},
]
INTERFACE = {"@context": "dtmi:dtdl:context;3", "@id": MODEL, "@type": "Interface", "contents": _CONTENTS}


def written(file: Path, twins: int) -> None:
    """The graph, as an import job takes it."""
    rng = random.Random(1)
    with file.open("w") as out:
        for head in ({"Section": "Header"}, {"fileVersion": "1.0.0"}, {"Section": "Models"}, INTERFACE, {"Section": "Twins"}):
            out.write(json.dumps(head) + "\n")
        for number in range(twins):
            values = {name: round(rng.uniform(0, 100), 2) for name in PATHS}
            out.write(json.dumps({"$dtId": f"pump-{number}", "$metadata": {"$model": MODEL}, **values}) + "\n")
        out.write('{"Section": "Relationships"}\n')
        for number in range(twins):
            for which in range(EACH):
                target = (number + 1 + rng.randrange(twins - 1)) % twins
                named = {"$relationshipId": f"feeds-{which}", "$sourceId": f"pump-{number}", "$targetId": f"pump-{target}"}
                out.write(json.dumps({**named, "$relationshipName": "feeds"}) + "\n")


def ours(folder: Path, file: Path, twins: int) -> None:
    (folder / "twinwright.toml").write_text("")
    platform = LocalPlatform.open(folder)
    done = platform.import_graph([str(file)])
    assert (done["twins"], done["relationships"], done["refused"]) == (twins, EACH * twins, 0)
    platform.close()


class _Twin(msgspec.Struct, rename={"id": "$dtId"}):
    id: str
    pressure: float
    flow: float
    power: float
    speed: float


class _Edge(msgspec.Struct, rename={"id": "$relationshipId", "source": "$sourceId", "target": "$targetId", "name": "$relationshipName"}):
    id: str
    source: str
    target: str
    name: str


def bare(folder: Path, file: Path, twins: int) -> None:
    """The rival."""
    with duckdb.connect(str(folder / "rival.duckdb")) as connection:
        connection.execute("CREATE TABLE lifetimes (number INTEGER NOT NULL, twin VARCHAR NOT NULL, interface VARCHAR NOT NULL)")
        connection.execute("CREATE TABLE found (twin INTEGER NOT NULL, path VARCHAR NOT NULL, time BIGINT NOT NULL, num DOUBLE)")
        connection.execute(
            "CREATE TABLE edges (source VARCHAR NOT NULL, id VARCHAR NOT NULL, name VARCHAR NOT NULL, target VARCHAR NOT NULL)"
        )
        with file.open("rb") as lines:
            for line in lines:
                if b'"Twins"' in line:
                    break
            first = 0
            for some in _pieces(line for line in islice(lines, twins)):
                first = _twins(connection, some, first)
            next(lines)
            for some in _pieces(lines):
                read = msgspec.json.Decoder(_Edge).decode_lines(some)
                names = ("source", "id", "name", "target")
                _append(connection, "edges", pa.table({name: [getattr(one, name) for one in read] for name in names}))
        row = connection.execute("SELECT (SELECT count(*) FROM lifetimes), (SELECT count(*) FROM edges)").fetchone()
        assert row == (twins, EACH * twins)


def _pieces(lines: Iterator[bytes]) -> Iterator[bytes]:
    while some := b"".join(islice(lines, PIECE)):
        yield some


def _twins(connection: duckdb.DuckDBPyConnection, some: bytes, first: int) -> int:
    read = msgspec.json.Decoder(_Twin).decode_lines(some)
    numbers = pa.array(range(first, first + len(read)), pa.int32())
    _append(
        connection, "lifetimes", pa.table({"number": numbers, "twin": [one.id for one in read], "interface": pa.repeat(MODEL, len(read))})
    )
    for path in PATHS:
        columns = {"twin": numbers, "path": pa.repeat(path, len(read)), "time": pa.repeat(pa.scalar(1, pa.int64()), len(read))}
        _append(connection, "found", pa.table({**columns, "num": [getattr(one, path) for one in read]}))
    return first + len(read)


def _append(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    connection.register("rows", rows)
    connection.execute(f"INSERT INTO {name} SELECT * FROM rows")
    connection.unregister("rows")


def seconds(what: Callable[[Path, Path, int], None], file: Path, twins: int) -> float:
    """Of processor."""
    with tempfile.TemporaryDirectory() as folder:
        began, processor = time.perf_counter(), time.process_time()
        what(Path(folder), file, twins)
        spent = time.process_time() - processor
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        told = f"{what.__name__}, {twins} twins: {time.perf_counter() - began:.1f} s, {spent:.1f} s of processor, {most:.0f} MB at most"
        print(told, file=sys.stderr)
    return spent


def measure(quick: bool) -> dict[str, Any]:
    """Seconds of processor of an import, and of reading and appending alone."""
    twins = 5_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.ndjson"
        written(file, twins)
        rival = seconds(bare, file, twins)
        own = seconds(ours, file, twins)
    return compared(f"import of {twins} twins and {EACH * twins} relationships", own, rival, "s of processor", "lower")


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
