"""The files of runs. A batch, runs of one model that ended together, is a folder that appears whole; what runs share is kept once.

<runs>/models/<digest>/         definition.json, and below artefact/ the files that were run, byte for byte
<runs>/inputs/<digest>.parquet  time, t (seconds since the beginning) and each input, units in field metadata
<runs>/batches/<id>/            runs.parquet: id, record (JSON: provenance, status, findings), log, and where its samples are
                                outputs.parquet: time, t and each output, run after run; the same of states in states.parquet

In `runs.parquet` of format 2 (its metadata say so) a `record` is what is a run's own. What it has in common with others is in the
metadata's `common`, a JSON list, and the column `common` says at which place. Batches without a format have whole records.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from twinwright.clock import SECOND, from_iso
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.digest import digest
from twinwright.simulation.protocol import Floats

_TEXT, _NUMBER = pa.string(), pa.int64()
_CATALOGUE = pa.schema([("id", _TEXT), ("record", _TEXT), ("log", _TEXT), ("first", _NUMBER), ("samples", _NUMBER), ("common", pa.int32())])
_FORMAT, _COMMON, _NEWEST = b"twinwright.format", b"twinwright.common", b"2"
_SPAN = ("time", "t")
_SNAPSHOTS = ("model_snapshot", "input_snapshot")
_Snapshots = tuple[str, str]
_ELSEWHERE = frozenset({"definition", *_SNAPSHOTS})  # kept, and not in a run's own record
_SAMPLES_A_GROUP, _RUNS_A_GROUP = 1 << 16, 256  # what is read together where one run is asked for
_BATCHES_AT_HAND, _MODELS_AT_HAND, _INPUTS_AT_HAND = 4, 16, 64  # while runs are read one after another
UNREADABLE: Final = (OSError, ValueError, KeyError, pa.ArrowException)
"""What reading a run raises where its files are gone or damaged."""


_Form = Callable[[pa.Table], Any]


class Port(Protocol):
    """What a column is of."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str | None: ...


