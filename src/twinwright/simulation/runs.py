"""Runs as they are kept: a folder for each, written whole or not at all, and a record of it in the store.

<runs>/inputs/<digest>.parquet  time, t (seconds since the beginning) and each input, units in field metadata; kept once for all runs
<runs>/<id>/record.json         everything but the numbers: provenance, status, findings
            outputs.parquet     time, t and each output; absent where the run failed
            states.parquet      the same of its states
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
from twinwright.simulation.digest import digest
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
    states: Floats | None
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

    def save(self, principal: Principal, run: StoredRun) -> None:
        """Write the folder beside its place, move it there, then catalogue it. Raises ForbiddenError, StoreError."""
        principal.require_write()
        record, definition = run.record, run.definition
        target = self.directory / record["id"]
        part = self.directory / f".{record['id']}.part"
        try:
            part.mkdir(parents=True)
            start = from_iso(record["from"])
            record["input_snapshot"] = self._snapshot(definition, run.times, start, run.inputs)
            if run.outputs is not None:
                write_series(part / "outputs.parquet", run.times, start, run.outputs, [(one.name, one.unit) for one in definition.outputs])
            if run.states is not None and definition.states:
                write_series(part / "states.parquet", run.times, start, run.states, [(one.name, one.unit) for one in definition.states])
            for name, content in definition.artefacts.items():
                (part / "artefact" / name).parent.mkdir(parents=True, exist_ok=True)
                (part / "artefact" / name).write_bytes(content)
            (part / "log.txt").write_text(run.log, encoding="utf-8")
            (part / "record.json").write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
            part.replace(target)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise StoreError(f"the run can't be kept: {error.strerror}", where=str(target), remedy="Check space and permissions") from error
        self.records.put_record(principal, RUN, record["id"], {name: record[name] for name in _SUMMARY})

    def _snapshot(self, definition: ModelDefinition, times: Floats, start: int, inputs: Floats) -> str:
        """Inputs are kept once, under the digest of their bytes: the members of an ensemble mostly share them."""
        ports = [(one.name, one.unit) for one in definition.inputs]
        key = digest({"ports": [list(one) for one in ports], "start": start, "times": times, "inputs": inputs})
        path = self.directory / "inputs" / f"{key}.parquet"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            part = path.with_name(f".{key}.{uuid.uuid4().hex}.part")
            write_series(part, times, start, inputs, ports)
            part.replace(path)
        return key

    def by_digest(self, principal: Principal) -> dict[str, list[str]]:
        """The ids of the runs whose answers may be given again, newest first, by digest."""
        found: dict[str, list[str]] = {}
        for body in self.list(principal):
            if reusable(body):
                found.setdefault(body["digest"], []).insert(0, body["id"])
        return found

    def prune(self, principal: Principal, before: int, *, dry_run: bool) -> dict[str, Any]:
        """Remove the runs that began before a time, and the inputs that no other run has."""
        known = self.list(principal)
        old = [one for one in known if from_iso(one["started"]) < before]
        gone = {one["id"] for one in old}
        used = {self._snapshot_of(one["id"]) for one in known if one["id"] not in gone}
        snapshots = [path for path in (self.directory / "inputs").glob("*.parquet") if path.stem not in used]
        folders = [self.directory / id for id in sorted(gone)]
        files = [*snapshots, *(file for folder in folders for file in folder.rglob("*") if file.is_file())]
        size = sum(file.stat().st_size for file in files)
        if not dry_run:
            for one in old:
                self.records.put_record(principal, RUN, one["id"], {**one, "pruned": True})
            for path in folders:
                shutil.rmtree(path, ignore_errors=True)
            for path in snapshots:
                path.unlink(missing_ok=True)
        return {"removed": len(old), "bytes": size, "dry_run": dry_run}

    def _snapshot_of(self, id: str) -> str | None:
        try:
            record = json.loads((self.directory / id / "record.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return str(record.get("input_snapshot"))

    def list(self, principal: Principal) -> list[dict[str, Any]]:
        """The summaries of all runs, oldest first."""
        return [record.body for record in self.records.records(principal, RUN) if not record.body.get("pruned")]

    def load(self, principal: Principal, id: str) -> StoredRun:
        """A run by its id or a unique prefix of it. Raises NotFoundError, StoreError for a folder that is gone or damaged."""
        if not re.fullmatch(r"[0-9a-f]{1,32}", id):
            raise NotFoundError(f"'{id}' is not the id of a run", remedy="`twinwright runs list` shows them")
        found = self.records.get_record(principal, RUN, id)
        if found.body.get("pruned"):
            raise NotFoundError(f"the run {found.id} was pruned", remedy="Run its scenario again")
        full = found.id
        folder = self.directory / full
        try:
            record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
            times, inputs = _read_table(self.directory / "inputs" / f"{record['input_snapshot']}.parquet")
            outputs = _read_table(folder / "outputs.parquet")[1] if (folder / "outputs.parquet").exists() else None
            states = _read_table(folder / "states.parquet")[1] if (folder / "states.parquet").exists() else None
            if outputs is not None and states is None:
                states = np.empty((times.size, 0))
            artefact = folder / "artefact"
            files = {path.relative_to(artefact).as_posix(): path.read_bytes() for path in sorted(artefact.rglob("*")) if path.is_file()}
            log = (folder / "log.txt").read_text(encoding="utf-8")
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise StoreError(
                f"the run {full} can't be read: {error}", where=str(folder), remedy="Restore the folder or run it again"
            ) from error
        definition = ModelDefinition.from_data({**record["definition"], "artefacts": {}})
        return StoredRun(full, record, definition.with_artefacts(files), times, inputs, outputs, states, log)


def write_series(path: Path, times: Floats, start: int, values: Floats, ports: Sequence[tuple[str, str | None]]) -> None:
    """A Parquet file of trajectories: `time`, `t` in seconds, and a column for each port with its unit in the field's metadata."""
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
