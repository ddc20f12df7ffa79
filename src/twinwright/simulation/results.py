"""The outputs of many runs as one file for other programs: a row for each run and sample, a column for each output with its unit."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq

from twinwright.clock import SECOND, from_iso
from twinwright.errors import TooLargeError, UsageError
from twinwright.simulation.run_files import StoredRun

FORMATS: Final = ("parquet", "csv", "arrow")
MAX_VALUES: Final = 50_000_000


def results(runs: Iterable[StoredRun], format: str) -> bytes:
    """A file of runs of one model: `run twin member`, `sweep.NAME` of each swept name, `time`, and the outputs.

    Failed runs have no rows: the schema's metadata names them as `failed`, a JSON object of reasons by run. CSV has no place for that, and
    units in the heads of the columns. Raises UsageError for a format nobody writes, TooLargeError.
    """
    if format not in _WRITERS:
        raise UsageError(f"there is no format '{format}'", where="format", remedy=f"Use one of {', '.join(FORMATS)}")
    body = io.BytesIO()
    _WRITERS[format](_table(runs), body)
    return body.getvalue()


def _table(runs: Iterable[StoredRun]) -> pa.Table:
    parts: list[pa.Table] = []
    failed: dict[str, Any] = {}
    values = 0
    for run in runs:
        if run.outputs is None:
            failed[run.id] = run.record["failure"]
            continue
        values += run.outputs.size
        if values > MAX_VALUES:
            remedy = "Fetch its runs one by one: `twinwright runs show ID`, GET /v1/runs/{id}"
            raise TooLargeError(f"more than {MAX_VALUES} values", where="format", remedy=remedy)
        parts.append(_part(run))
    table = pa.concat_tables(parts, promote_options="default") if parts else pa.table({})
    return table.replace_schema_metadata({"failed": json.dumps(failed)})


def _part(run: StoredRun) -> pa.Table:
    assert run.outputs is not None
    record, count = run.record, run.times.size
    columns: list[tuple[pa.Field, Any]] = [
        (pa.field("run", pa.string()), pa.repeat(record["id"], count)),
        (pa.field("twin", pa.string()), pa.repeat(record["twin"], count)),
        (pa.field("member", pa.int64()), pa.repeat(pa.scalar(record["member"], pa.int64()), count)),
    ]
    for name, value in record["sweep"].items():
        columns.append((pa.field(f"sweep.{name}", pa.float64()), pa.repeat(pa.scalar(float(value)), count)))
    stamps = pa.array((from_iso(record["from"]) + (run.times * SECOND).round()).astype("int64"))
    columns.append((pa.field("time", pa.timestamp("us", tz="UTC")), stamps.cast(pa.timestamp("us", tz="UTC"))))
    for index, port in enumerate(run.definition.outputs):
        unit = {"unit": port.unit} if port.unit else None
        name = f"{port.name} value" if port.name in ("run", "twin", "member", "time") else port.name
        columns.append((pa.field(name, pa.float64(), metadata=unit), pa.array(run.outputs[:, index].copy())))
    return pa.Table.from_arrays([array for _, array in columns], schema=pa.schema([field for field, _ in columns]))


def _write_csv(table: pa.Table, to: io.BytesIO) -> None:
    units = [(field.metadata or {}).get(b"unit", b"").decode() for field in table.schema]
    heads = [f"{name} [{unit}]" if unit else name for name, unit in zip(table.column_names, units, strict=True)]
    if "time" in table.column_names:
        place = table.column_names.index("time")
        table = table.set_column(place, "time", pa.compute.strftime(table["time"], format="%Y-%m-%dT%H:%M:%SZ"))
    pyarrow.csv.write_csv(table.rename_columns(heads), to)


_WRITERS: Final[dict[str, Callable[[pa.Table, io.BytesIO], object]]] = {
    "parquet": lambda table, to: pq.write_table(table, to, compression="zstd"),
    "arrow": lambda table, to: pyarrow.feather.write_feather(table, to, compression="zstd"),
    "csv": _write_csv,
}
