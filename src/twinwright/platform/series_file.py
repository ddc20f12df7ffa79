"""Chosen series as one file for other programs: a row for each time and source of a twin, a column for each path with its unit."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq

from twinwright.errors import UsageError
from twinwright.governance.principals import Principal
from twinwright.platform.session import Session
from twinwright.storage.layout import Selection

FORMATS: Final = ("csv", "parquet", "arrow")
MAX_VALUES: Final = 5_000_000
_KEY: Final = ["time", "twin", "source"]


def export(
    session: Session,
    principal: Principal,
    to: Path,
    twins: Sequence[str] | None,
    paths: Sequence[str] | None,
    start: int | None,
    end: int | None,
    format: str | None,
) -> dict[str, Any]:
    """See `Platform.export`. Values are in the unit of the property, bad ones are null and their `PATH quality` says so.

    Raises NotFoundError for a twin or path that there is not, UsageError for a format nobody writes.
    """
    kind = format or to.suffix.removeprefix(".") or "csv"
    if kind not in FORMATS:
        raise UsageError(f"there is no format '{kind}'", where="format", remedy=f"Use one of {', '.join(FORMATS)}")
    if to.exists():
        raise UsageError("it is there already", where=str(to), remedy="Name a file that does not exist yet")
    reads, registry = session.served.reads, session.served.applied.registry
    chosen = list(twins) if twins else sorted(registry.twins)
    units: dict[str, str | None] = {}
    frames: list[pl.DataFrame] = []
    values = 0
    for twin in chosen:
        registry.current(twin)
        known = session.served.applied.ontology.paths(registry.current(twin).interface)
        mine = [path for path in paths if path in known or len(chosen) == 1] if paths else _observed(session, principal, twin)
        for path in mine:
            found = reads.history(
                principal, twin, path, start=start, end=end, every=None, agg="mean", unit=None, known_at=None, lane="observed"
            )
            values += len(found["times"])
            if values > MAX_VALUES:
                raise UsageError(f"more than {MAX_VALUES} values", where=str(to), remedy="Narrow the time, or name twins and paths")
            if units.setdefault(path, found["unit"]) != found["unit"]:
                remedy = "Export them apart: name one --twin"
                raise UsageError(f"its unit is {units[path]} of one twin and {found['unit']} of '{twin}'", where=path, remedy=remedy)
            if found["times"]:
                frames.append(_frame(twin, _column(path), found))
    for path in paths or ():
        if path not in units:
            reads.info(chosen[0], path)
    table = _joined(frames, {_column(path): unit for path, unit in units.items()})
    _write(table, to, kind)
    return {"path": str(to.resolve()), "format": kind, "rows": len(table), "columns": table.column_names}


def _column(path: str) -> str:
    """A path may be called as one of the columns that are always there."""
    return f"{path} value" if path in _KEY else path


def _observed(session: Session, principal: Principal, twin: str) -> list[str]:
    """The paths of a twin of which anything was observed."""
    numbers = tuple(life.number for life in session.served.applied.registry.lifetimes_of(twin))
    return sorted(set(session.served.applied.evolution.over(session.store).latest(principal, Selection(numbers))["path"].to_pylist()))


def _frame(twin: str, path: str, found: dict[str, Any]) -> pl.DataFrame:
    values = [json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value for value in found["values"]]
    return pl.DataFrame(
        {
            "time": pl.Series(found["times"], dtype=pl.String),
            "twin": pl.Series([twin] * len(found["times"]), dtype=pl.String),
            "source": pl.Series(found["source"], dtype=pl.String),
            path: pl.Series(values, dtype=_type(values)),
            f"{path} quality": pl.Series(found["quality"], dtype=pl.String),
        }
    )


def _type(values: Sequence[Any]) -> Any:
    """What the values are; text where they are of several kinds, numbers where there are none."""
    kinds = {type(value) for value in values if value is not None}
    known = {float: pl.Float64, int: pl.Int64, bool: pl.Boolean, str: pl.String}
    return known.get(kinds.pop(), pl.String) if len(kinds) == 1 else pl.Float64 if kinds <= {int, float} else pl.String


def _joined(frames: list[pl.DataFrame], units: dict[str, str | None]) -> pa.Table:
    whole = pl.DataFrame(schema=dict.fromkeys(_KEY, pl.String))
    for path in units:
        parts = [frame for frame in frames if path in frame.columns]
        if not parts:
            whole = whole.with_columns(pl.lit(None, pl.Float64).alias(path), pl.lit(None, pl.String).alias(f"{path} quality"))
            continue
        whole = whole.join(pl.concat(parts, how="vertical_relaxed"), on=_KEY, how="full", coalesce=True, nulls_equal=True)
    table = whole.sort("twin", "time", "source").to_arrow()
    fields = []
    for field in table.schema:
        unit = units.get(field.name)
        kind = pa.string() if pa.types.is_large_string(field.type) or pa.types.is_string_view(field.type) else field.type
        fields.append(pa.field(field.name, kind, metadata={"unit": unit} if unit else None))
    times = pa.array(table["time"].to_pylist(), pa.string()).cast(pa.timestamp("us", tz="UTC"))
    cast = table.cast(pa.schema([field.remove_metadata() for field in fields]))
    fields[0] = pa.field("time", times.type)
    return pa.Table.from_arrays([times, *cast.columns[1:]], schema=pa.schema(fields))


def _write(table: pa.Table, to: Path, kind: str) -> None:
    """Beside its place, and moved there whole. A CSV file has the unit in the head of the column, the others in the field's metadata."""
    try:
        with tempfile.NamedTemporaryFile(dir=to.parent, prefix=f".{to.name}-", delete=False) as file:
            partial = Path(file.name)
        try:
            if kind == "parquet":
                pq.write_table(table, partial, compression="zstd")
            elif kind == "arrow":
                pyarrow.feather.write_feather(table, partial, compression="zstd")
            else:
                units = [(field.metadata or {}).get(b"unit", b"").decode() for field in table.schema]
                heads = [f"{name} [{unit}]" if unit else name for name, unit in zip(table.column_names, units, strict=True)]
                pyarrow.csv.write_csv(_iso(table).rename_columns(heads), partial)
            partial.rename(to)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"can't be written: {error.strerror}", where=str(to), remedy="Name a place of yours with room") from error


def _iso(table: pa.Table) -> pa.Table:
    return table.set_column(0, "time", pa.compute.strftime(table["time"], format="%Y-%m-%dT%H:%M:%SZ"))
