"""Runs kept in the layout before batches, a folder for each, are moved into batches."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from twinwright.errors import NotFoundError
from twinwright.governance.principals import Principal
from twinwright.observability.logs import get_logger
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.run_files import StoredRun, numbers
from twinwright.simulation.runs import LARGEST_BATCH, RUN, RunStore

_log = get_logger("simulation")


def move_into_batches(runs: RunStore, principal: Principal) -> int:
    """How many runs were moved. One that can't be read stays where it is, and is logged; killed at any instant, the next call goes on."""
    moved = 0
    for _, group in groupby(_readable(runs, principal), lambda run: (run.definition.as_data(), run.definition.artefact_digest)):
        while batch := list(islice(group, LARGEST_BATCH)):
            runs.save(principal, batch)
            for run in batch:
                shutil.rmtree(runs.directory / run.id)
            moved += len(batch)
    return moved


def _readable(runs: RunStore, principal: Principal) -> Iterator[StoredRun]:
    for folder in _old(runs.directory):
        try:
            summary = runs.records.get_record(principal, RUN, folder.name).body
            if summary.get("pruned") or "batch" in summary:
                shutil.rmtree(folder)
            else:
                yield _read(runs.directory, folder)
        except (OSError, ValueError, KeyError, pa.ArrowException, NotFoundError) as error:
            _log.warning("run_not_moved", folder=str(folder), error=str(error))


def _old(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        yield from (one for one in sorted(directory.iterdir()) if re.fullmatch(r"[0-9a-f]{16}", one.name))


def _read(directory: Path, folder: Path) -> StoredRun:
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    times, inputs = numbers(pq.read_table(directory / "inputs" / f"{record['input_snapshot']}.parquet"))
    outputs, states = (
        numbers(pq.read_table(path))[1] if path.exists() else None for path in (folder / "outputs.parquet", folder / "states.parquet")
    )
    if outputs is not None and states is None:
        states = np.empty((times.size, 0))
    artefact = folder / "artefact"
    files = {path.relative_to(artefact).as_posix(): path.read_bytes() for path in sorted(artefact.rglob("*")) if path.is_file()}
    definition = ModelDefinition.from_data({**record["definition"], "artefacts": {}}).with_artefacts(files)
    log = (folder / "log.txt").read_text(encoding="utf-8")
    return StoredRun(record["id"], record, definition, times, inputs, outputs, states, log)
