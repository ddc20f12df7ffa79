"""Many short runs, each kept, durable, with its provenance: how much of the machine is the model's own, and how many a second.

`many_runs_busy_*`: processor time inside the model over wall time and cores, for runs of about 1 ms and 20 ms; the rival is the share that
is asked for, 0.5 and 0.9. `many_runs_fmu_busy_*`: the same of an FMU, stepped so finely that it takes as long. `many_runs_own_ms`: what a
run of that FMU costs beyond its model, in milliseconds of processor time; the rival is what is asked for, 2. `many_runs_vs_fmpy`: runs a
second of an FMU with a swept parameter, beside a pool of processes in which FMPy's `simulate_fmu`, given the unpacked FMU and its model
description, which each process has read once, does the same and writes each result to a Parquet file: no digest, no limits, no catalogue.
(joblib in place of the pool takes as long.)

Wall time is that of an idle machine or says little. So each figure that is over wall time comes a second time, `*_processor`: over the
processor time of this process, of its children and of theirs. `load` is how many processes wanted a processor meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks._result import compared
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
SAMPLES, LOOPS_A_MS = 31, 2500


@dataclass(slots=True)
class Spent:
    """What a number of runs took: wall time, and processor time of all processes concerned, in seconds."""

    runs: int = 0
    wall: float = 0.0
    processor: float = 0.0

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        wall, processor = time.perf_counter(), _processor_seconds()
        yield
        self.wall += time.perf_counter() - wall
        self.processor += _processor_seconds() - processor


def _processor_seconds() -> float:
    """Of this process and all that descend from it, those that have ended included."""
    total = time.process_time()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(child.cpu_times()[:4])
    return total


def measure(quick: bool) -> list[dict[str, Any]]:
    """Shares of processor time, and runs a second."""
    count, rounds = (400, 1) if quick else (10_000, 3)
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _workspace(folder, count)
        results = []
        with twinwright.open(folder) as platform:
            platform.apply()
            for label, asked, scenario in SHARES:
                spent, inside = _simulated(platform, scenario)
                results.append(compared(f"many_runs_{label}", inside / (spent.wall * cores), asked, "share"))
                results.append(compared(f"many_runs_{label}_processor", inside / spent.processor, asked, "share"))
                if scenario == "fine":
                    own = 1e3 * (spent.processor - inside) / spent.runs
                    results.append(compared("many_runs_own_ms", own, 2.0, "ms", "lower"))
            return [*results, *_beside_fmpy(platform, folder, count // 4, rounds, cores)]


def _beside_fmpy(platform: Any, folder: Path, fewer: int, rounds: int, cores: int) -> list[dict[str, Any]]:
    """In turns, each side's rounds together."""
    ours, rival = Spent(), Spent()
    platform.simulate("warm-lag", fresh=True)
    for number in range(rounds):
        with ours.counting():
            ours.runs += len(platform.simulate("lag", fresh=True)["runs"])
        _by_fmpy(folder / "models" / "lag.fmu", folder / f"rival-{number}", fewer, cores, rival)
    return [
        compared("many_runs_vs_fmpy", ours.runs / ours.wall, rival.runs / rival.wall, "runs/s"),
        compared("many_runs_vs_fmpy_processor", ours.runs / ours.processor, rival.runs / rival.processor, "runs/s"),
    ]


def _simulated(platform: Any, scenario: str) -> tuple[Spent, float]:
    """What the runs took, and the processor time inside the model, of a hundred of them scaled up."""
    platform.simulate(f"warm-{scenario}", fresh=True)
    spent = Spent()
    with spent.counting():
        runs = platform.simulate(scenario, fresh=True)["runs"]
    spent.runs = len(runs)
    some = runs[:: max(1, len(runs) // 100)]
    inside = sum(platform.run(one["id"])["cost"]["cpu_seconds"] for one in some)
    return spent, inside * len(runs) / len(some)


def _workspace(folder: Path, count: int) -> None:
    for part in ("schema", "models", "scenarios"):
        (folder / part).mkdir()
    (folder / "twinwright.toml").write_text("")
    (folder / "schema" / "thing.json").write_text(INTERFACE)
    (folder / "twins.yaml").write_text('twins:\n  - {$dtId: thing, $metadata: {$model: "dtmi:bench:Thing;1"}}\n')
    sources = [EXAMPLES / "lag" / "modelDescription2.xml", EXAMPLES / "lag" / "lag.c", EXAMPLES / "fmi2.c"]
    build_fmu([*sources, EXAMPLES / "model.h", EXAMPLES / "stepping.h"], folder / "models" / "lag.fmu")
    for name, loops, runs in (("short", LOOPS_A_MS, count), ("longer", 20 * LOOPS_A_MS, count // 10)):
        (folder / "models" / f"{name}.py").write_text(CODE % (loops * 10 // (4 * (SAMPLES - 1)) + 1))
        (folder / "models" / f"{name}.yaml").write_text(BUSY.replace("busy", name))
        for label, many in ((name, runs), (f"warm-{name}", 8)):
            (folder / "scenarios" / f"{label}.yaml").write_text(SCENARIO % (label, name, f"PT{SAMPLES - 1}S", "", many, "k"))
    for name, substep, runs in (("lag", None, count), ("fine", "PT0.0005S", count), ("finer", "PT0.000025S", count // 10)):
        step = f"communication_step: {substep}\n" if substep else ""
        (folder / "models" / f"{name}.yaml").write_text(LAG.replace("name: lag", f"name: {name}") + step)
        for label, many in ((name, runs), (f"warm-{name}", 8)):
            (folder / "scenarios" / f"{label}.yaml").write_text(SCENARIO % (label, name, "PT10S", "inputs: {u: {constant: 1}}", many, "T"))


def _by_fmpy(path: Path, target: Path, count: int, cores: int, spent: Spent) -> None:
    import fmpy

    target.mkdir()
    unpacked = str(fmpy.extract(str(path)))
    values = np.random.default_rng(1).uniform(1, 3, count)
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        list(pool.map(_one, [(unpacked, str(target), -index, 2.0) for index in range(1, 2 * cores + 1)]))
        with spent.counting():
            list(pool.map(_one, [(unpacked, str(target), index, value) for index, value in enumerate(values)], chunksize=8))
    spent.runs += count


def _one(work: tuple[str, str, int, float]) -> None:
    import fmpy

    unpacked, target, index, value = work
    signal = np.array([(0.0, 1.0), (10.0, 1.0)], [("time", float), ("u", float)])
    result = fmpy.simulate_fmu(
        unpacked,
        input=signal,
        output=["y"],
        start_values={"T": value},
        fmi_type="CoSimulation",
        stop_time=10.0,
        step_size=0.1,
        output_interval=0.1,
        validate=False,
        model_description=_description(unpacked),
    )
    pq.write_table(pa.table({name: result[name] for name in result.dtype.names}), f"{target}/{index}.parquet", compression="zstd")


@cache
def _description(unpacked: str) -> Any:
    import fmpy

    return fmpy.read_model_description(unpacked)
