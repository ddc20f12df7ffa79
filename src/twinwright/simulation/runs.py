"""Runs as they are kept: a folder for each, written whole or not at all, and a record of it in the store.

<runs>/<id>/record.json         everything but the numbers: provenance, status, findings
            inputs.parquet      time, t (seconds since the beginning) and each input, units in field metadata
            outputs.parquet     time, t and each output; absent where the run failed
            artefact/           the files that were run, byte for byte
            log.txt             what the model printed
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from twinwright.clock import SECOND, from_iso
from twinwright.errors import NotFoundError, StoreError
from twinwright.governance.principals import Principal
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import FailureKind, Floats
from twinwright.storage.records import RecordStore

RUN = "run"
MACHINE_FAILURES: frozenset[FailureKind] = frozenset({"timeout", "memory", "crashed"})
_SUMMARY = ("id", "digest", "status", "failure", "model", "model_version", "twin", "scenario", "sweep", "member", "started", "seconds")


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run read back from its folder."""

    id: str
    record: dict[str, Any]
    definition: ModelDefinition
    times: Floats
    inputs: Floats
    outputs: Floats | None
    log: str


def reusable(record: Mapping[str, Any]) -> bool:
    """Whether an equal request would get this answer again: not where the machine, not the model, failed."""
    failure = record["failure"]
    return failure is None or failure["kind"] not in MACHINE_FAILURES


class RunStore:
    """Runs on disk, catalogued in the store."""

    def __init__(self, directory: Path, records: RecordStore) -> None:
        self.directory = directory
        self.records = records

    def new_id(self) -> str:
        return uuid.uuid4().hex[:16]

    def save(
        self,
        principal: Principal,
        record: dict[str, Any],
        definition: ModelDefinition,
        times: Floats,
        inputs: Floats,
        outputs: Floats | None,
        log: str,
    ) -> None:
        """Write the folder beside its place, move it there, then catalogue it. Raises ForbiddenError, StoreError."""
        principal.require_write()
        target = self.directory / record["id"]
        part = self.directory / f".{record['id']}.part"
        try:
            part.mkdir(parents=True)
            start = from_iso(record["from"])
            _write_table(part / "inputs.parquet", times, start, inputs, [(one.name, one.unit) for one in definition.inputs])
            if outputs is not None:
                _write_table(part / "outputs.parquet", times, start, outputs, [(one.name, one.unit) for one in definition.outputs])
            for name, content in definition.artefacts.items():
                (part / "artefact" / name).parent.mkdir(parents=True, exist_ok=True)
                (part / "artefact" / name).write_bytes(content)
            (part / "log.txt").write_text(log, encoding="utf-8")
            (part / "record.json").write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
            part.replace(target)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise StoreError(f"the run can't be kept: {error.strerror}", where=str(target), remedy="Check space and permissions") from error
        self.records.put_record(principal, RUN, record["id"], {name: record[name] for name in _SUMMARY})

    def list(self, principal: Principal) -> list[dict[str, Any]]:
        """The summaries of all runs, oldest first."""
        return [record.body for record in self.records.records(principal, RUN)]

    def load(self, principal: Principal, id: str) -> StoredRun:
        """A run by its id or a unique prefix of it. Raises NotFoundError, StoreError for a folder that is gone or damaged."""
        if not re.fullmatch(r"[0-9a-f]{1,32}", id):
            raise NotFoundError(f"'{id}' is not the id of a run", remedy="`twinwright runs list` shows them")
        full = self.records.get_record(principal, RUN, id).id
        folder = self.directory / full
        try:
            record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
            times, inputs = _read_table(folder / "inputs.parquet")
            outputs = _read_table(folder / "outputs.parquet")[1] if (folder / "outputs.parquet").exists() else None
            artefact = folder / "artefact"
            files = {path.relative_to(artefact).as_posix(): path.read_bytes() for path in sorted(artefact.rglob("*")) if path.is_file()}
            log = (folder / "log.txt").read_text(encoding="utf-8")
        except (OSError, ValueError, pa.ArrowException) as error:
            raise StoreError(
                f"the run {full} can't be read: {error}", where=str(folder), remedy="Restore the folder or run it again"
            ) from error
        definition = ModelDefinition.from_data({**record["definition"], "artefacts": {}})
        return StoredRun(full, record, definition.with_artefacts(files), times, inputs, outputs, log)


def _write_table(path: Path, times: Floats, start: int, values: Floats, ports: Sequence[tuple[str, str | None]]) -> None:
    stamps = start + np.rint(times * SECOND).astype(np.int64)
    fields = [pa.field("time", pa.timestamp("us", tz="UTC")), pa.field("t", pa.float64(), metadata={"unit": "s"})]
    fields += [pa.field(name, pa.float64(), metadata={"unit": unit} if unit else {}) for name, unit in ports]
    arrays = [pa.array(stamps).cast(fields[0].type), pa.array(times)]
    arrays += [pa.array(np.ascontiguousarray(values[:, index])) for index in range(values.shape[1])]
    pq.write_table(pa.table(arrays, schema=pa.schema(fields)), path, compression="zstd")


def _read_table(path: Path) -> tuple[Floats, Floats]:
    table = pq.read_table(path)
    names = [name for name in table.column_names if name not in ("time", "t")]
    times = np.asarray(table.column("t").to_numpy(), np.float64)
    values = np.empty((times.size, len(names)))
    for index, name in enumerate(names):
        values[:, index] = table.column(name).to_numpy()
    return times, values
