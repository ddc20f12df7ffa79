"""The page of a run: what came out, whether it kept its constraints, what it assumed and where all of it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinwright.calibration.page import facts, listed, number, page, quantity, table
from twinwright.calibration.plots import trajectory
from twinwright.clock import SECOND, from_iso
from twinwright.simulation.protocol import Floats
from twinwright.simulation.provenance import explanation
from twinwright.simulation.run_files import StoredRun

MAX_FIGURES = 24  # of outputs, and of inputs: what is beyond is in the tables
MAX_TILES = 8


def run_report(run: StoredRun) -> str:
    """One HTML page. Raises MissingExtraError where figures can't be drawn."""
    record, definition = run.record, run.definition
    grid = from_iso(record["from"]) + np.rint(run.times * SECOND).astype(np.int64)
    outputs = [] if run.outputs is None else [(one.name, one.unit, run.outputs[:, i]) for i, one in enumerate(definition.outputs)]
    inputs = [(one.name, one.unit, run.inputs[:, i]) for i, one in enumerate(definition.inputs)]
    verdict, good = _verdict(record)
    sections = [
        (f"Output {name}", trajectory(name, unit, grid, values, _marks(record, name))) for name, unit, values in outputs[:MAX_FIGURES]
    ]
    sections += [(f"Input {name}", trajectory(f"{name} ", unit, grid, values)) for name, unit, values in inputs[:MAX_FIGURES]]
    happened = [[one["time"], one["what"], ""] for one in record["happened"]]
    happened += [[one["time"], one["what"], one["when"] or "planned"] for one in record["events"]]
    log = [("Log", f"{listed(run.log.strip().splitlines()[-200:], '')}")] if run.log.strip() else []
    return page(
        title=f"{record['scenario']}: {record['model']} of {record['twin']}",
        verdict=verdict,
        good=good,
        tiles=[_tile(name, unit, values) for name, unit, values in outputs[:MAX_TILES]],
        sections=[
            ("Constraints", _constraints(record)),
            *sections,
            ("Outputs", _summary(outputs)),
            ("Parameters", _parameters(record)),
            *([("What happened", table(["Time", "What", "Because"], sorted(happened), set()))] if happened else []),
            ("Warnings", listed(record["warnings"], "Nothing to warn of.")),
            ("Assumptions of the model", listed(record["assumptions"], "The model declares none.")),
            ("In words", listed(explanation(record), "")),
            *log,
            ("Where it comes from", facts(_provenance(record))),
        ],
    )


def _verdict(record: Mapping[str, Any]) -> tuple[str, bool]:
    """The headline, and whether it is good news."""
    if record["failure"]:
        return f"It failed ({record['failure']['kind']}): {record['failure']['message']}.", False
    broken = [one for one in record["constraints"] if not one["kept"]]
    if broken:
        first = min(broken, key=lambda one: from_iso(one["first_violated"]))
        others = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        return f"It came to its end, but {first['constraint']} is violated from {first['first_violated']}{others}.", False
    if not record["constraints"]:
        return "It came to its end. No constraint was asked of it.", True
    count = len(record["constraints"])
    return f"It came to its end and kept {'its constraint' if count == 1 else f'all {count} constraints'}.", True


def _marks(record: Mapping[str, Any], name: str) -> list[int]:
    """When the constraints that speak of an output are first violated."""
    from twinwright.expressions import parse

    broken = [one for one in record["constraints"] if not one["kept"]]
    return [from_iso(one["first_violated"]) for one in broken if name in parse(one["constraint"]).names]


def _constraints(record: Mapping[str, Any]) -> str:
    rows = []
    for one in record["constraints"]:
        worst = f"{quantity(one['worst'], one['unit'])} at {one['worst_at']}" if "worst" in one else ""
        rows.append([one["constraint"], "kept" if one["kept"] else "violated", one.get("first_violated", ""), worst])
    if not rows:
        return listed([], "None was asked of it." if not record["failure"] else "It did not come to its end.")
    return table(["Constraint", "", "First violated", "Worst by"], rows, set())


def _tile(name: str, unit: str | None, values: NDArray[np.float64]) -> tuple[str, str, str]:
    least, most = float(values.min()), float(values.max())
    return f"{name} at the end", quantity(float(values[-1]), unit), f"between {number(least)} and {number(most)}"


def _summary(outputs: list[tuple[str, str | None, Floats]]) -> str:
    rows = [
        [name, unit or "", *(number(float(one)) for one in (values[0], values[-1], values.min(), values.mean(), values.max()))]
        for name, unit, values in outputs
    ]
    if not rows:
        return listed([], "There are none: the run failed.")
    return table(["Output", "Unit", "First", "Last", "Least", "Mean", "Greatest"], rows, set(range(2, 7)))


def _parameters(record: Mapping[str, Any]) -> str:
    rows = [[name, number(one["value"]), one["unit"] or ""] for name, one in record["parameters"].items()]
    return table(["Parameter", "Value", "Unit"], rows, {1}) if rows else listed([], "It has none.")


def _provenance(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    swept = ", ".join(f"{name} = {number(value)}" for name, value in record["sweep"].items())
    cost = record["cost"]
    return [
        ("Run", record["id"]),
        ("Digest", record["digest"]),
        ("Model", f"{record['model']} {record['model_version']}, artefact {record['artefact_digest'][:16]}"),
        ("Parameters", record["parameter_set"] or "the scenario and the declared values"),
        ("Inputs", f"SHA-256 {str(record.get('input_snapshot'))[:16]}"),
        ("Seed", str(record["seed"])),
        *([("Sweep", swept)] if swept else []),
        *([("Member", str(record["member"]))] if record["member"] is not None else []),
        ("Versions", ", ".join(f"{name} {version}" for name, version in record["versions"].items())),
        ("Platform", record["platform"]),
        ("Cost", f"{number(record['seconds'])} s, {number(cost['cpu_seconds'])} s of processor"),
        ("Made", f"{record['started']} by {record['principal']}"),
        ("Check it", f"twinwright runs verify {record['id']}"),
    ]
