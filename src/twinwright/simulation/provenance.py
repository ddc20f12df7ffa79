"""The record of a run: everything that decided it, what it cost, what it says about itself, and all of that in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from twinwright.clock import SECOND, format_duration, to_iso
from twinwright.governance.principals import Principal
from twinwright.simulation.digest import engine_versions, platform_tag
from twinwright.simulation.findings import check_constraint, columns, extrapolations
from twinwright.simulation.outcomes import Failure, Outcome, Success
from twinwright.simulation.protocol import Floats
from twinwright.simulation.registry import machine_of
from twinwright.simulation.resolve import Asked, ResolvedRun
from twinwright.simulation.scenario import InputChange


def common_of(principal: Principal, asked: Asked, started: int, model: dict[str, Any]) -> dict[str, Any]:
    """What the records of runs that were resolved together have in common; `model` is the definition as data. Made once for all of them."""
    definition, scenario = asked.definition, asked.scenario
    return {
        **dict.fromkeys(("id", "digest", "status", "failure")),
        "model": definition.name,
        "model_version": definition.version,
        "definition": model,
        "artefact_digest": definition.artefact_digest,
        "machine": dict(machine_of(definition)),
        "twin": scenario.twin,
        "scenario": scenario.name,
        "from": to_iso(asked.start),
        "samples": int(asked.times.size),
        **dict.fromkeys(("sweep", "member", "changes", "parameters")),
        "parameter_set": asked.parameter_set,
        "states": dict(asked.states),
        "inputs": [asdict(one) for one in asked.sources],
        **dict.fromkeys(("events", "seed")),
        "versions": dict(engine_versions()),
        "platform": platform_tag(),
        "started": to_iso(started),
        **dict.fromkeys(("seconds", "cost")),
        "limits": {"wall": scenario.limits.wall_seconds, "memory": scenario.limits.memory_bytes},
        "assumptions": list(definition.assumptions),
        **dict.fromkeys(("constraints", "warnings", "happened")),
        "principal": principal.name,
    }


def record_of(run: ResolvedRun, outcome: Outcome, id: str, seconds: float) -> dict[str, Any]:
    """What is kept of a run beside its numbers and what `common_of` says. Plain JSON."""
    asked, cost, size = run.asked, outcome.cost, 0
    failure = {"kind": outcome.kind, "message": outcome.message} if isinstance(outcome, Failure) else None
    happened: list[Any] = []
    if isinstance(outcome, Success):
        result = outcome.result
        found = findings(run, result["outputs"], result["states"], [str(one) for one in result["warnings"]])
        happened = [{"time": to_iso(asked.start + round(at * SECOND)), "what": str(name)} for at, name in result["events"]]
        size = result["outputs"].nbytes + result["states"].nbytes
    else:
        found = {"constraints": [], "warnings": list(asked.warnings)}
    parameters = run.parameters
    return {
        "id": id,
        "digest": run.digest,
        "status": "failed" if failure else "ok",
        "failure": failure,
        "sweep": dict(run.sweep),
        "member": run.member,
        "changes": {one.name: told for one in asked.definition.inputs if (told := _change(run.changes.get(one.name), one.unit))},
        "parameters": {one.name: {"value": parameters[one.name], "unit": one.unit} for one in asked.definition.parameters},
        "events": [one.told(asked.grid) for one in run.fired],
        "seed": run.seed,
        "seconds": seconds,
        "cost": {"cpu_seconds": cost.cpu_seconds, "peak_memory": cost.peak_memory, "bytes": size, "network_cut": cost.network_cut},
        "constraints": found["constraints"],
        "warnings": found["warnings"],
        "happened": happened,
    }


def findings(run: ResolvedRun, outputs: Floats, states: Floats, warnings: Sequence[str]) -> dict[str, Any]:
    """`constraints` and `warnings` of a run over its trajectories: they depend on the scenario, not on the numbers alone."""
    asked = run.asked
    if not asked.looks:
        return {"constraints": [], "warnings": [*asked.warnings, *warnings]}
    named = columns(asked.definition, run.inputs, outputs, states)
    kept = [check_constraint(one, asked.definition, named, asked.grid) for one in asked.scenario.constraints]
    outside = extrapolations(asked.definition, run.parameters, named, asked.grid)
    return {"constraints": kept, "warnings": [*asked.warnings, *warnings, *outside]}


def explanation(record: Mapping[str, Any]) -> list[str]:
    """A run in sentences: what was asked, of what, under which assumptions, how old its inputs were and what lay outside validity."""
    said = [
        f"Model {record['model']} {record['model_version']} was run for twin {record['twin']} from {record['from']} "
        f"over {record['samples']} samples, for scenario {record['scenario']}, asked by {record['principal']}."
    ]
    said.append(_ended(record))
    said += [f"It assumes that {text[0].lower()}{text[1:].rstrip('.')}." for text in record["assumptions"] if text]
    if not record["assumptions"]:
        said.append("The model declares no assumptions.")
    said.append(_parameters(record))
    changes = record.get("changes") or {}
    said += [_input(one, changes.get(one["name"], {})) for one in record["inputs"]]
    said += [_event(one) for one in record["events"]]
    outside = [text for text in record["warnings"] if "leaves its" in text or "lies outside" in text]
    said += [f"Outside of what the model is meant for: {text}." for text in outside]
    if not outside and record["status"] == "ok":
        said.append("Nothing left a declared range or the model's validity.")
    said += [f"Warning: {text}." for text in record["warnings"] if text not in outside]
    said += [_constraint(one) for one in record["constraints"]]
    said.append(f"Its digest is {record['digest']}; `twinwright runs verify {record['id']}` repeats it.")
    return said


def _ended(record: Mapping[str, Any]) -> str:
    if record["failure"]:
        return f"It failed ({record['failure']['kind']}): {record['failure']['message']}."
    return "It came to its end."


def _parameters(record: Mapping[str, Any]) -> str:
    values = ", ".join(f"{name} = {one['value']:g} {one['unit'] or ''}".strip() for name, one in record["parameters"].items())
    origin = f"parameter set {record['parameter_set']}" if record["parameter_set"] else "the scenario and the values declared in the model"
    return f"Its parameters are of {origin}: {values}." if values else "It has no parameters."


def _input(one: Mapping[str, Any], change: Mapping[str, Any]) -> str:
    unit = f" {change['unit']}" if change.get("unit") else ""
    factors = [f"times {change['scale']:g}"] if "scale" in change else []
    factors += [f"plus {change['add']:g}{unit}"] if "add" in change else []
    changed = f" It was taken {', '.join(factors)}." if factors else ""
    if one["origin"] == "constant":
        value = f" of {change['constant']:g}{unit}" if "constant" in change else ""
        return f"Input {one['name']} was given as a constant{value}.{changed}"
    source = f"the observed history of {one['path']}" if one["origin"] == "history" else "a file"
    age = format_duration(round(one["oldest_used"] * SECOND))
    text = f"Input {one['name']} came from {source}: {one['values']} values, the newest of {one['newest']}, none older than {age} when used"
    text += f", {one['bad']} bad ones passed over" if one["bad"] else ""
    gaps = [f"{gap['from']} to {gap['to']}" for gap in one["gaps"]]
    return text + (f"; gaps bridged: {', '.join(gaps)}." if gaps else ".") + changed


def _change(change: InputChange | None, own: str | None) -> dict[str, Any]:
    """What is not as it was observed or given: `constant`, `scale` and `add`, with the unit of the first and the last."""
    if change is None:
        return {}
    told = {"constant": change.constant} if change.constant is not None else {}
    told |= {"scale": change.scale} if change.scale != 1.0 else {}
    told |= {"add": change.add} if change.add != 0.0 else {}
    return {**told, "unit": change.unit if change.unit is not None else own} if told else {}


def _event(one: Mapping[str, Any]) -> str:
    lasting = f"for {one['for']}" if one.get("for") else "on"
    return f"From {one['time']} {lasting}: {one['what']}{' because ' + one['when'] if one['when'] else ''}."


def _constraint(one: Mapping[str, Any]) -> str:
    if one["kept"]:
        return f"The constraint {one['constraint']} is kept."
    return f"The constraint {one['constraint']} is violated, first at {one['first_violated']}."
