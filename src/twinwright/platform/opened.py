"""What `twinwright.open` gives: `Platform`, with series as Arrow tables whose fields carry their units.

Times may be given as datetimes too, and files as paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import wraps
from pathlib import PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.platform.interface import Platform
from twinwright.platform.wire import METHODS

if TYPE_CHECKING:
    from twinwright.simulation.definition import ModelDefinition
    from twinwright.simulation.protocol import Floats

    _Surface = Platform
else:  # a protocol's own methods would hide those of the platform behind it
    _Surface = object

TIME = pa.timestamp("us", tz="UTC")


class Opened(_Surface):
    """A platform for programs, here or in a running process. Use it in a `with`, or close it when done."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    @classmethod
    def over(cls, platform: Platform) -> Self:
        """The same platform with series as tables."""
        return cls(platform)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._platform, name)
        return _written(member) if name in METHODS else member

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *METHODS, "as_principal", "close"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._platform.close()

    def fork(self, name: str) -> Self:
        """As `Platform.fork`, with series as tables."""
        return self.over(self._platform.fork(name))

    def ingest(self, files: str | PurePath | Sequence[str | PurePath], contract: str, **options: Any) -> dict[str, Any]:
        """As `Platform.ingest`, of one file or several."""
        several = [files] if isinstance(files, str | PurePath) else list(files)
        return self._platform.ingest([str(file) for file in several], contract, **options)

    def history(self, twin: str, path: str, **options: Any) -> pa.Table:
        """`times values quality source` of `Platform.history`, which names the options. The table's metadata name twin and path."""
        return history_table(_written(self._platform.history)(twin, path, **options))

    def simulate(self, scenario: str | Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """As `Platform.simulate`; each of `outputs` is a table of `times values`, which is made when it is asked for."""
        tables, shown = _Tables(), getattr(self._platform, "simulate_shown", None)
        if shown is not None:  # in this process, where they are made while others run
            return dict(_written(shown)(scenario, tables.shown, **options))
        return {"runs": [tables.of(run) for run in _written(self._platform.simulate)(scenario, **options)["runs"]]}

    def run(self, id: str, **options: Any) -> dict[str, Any]:
        """As `Platform.run`; each of `outputs` is a table of `times values`."""
        return _Tables().of(self._platform.run(id, **options))


def _written(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of `Platform`, which takes times and places as they are written."""

    @wraps(method)
    def called(*args: Any, **options: Any) -> Any:
        return method(*(_text(one) for one in args), **{name: _text(one) for name, one in options.items()})

    return called


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, PurePath) else value


def history_table(found: Mapping[str, Any]) -> pa.Table:
    """What `Platform.history` answers as a table of `times values quality source`; its metadata name twin and path."""
    texts = {name: pa.array(found[name], pa.string()) for name in ("quality", "source")}
    return _series(found, texts).replace_schema_metadata({"twin": found["twin"], "path": found["path"]})


class _Tables:
    """Outputs of runs as tables; what runs have in common, their times and the shape of a table, is made once."""

    def __init__(self) -> None:
        self._times: tuple[Any, pa.Array] = (None, None)
        self._schemas: dict[tuple[str | None, pa.DataType], pa.Schema] = {}

    def of(self, run: dict[str, Any]) -> dict[str, Any]:
        """The run, its outputs in place: the lists that they were are not kept beside them."""
        if "outputs" in run:
            run["outputs"] = {name: self._series(one["times"], one["values"], one["unit"]) for name, one in run["outputs"].items()}
        return run

    def shown(self, definition: ModelDefinition, times: list[str], outputs: Floats) -> Mapping[str, pa.Table]:
        """As `of`, of arrays, each when it is looked at: of many runs hardly anybody looks at all."""
        return _Outputs(self, definition, times, outputs)

    def made(self, definition: ModelDefinition, times: list[str], outputs: Floats) -> dict[str, pa.Table]:
        """The tables of a run, by output."""
        return {port.name: self._series(times, outputs[:, i], port.unit) for i, port in enumerate(definition.outputs)}

    def _series(self, times: list[str], found: Sequence[Any] | Floats, unit: str | None) -> pa.Table:
        known = self._times  # of one thread: tables are made whenever they are looked at
        if times is not known[0] and times != known[0]:
            known = self._times = times, pa.array(times).cast(TIME)
        values = _values(found)
        what = unit, values.type
        if what not in self._schemas:
            self._schemas[what] = pa.schema(_fields(*what))
        return pa.Table.from_arrays([known[1], values], schema=self._schemas[what])


class _Outputs(Mapping[str, pa.Table]):
    """The outputs of one run by name."""

    __slots__ = ("_found",)

    def __init__(self, *of: Any) -> None:
        self._found: tuple[Any, ...] | dict[str, pa.Table] = of

    def _tables(self) -> dict[str, pa.Table]:
        found = self._found
        if isinstance(found, tuple):
            tables, definition, times, outputs = found
            found = self._found = tables.made(definition, times, outputs)
        return found

    def __getitem__(self, name: str) -> pa.Table:
        return self._tables()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables())

    def __len__(self) -> int:
        return len(self._tables())

    def __repr__(self) -> str:
        return repr(self._tables())

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self._tables(),)  # whoever has a copy has not the model with it


def _fields(unit: str | None, values: pa.DataType) -> list[pa.Field]:
    return [pa.field("times", TIME, nullable=False), pa.field("values", values, metadata={"unit": unit} if unit else None)]


def _series(found: Mapping[str, Any], others: Mapping[str, pa.Array]) -> pa.Table:
    values = _values(found["values"])
    fields = _fields(found["unit"], values.type)
    fields += [pa.field(name, column.type) for name, column in others.items()]
    return pa.Table.from_arrays([pa.array(found["times"]).cast(TIME), values, *others.values()], schema=pa.schema(fields))


def _values(values: Sequence[Any] | NDArray[np.float64]) -> pa.Array:
    """Of the type that they have; where nothing is known of it, numbers."""
    if isinstance(values, np.ndarray):
        return pa.Array.from_buffers(pa.float64(), values.size, [None, pa.py_buffer(np.ascontiguousarray(values))])
    if values and isinstance(values[0], float):
        return pa.array(values, pa.float64())
    column = pa.array(values)
    return column.cast(pa.float64()) if pa.types.is_null(column.type) else column
