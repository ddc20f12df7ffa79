"""Many short runs, each kept, durable, with its provenance: how much of the machine is the model's own, and how many a second.

`many_runs_busy_*`: processor time inside the model over wall time and cores, for runs of about 1 ms and 20 ms; the rival is the share that
is asked for, 0.5 and 0.9. `many_runs_fmu_busy_*`: the same of an FMU, stepped so finely that it takes as long. `many_runs_own_ms`: what a
run of that FMU costs beyond its model, in milliseconds of all cores; the rival is what is asked for, 2. `many_runs_vs_fmpy`: runs a second
of an FMU with a swept parameter, beside a pool of processes in which FMPy's `simulate_fmu` does the same and writes each result to a
Parquet file: no digest, no limits, no catalogue.
"""

from __future__ import annotations

import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.fmu_loop import EXAMPLES

import twinwright
from twinwright.simulation.fmi.build import build_fmu

INTERFACE = """{"@context": "dtmi:dtdl:context;3", "@id": "dtmi:bench:Thing;1", "@type": "Interface",
 "contents": [{"@type": "Property", "name": "level", "schema": "double"}]}"""
BUSY = """
name: busy
version: 1.0.0
kind: ode
artefact: busy.py:rhs
interface: dtmi:bench:Thing;1
states: {x: {start: 1}}
outputs: {x: {}}
parameters: {k: {value: 0.1}}
step: PT1S
"""
CODE = """
from math import sin

def rhs(t, x, u, p):
    total = 0.0
    for i in range(%d):
        total += sin(total + i)
    return (p[0] * total * 1e-9 - x[0],)
"""
LAG = """
name: lag
version: 1.0.0
kind: fmu
artefact: lag.fmu
interface: dtmi:bench:Thing;1
outputs: {y: {}}
inputs: {u: {}}
parameters: {T: {value: 2}}
step: PT0.1S
"""
SCENARIO = """
name: %s
model: %s
twin: thing
from: 2026-03-01T08:00:00Z
horizon: %s
%s
sweep: {lhs: %d, %s: [1, 3]}
"""
SHARES = (("busy_1ms", 0.5, "short"), ("busy_20ms", 0.9, "longer"), ("fmu_busy_1ms", 0.5, "fine"), ("fmu_busy_20ms", 0.9, "finer"))
SAMPLES, LOOPS_A_MS = 31, 900


def measure(quick: bool) -> list[dict[str, Any]]:
    """Shares of processor time, and runs a second."""
    count = 400 if quick else 10_000
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _workspace(folder, count)
        results = []
        with twinwright.open(folder) as platform:
            platform.apply()
            for label, asked, scenario in SHARES:
                count_done, wall, inside = _simulated(platform, scenario)
                results.append(_result(f"many_runs_{label}", inside / (wall * cores), asked, "share"))
                if scenario == "fine":
                    own = 1e3 * (wall * cores - inside) / count_done
                    results.append({**_result("many_runs_own_ms", own, 2.0, "ms"), "better": "lower"})
            platform.simulate("warm-lag", fresh=True)
            began = time.perf_counter()
            done = len(platform.simulate("lag", fresh=True)["runs"])
            ours = done / (time.perf_counter() - began)
        rival = _by_fmpy(folder / "models" / "lag.fmu", folder / "rival", count // 4, cores)
        return [*results, _result("many_runs_vs_fmpy", ours, rival, "runs/s")]


def _simulated(platform: Any, scenario: str) -> tuple[int, float, float]:
    """How many runs there were, the wall time, and the processor time inside the model, of a hundred of them scaled up."""
    platform.simulate(f"warm-{scenario}", fresh=True)
    began = time.perf_counter()
    runs = platform.simulate(scenario, fresh=True)["runs"]
    wall = time.perf_counter() - began
    some = runs[:: max(1, len(runs) // 100)]
    inside = sum(platform.run(one["id"])["cost"]["cpu_seconds"] for one in some)
    return len(runs), wall, inside * len(runs) / len(some)


def _workspace(folder: Path, count: int) -> None:
    for part in ("schema", "models", "scenarios"):
        (folder / part).mkdir()
    (folder / "twinwright.toml").write_text("")
    (folder / "schema" / "thing.json").write_text(INTERFACE)
    (folder / "twins.yaml").write_text('twins:\n  - {$dtId: thing, $metadata: {$model: "dtmi:bench:Thing;1"}}\n')
    sources = [EXAMPLES / "lag" / "modelDescription2.xml", EXAMPLES / "lag" / "lag.c", EXAMPLES / "fmi2.c"]
    build_fmu([*sources, EXAMPLES / "model.h", EXAMPLES / "stepping.h"], folder / "models" / "lag.fmu")
    for name, loops, runs in (("short", LOOPS_A_MS, count), ("longer", 20 * LOOPS_A_MS, max(100, count // 10))):
        (folder / "models" / f"{name}.py").write_text(CODE % (loops * 10 // (4 * (SAMPLES - 1)) + 1))
        (folder / "models" / f"{name}.yaml").write_text(BUSY.replace("busy", name))
        for label, many in ((name, runs), (f"warm-{name}", 8)):
            (folder / "scenarios" / f"{label}.yaml").write_text(SCENARIO % (label, name, f"PT{SAMPLES - 1}S", "", many, "k"))
    for name, substep, runs in (("lag", None, count), ("fine", "PT0.0005S", count), ("finer", "PT0.000025S", max(100, count // 10))):
        step = f"communication_step: {substep}\n" if substep else ""
        (folder / "models" / f"{name}.yaml").write_text(LAG.replace("name: lag", f"name: {name}") + step)
        for label, many in ((name, runs), (f"warm-{name}", 8)):
            (folder / "scenarios" / f"{label}.yaml").write_text(SCENARIO % (label, name, "PT10S", "inputs: {u: {constant: 1}}", many, "T"))


def _by_fmpy(path: Path, target: Path, count: int, cores: int) -> float:
    """Runs a second."""
    import fmpy

    target.mkdir()
    unpacked = str(fmpy.extract(str(path)))
    values = np.random.default_rng(1).uniform(1, 3, count)
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        list(pool.map(_one, [(unpacked, str(target), -index, 2.0) for index in range(1, 2 * cores + 1)]))
        began = time.perf_counter()
        list(pool.map(_one, [(unpacked, str(target), index, value) for index, value in enumerate(values)]))
        return count / (time.perf_counter() - began)


def _one(work: tuple[str, str, int, float]) -> None:
    import fmpy

    unpacked, target, index, value = work
    signal = np.array([(0.0, 1.0), (10.0, 1.0)], [("time", float), ("u", float)])
    result = fmpy.simulate_fmu(
        unpacked, input=signal, output=["y"], start_values={"T": value}, fmi_type="CoSimulation", stop_time=10.0, step_size=0.1,
        output_interval=0.1, validate=False,
    )  # fmt: skip
    pq.write_table(pa.table({name: result[name] for name in result.dtype.names}), f"{target}/{index}.parquet", compression="zstd")


def _result(name: str, ours: float, rival: float, unit: str) -> dict[str, Any]:
    return {
        "name": name,
        "ours": round(ours, 4),
        "rival": round(rival, 4),
        "ratio": round(ours / rival, 4),
        "unit": unit,
        "better": "higher",
    }