class StoredRun(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A run with everything that is kept of it."""

    id: str
    own: dict[str, Any]
    definition: ModelDefinition
    times: Floats
    inputs: Floats
    outputs: Floats | None
    states: Floats | None
    log: str
    common: Mapping[str, Any] = msgspec.field(default_factory=dict)  # what records have in common: the same object in all of them

    @property
    def record(self) -> dict[str, Any]:
        """All that is known of the run beside its numbers."""
        return {**self.common, **self.own}

    def said(self, name: str) -> Any:
        """One field of the record."""
        return self.own[name] if name in self.own else self.common[name]


def grid_of(run: StoredRun) -> NDArray[np.int64]:
    """The times of a run's samples in microseconds."""
    return _stamps(run.times, from_iso(run.said("from")))


def write_batch(directory: Path, id: str, runs: Sequence[StoredRun]) -> None:
    """Write runs of one model. Raises OSError, and then leaves nothing."""
    model = _keep_model(directory / "models", runs[0].definition)
    known: dict[tuple[int, int, str], str] = {}  # runs of a batch mostly share their inputs
    snapshots = []
    for run in runs:
        what = _arrays(run)
        if what not in known:
            known[what] = _keep_inputs(directory / "inputs", run)
        snapshots.append((model, known[what]))
    _appear(directory / "batches" / id, lambda part: _write(part, runs, snapshots))


def _arrays(run: StoredRun) -> tuple[int, int, str]:
    return id(run.times), id(run.inputs), run.said("from")


class RunReader:
    """Reads runs for one question. What they have in common is read once: their models, their inputs, the row group that they lie in."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._batch = functools.lru_cache(_BATCHES_AT_HAND)(self._open_batch)
        self._model = functools.lru_cache(_MODELS_AT_HAND)(self._read_model)
        self._inputs = functools.lru_cache(_INPUTS_AT_HAND)(self._read_inputs)

    def read(self, batch: str, id: str) -> StoredRun:
        """One run of a batch. Raises one of `UNREADABLE`."""
        catalogue, trajectories = self._batch(batch)
        found = catalogue.row(id)
        record = msgspec.json.decode(found["record"])
        if catalogue.common is not None:
            record = {**catalogue.common[found["common"]], **record}
        definition, record["definition"] = self._model(record["model_snapshot"])
        times, inputs = self._inputs(record["input_snapshot"])
        outputs = states = None
        if found["first"] is not None:
            span = found["first"], found["samples"]
            outputs, states = (None if file is None else file.rows(*span).copy() for file in trajectories)
            states = np.empty((times.size, 0)) if states is None else states
        return StoredRun(id, record, definition, times, inputs, outputs, states, found["log"])

    def place(self, batch: str, id: str) -> tuple[str, int]:
        """Where a run lies: who reads runs in the order of this reads each part of a file once. What can't be read lies first."""
        with contextlib.suppress(*UNREADABLE):
            return batch, self._batch(batch)[0].index(id)
        return batch, -1

    def _open_batch(self, id: str) -> tuple[_File, tuple[_File | None, ...]]:
        """Its catalogue; outputs and states, where it has such."""
        folder = self._directory / "batches" / id
        paths = (folder / "outputs.parquet", folder / "states.parquet")
        return _opened(folder / "runs.parquet", _dictionaries), tuple(_opened(one, _values) if one.exists() else None for one in paths)

    def _read_model(self, key: str) -> tuple[ModelDefinition, dict[str, Any]]:
        definition = _read_model(self._directory / "models" / key)
        return definition, definition.as_data()

    def _read_inputs(self, key: str) -> tuple[Floats, Floats]:
        return numbers(pq.read_table(self._directory / "inputs" / f"{key}.parquet"))


def unused(directory: Path, batches: Iterable[str]) -> list[Path]:
    """The inputs and models that no run of these batches has."""
    used = set()
    for name in batches:
        catalogue = _File(directory / "batches" / name / "runs.parquet", _dictionaries)
        for record in map(json.loads, catalogue.texts("record")) if catalogue.common is None else catalogue.common:
            used |= {record["input_snapshot"], record["model_snapshot"]}
    return [path for kind in ("inputs", "models") for path in sorted((directory / kind).glob("[!.]*")) if path.stem not in used]


def size_of(paths: Iterable[Path]) -> int:
    """Bytes of files, and of those below folders."""
    return sum(file.stat().st_size for path in paths for file in (path, *path.rglob("*")) if file.is_file())


def write_series(path: Path, times: Floats, start: int, values: Floats, ports: Sequence[Port]) -> None:
    """A Parquet file of trajectories: `time`, `t` in seconds, and a column for each port with its unit in the field's metadata."""
    pq.write_table(_series(_stamps(times, start), times, values, ports), path, compression="zstd")


def _write(part: Path, runs: Sequence[StoredRun], snapshots: Sequence[_Snapshots]) -> None:
    definition = runs[0].definition
    good = [run for run in runs if run.outputs is not None]
    if good:
        times = np.concatenate([run.times for run in good])
        known: dict[tuple[int, str], Any] = {}  # most runs of a batch have the same times
        for run in good:
            what = id(run.times), run.said("from")
            if what not in known:
                known[what] = _stamps(run.times, from_iso(what[1]))
        stamps = np.concatenate([known[id(run.times), run.said("from")] for run in good])
        outputs = np.concatenate([run.outputs for run in good if run.outputs is not None])
        _put_series(part / "outputs.parquet", _series(stamps, times, outputs, definition.outputs))
        states = [run.states for run in good if run.states is not None]
        if definition.states:
            _put_series(part / "states.parquet", _series(stamps, times, np.concatenate(states), definition.states))
    _put(part / "runs.parquet", _catalogue(runs, snapshots), _RUNS_A_GROUP, use_dictionary=["log", "common"])


def _catalogue(runs: Sequence[StoredRun], snapshots: Sequence[_Snapshots]) -> pa.Table:
    """A row for each run; what records have in common is told once."""
    samples = np.array([run.times.size if run.outputs is not None else 0 for run in runs], np.int64)
    places: dict[tuple[int, _Snapshots], int] = {}
    common: list[dict[str, Any]] = []
    records, place_of = [], []
    for run, kept in zip(runs, snapshots, strict=True):
        key = id(run.common), kept
        if key not in places:
            places[key] = len(common)
            common.append({**run.common, **dict(zip(_SNAPSHOTS, kept, strict=True))})
            common[-1].pop("definition", None)
        place_of.append(places[key])
        own = run.own if _ELSEWHERE.isdisjoint(run.own) else {name: one for name, one in run.own.items() if name not in _ELSEWHERE}
        records.append(own)
    texts = _ENCODER.encode_lines(records).split(b"\n")[:-1]
    first = pa.array(np.cumsum(samples) - samples, mask=samples == 0)
    columns = [[run.id for run in runs], texts, [run.log for run in runs], first, samples, place_of]
    arrays = [pa.array(column).cast(one.type) for column, one in zip(columns, _CATALOGUE, strict=True)]
    return pa.Table.from_arrays(arrays, schema=_CATALOGUE.with_metadata({_FORMAT: _NEWEST, _COMMON: _ENCODER.encode(common)}))


def _plain(value: Any) -> Any:
    """A number that a calculation has left as one of NumPy's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} does not belong into the record of a run")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)


def _keep_model(folder: Path, definition: ModelDefinition) -> str:
    data = definition.as_data()
    key = digest({"definition": data, "artefacts": definition.artefact_digest})

    def write(part: Path) -> None:
        (part / "definition.json").write_text(json.dumps(data, indent=1, allow_nan=False), encoding="utf-8")
        for name, content in definition.artefacts.items():
            path = part / "artefact" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    if not (folder / key).exists():
        _appear(folder / key, write)
    return key


def _read_model(folder: Path) -> ModelDefinition:
    data = json.loads((folder / "definition.json").read_text(encoding="utf-8"))
    artefact = folder / "artefact"
    files = {path.relative_to(artefact).as_posix(): path.read_bytes() for path in sorted(artefact.rglob("*")) if path.is_file()}
    return ModelDefinition.from_data({**data, "artefacts": {}}).with_artefacts(files)


def _keep_inputs(folder: Path, run: StoredRun) -> str:
    """Once, under the digest of their bytes: the members of an ensemble mostly share them."""
    ports, start = run.definition.inputs, from_iso(run.said("from"))
    key = digest({"ports": [[one.name, one.unit] for one in ports], "start": start, "times": run.times, "inputs": run.inputs})
    path = folder / f"{key}.parquet"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{key}.{uuid.uuid4().hex}.part")
        write_series(part, run.times, start, run.inputs, ports)
        part.replace(path)
    return key


def _appear(target: Path, write: Callable[[Path], object]) -> None:
    """A folder that is there whole or not at all."""
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        part.mkdir(parents=True)
        write(part)
        part.replace(target)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        if not target.exists():  # else another process has kept the same meanwhile
            raise


def _put(path: Path, table: pa.Table, rows: int, **more: Any) -> None:
    with path.open("wb") as file:
        pq.write_table(table, file, compression="zstd", row_group_size=rows, **more)
        file.flush()
        os.fsync(file.fileno())


def _put_series(path: Path, table: pa.Table) -> None:
    """Times come again with every run, values hardly ever: their bytes are kept apart by place, which packs better and is quicker."""
    values = [name for name in table.column_names if name not in _SPAN]
    _put(path, table, _SAMPLES_A_GROUP, use_dictionary=list(_SPAN), use_byte_stream_split=values)


def _stamps(times: Floats, start: int) -> NDArray[np.int64]:
    seconds: NDArray[np.int64] = np.rint(times * SECOND).astype(np.int64)
    return start + seconds


def _series(stamps: Any, times: Floats, values: Floats, ports: Sequence[Port]) -> pa.Table:
    fields = [pa.field("time", pa.timestamp("us", tz="UTC")), pa.field("t", pa.float64(), metadata={"unit": "s"})]
    fields += [pa.field(one.name, pa.float64(), metadata={"unit": one.unit} if one.unit else {}) for one in ports]
    arrays = [pa.array(stamps).cast(fields[0].type), pa.array(times)]
    arrays += [pa.array(np.ascontiguousarray(values[:, index])) for index in range(values.shape[1])]
    return pa.table(arrays, schema=pa.schema(fields))


class _File:
    """A Parquet file of a batch and the part of it that was read last, in a form: runs of a batch are mostly asked for together."""

    def __init__(self, path: Path, form: _Form) -> None:
        self._file, self._form = pq.ParquetFile(path), form
        self._ends = np.cumsum([self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)])
        said = self._file.schema_arrow.metadata or {}
        if said.get(_FORMAT, _NEWEST) != _NEWEST:
            raise ValueError(f"its format is {said[_FORMAT].decode(errors='replace')}, this version reads {_NEWEST.decode()} and older")
        self.common: list[dict[str, Any]] | None = json.loads(said[_COMMON]) if _FORMAT in said else None
        self._groups = range(0)
        self._read: Any = None
        self._ids: dict[str, int] | None = None
        self._lock = threading.Lock()

    def rows(self, first: int, count: int) -> Any:
        """Some rows in the file's form, of which only the row groups are read that they lie in."""
        low, high = (int(np.searchsorted(self._ends, at, "right")) for at in (first, first + count - 1))
        groups, begin = range(low, high + 1), first - (int(self._ends[low - 1]) if low else 0)
        with self._lock:
            if groups != self._groups:
                self._read = self._form(self._file.read_row_groups(groups))
                self._groups = groups
            return self._read[begin : begin + count]

    def texts(self, name: str) -> list[str]:
        """A whole column of texts."""
        return list(self._file.read([name])[name].to_pylist())

    def index(self, id: str) -> int:
        """Which row of the catalogue has an id. Raises ValueError where there is none."""
        if self._ids is None:
            self._ids = {one: index for index, one in enumerate(self.texts("id"))}
        if id not in self._ids:
            raise ValueError("it is not in its batch")
        return self._ids[id]

    def row(self, id: str) -> dict[str, Any]:
        """The row of the catalogue with an id. Raises ValueError where there is none."""
        (found,) = self.rows(self.index(id), 1)
        return dict(found)


def _dictionaries(table: pa.Table) -> list[dict[str, Any]]:
    """The form of a catalogue."""
    return list(table.to_pylist())


def _values(table: pa.Table) -> Floats:
    """The form of trajectories: what the ports had."""
    return numbers(table)[1]


@functools.lru_cache(maxsize=12)
def _kept_open(path: Path, form: _Form, _changed: tuple[int, int]) -> _File:
    return _File(path, form)


def _opened(path: Path, form: _Form) -> _File:
    status = path.stat()
    return _kept_open(path, form, (status.st_mtime_ns, status.st_size))


def numbers(table: pa.Table) -> tuple[Floats, Floats]:
    """`t`, and the columns of the ports."""
    names = [name for name in table.column_names if name not in _SPAN]
    times = np.asarray(table.column("t").to_numpy(), np.float64)
    values = np.empty((times.size, len(names)))
    for index, name in enumerate(names):
        values[:, index] = table.column(name).to_numpy()
    return times, values
