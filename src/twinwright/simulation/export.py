"""A run as others can read it: a folder with its numbers, code and record, described as an RO-Crate 1.1 (https://w3id.org/ro/crate/1.1).

The crate says what was run (a software application with its version), on which inputs, by whom and when, and what came of it, as the
action that a workflow run crate describes: schema.org's CreateAction with `instrument`, `object`, `result` and `agent`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

from twinwright.clock import from_iso, to_iso
from twinwright.errors import StoreError, UsageError
from twinwright.simulation.provenance import explanation
from twinwright.simulation.run_files import StoredRun, write_series

METADATA: Final = "ro-crate-metadata.json"
_CONTEXT = "https://w3id.org/ro/crate/1.1/context"
_PARQUET = "application/vnd.apache.parquet"


def export_run(run: StoredRun, target: Path) -> dict[str, Any]:
    """Write the crate into `target`, which must be empty or not there. Raises UsageError, StoreError."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError("is not an empty folder", where=str(target), remedy="Name a new folder, or empty this one")
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        files = _write(run, part)
        (part / METADATA).write_text(json.dumps(metadata(run, files), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        if target.exists():
            target.rmdir()
        part.rename(target)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise StoreError(f"the run can't be exported: {error.strerror}", where=str(target), remedy="Check space and permissions") from error
    return {"id": run.id, "folder": str(target), "files": [METADATA, *(name for name, _ in files)]}


def _write(run: StoredRun, folder: Path) -> list[tuple[str, str]]:
    """The files of a run, and the media type of each."""
    start, definition = from_iso(run.record["from"]), run.definition
    tables: list[tuple[str, Any, tuple[Any, ...]]] = [("inputs.parquet", run.inputs, definition.inputs)]
    tables.append(("outputs.parquet", run.outputs, definition.outputs))
    files = []
    for name, values, ports in tables:
        if values is not None:
            write_series(folder / name, run.times, start, values, ports)
            files.append((name, _PARQUET))
    for name, content in sorted(run.definition.artefacts.items()):
        (folder / "artefact" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "artefact" / name).write_bytes(content)
        files.append((f"artefact/{name}", "text/x-python" if name.endswith(".py") else "application/octet-stream"))
    (folder / "record.json").write_text(json.dumps(run.record, indent=1, allow_nan=False), encoding="utf-8")
    (folder / "explanation.txt").write_text("\n".join(explanation(run.record)) + "\n", encoding="utf-8")
    (folder / "log.txt").write_text(run.log, encoding="utf-8")
    return [*files, ("record.json", "application/json"), ("explanation.txt", "text/plain"), ("log.txt", "text/plain")]


def metadata(run: StoredRun, files: list[tuple[str, str]]) -> dict[str, Any]:
    """The crate's metadata document."""
    record = run.record
    began = record["started"]
    ended = to_iso(from_iso(began) + round(record["seconds"] * 1e6))
    model = {
        "@id": "#model",
        "@type": "SoftwareApplication",
        "name": record["model"],
        "version": record["model_version"],
        "softwareRequirements": [f"{name} {version}" for name, version in record["versions"].items()],
    }
    if files_of_model := [{"@id": name} for name, _ in files if name.startswith("artefact/")]:
        model["hasPart"] = files_of_model
    action = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Run {run.id} of {record['model']} for {record['twin']}",
        "identifier": record["digest"],
        "startTime": began,
        "endTime": ended,
        "agent": {"@id": "#asker"},
        "instrument": {"@id": "#model"},
        "object": [{"@id": "inputs.parquet"}, *({"@id": f"#parameter-{name}"} for name in record["parameters"])],
        "result": [{"@id": name} for name, _ in files if name == "outputs.parquet"],
        "actionStatus": {"@id": f"http://schema.org/{'FailedActionStatus' if record['failure'] else 'CompletedActionStatus'}"},
    }
    if record["failure"]:
        action["error"] = f"{record['failure']['kind']}: {record['failure']['message']}"
    parameters = [
        {"@id": f"#parameter-{name}", "@type": "PropertyValue", "name": name, "value": one["value"], "unitText": one["unit"] or "1"}
        for name, one in record["parameters"].items()
    ]
    return {
        "@context": _CONTEXT,
        "@graph": [
            {
                "@id": METADATA,
                "@type": "CreativeWork",
                "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
                "about": {"@id": "./"},
            },
            {
                "@id": "./",
                "@type": "Dataset",
                "name": f"Simulation of {record['twin']} with {record['model']} {record['model_version']}",
                "description": " ".join(explanation(record)),
                "datePublished": began,
                "license": "The owner of the twin decides who may use this.",
                "hasPart": [{"@id": name} for name, _ in files],
                "mentions": {"@id": "#run"},
            },
            action,
            model,
            {"@id": "#asker", "@type": "Person", "name": record["principal"]},
            *parameters,
            *({"@id": name, "@type": "File", "name": name, "encodingFormat": kind} for name, kind in files),
        ],
    }
