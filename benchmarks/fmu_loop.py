"""An FMU stepped by us against the same loop written in C, and against FMPy's `simulate_fmu`.

The model is the lag of the examples (one input, one output, one state, a step of Euler's: nanoseconds), for co-simulation of FMI
2.0 and 3.0: set the input, step, get the output, both recorded. The rival in C does this and nothing else, compiled with the
same options, over the same library in the same process. `fmu_heavy_vs_fmpy_*`: the same lag with ten thousand steps of Euler's inside
each step, where all is the model. FMPy gets the same inputs as a signal. Rounds are interleaved, and each
side counts its median of processor time, which other work on the machine disturbs least.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks._result import compared

from twinwright.simulation.fmi.build import build_fmu
from twinwright.simulation.fmi.layout import Column, Settings
from twinwright.simulation.fmi.native import FLAGS, compiler
from twinwright.simulation.fmi.session import Session, Unit
from twinwright.simulation.protocol import Floats

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "fmus"
STEP = 0.01
HEAVY = 1e-6  # seconds of each internal step of the heavy model
RIVAL = """
#include <stddef.h>
#include <stdint.h>
int loop2(void *c, int (*set)(void *, const uint32_t *, size_t, const double *), int (*step)(void *, double, double, int),
          int (*get)(void *, const uint32_t *, size_t, double *), long n, double h, const double *u, double *y) {
  const uint32_t in = 0, out = 3;
  for (long i = 0; i + 1 < n; i++)
    if (set(c, &in, 1, u + i) > 1 || step(c, i * h, h, 1) > 1 || get(c, &out, 1, y + i + 1) > 1) return 1;
  return 0;
}
int loop3(void *c, int (*set)(void *, const uint32_t *, size_t, const double *, size_t),
          int (*step)(void *, double, double, _Bool, _Bool *, _Bool *, _Bool *, double *),
          int (*get)(void *, const uint32_t *, size_t, double *, size_t), long n, double h, const double *u, double *y) {
  const uint32_t in = 0, out = 3;
  _Bool event, end, early;
  double reached;
  for (long i = 0; i + 1 < n; i++)
    if (set(c, &in, 1, u + i, 1) > 1 || step(c, i * h, h, 1, &event, &end, &early, &reached) > 1 || get(c, &out, 1, y + i + 1, 1) > 1)
      return 1;
  return 0;
}
"""


class Ours:
    """A session of the lag, begun afresh for each round."""

    def __init__(self, folder: Path, version: int, internal_step: float | None = None) -> None:
        folder = folder / ("light" if internal_step is None else "heavy")
        folder.mkdir(exist_ok=True)
        code, endless = (EXAMPLES / "lag" / "lag.c").read_text(), "model_internal_step = INFINITY"
        assert endless in code
        (folder / "lag.c").write_text(code if internal_step is None else code.replace(endless, f"model_internal_step = {internal_step}"))
        sources = [EXAMPLES / "lag" / f"modelDescription{version}.xml", folder / "lag.c", EXAMPLES / f"fmi{version}.c"]
        self.version = version
        self.path, _ = build_fmu([*sources, EXAMPLES / "model.h", EXAMPLES / "stepping.h"], folder / f"lag{version}.fmu")
        self.unit = Unit(self.path.read_bytes(), self.path.name, folder / f"lag{version}", "cs")
        if not self.unit.loops.compiled:
            raise SystemExit(self.unit.loops.warning)
        self.columns = [Column(self.unit.description.by_name[name], 0, "linear") for name in ("u", "y")]

    def begin(self, inputs: Floats) -> Session:
        session = Session(self.unit, self.columns[:1], self.columns[1:], Settings())
        session.start(0.0, {}, inputs[0].copy(), inputs[1].copy())
        return session

    def run(self, times: Floats, inputs: Floats) -> tuple[float, Floats]:
        session = self.begin(inputs)
        outputs = np.full((times.size, 1), 0.0)
        began = time.thread_time()
        session.advance(times, inputs, outputs)
        seconds = time.thread_time() - began
        session.close()
        return seconds, outputs


class Rival:
    """The loop in C over an instance of ours."""

    def __init__(self, folder: Path, ours: Ours) -> None:
        source, library = folder / "rival.c", folder / "rival.so"
        source.write_text(RIVAL)
        subprocess.run([compiler(), *FLAGS, "-o", str(library), str(source)], check=True)
        self.loop: Any = getattr(ctypes.CDLL(str(library)), f"loop{ours.version}")
        self.ours = ours
        real = "Real" if ours.version == 2 else "Float64"
        functions = ours.unit.library.functions
        self.functions = [ctypes.c_void_p(functions[name]) for name in (f"Set{real}", "DoStep", f"Get{real}")]

    def run(self, times: Floats, inputs: Floats) -> tuple[float, Floats]:
        session = self.ours.begin(inputs)
        outputs = np.full((times.size, 1), 0.0)
        pointers = (ctypes.c_void_p(inputs.ctypes.data), ctypes.c_void_p(outputs.ctypes.data))
        began = time.thread_time()
        failed = self.loop(ctypes.c_void_p(session.instance.handle), *self.functions, times.size, ctypes.c_double(STEP), *pointers)
        seconds = time.thread_time() - began
        session.close()
        if failed:
            raise SystemExit("the rival's loop failed")
        return seconds, outputs


def by_fmpy(ours: Ours, times: Floats, inputs: Floats) -> tuple[float, Floats]:
    """`simulate_fmu` with an input signal; unpacking is left out, everything else it does is its own."""
    import fmpy

    signal = np.array(list(zip(times, inputs[:, 0], strict=True)), [("time", float), ("u", float)])
    folder = fmpy.extract(str(ours.path))
    description = fmpy.read_model_description(folder)
    began = time.thread_time()
    result = fmpy.simulate_fmu(
        folder,
        model_description=description,
        input=signal,
        output=["y"],
        fmi_type="CoSimulation",
        stop_time=float(times[-1]),
        step_size=STEP,
        output_interval=STEP,
        validate=False,
    )
    return time.thread_time() - began, np.asarray(result["y"])[:, None]


def measure(quick: bool) -> list[dict[str, Any]]:
    """Nanoseconds per step for 2.0 and 3.0 beside the loop in C, and beside FMPy; of a heavy model beside FMPy too."""
    steps, rounds, fewer = (200_000, 7, 2_000) if quick else (1_000_000, 15, 20_000)
    results = []
    with tempfile.TemporaryDirectory() as name:
        for version in (2, 3):
            ours = Ours(Path(name), version)
            rival = Rival(Path(name), ours)
            ways: dict[str, Callable[[Floats, Floats], tuple[float, Floats]]] = {"ours": ours.run, "rival": rival.run}
            per_step, _ = _compared(ways, steps, rounds)
            results.append(_result(f"fmu_loop_fmi{version}", per_step))
            ways = {"ours": ours.run, "rival": lambda times, inputs, ours=ours: by_fmpy(ours, times, inputs)}
            per_step, _ = _compared(ways, fewer, 3)
            results.append(_result(f"fmu_vs_fmpy_fmi{version}", per_step))
            heavy = Ours(Path(name), version, HEAVY)
            ways = {"ours": heavy.run, "rival": lambda times, inputs, heavy=heavy: by_fmpy(heavy, times, inputs)}
            per_step, _ = _compared(ways, *((300, 3) if quick else (2000, 5)))
            results.append(_result(f"fmu_heavy_vs_fmpy_fmi{version}", per_step))
    return results


def _compared(
    ways: dict[str, Callable[[Floats, Floats], tuple[float, Floats]]], steps: int, rounds: int
) -> tuple[dict[str, float], Floats]:
    times = np.arange(steps + 1) * STEP
    inputs = np.ascontiguousarray(np.sin(times)[:, None])
    spent: dict[str, list[float]] = {side: [] for side in ways}
    outputs: dict[str, Floats] = {}
    for _ in range(rounds):
        for side, way in ways.items():
            seconds, outputs[side] = way(times, inputs)
            spent[side].append(seconds)
    if not np.allclose(outputs["ours"], outputs["rival"], rtol=1e-9, atol=1e-12):
        raise SystemExit("the two do not compute the same")
    return {side: statistics.median(seconds) / steps * 1e9 for side, seconds in spent.items()}, outputs["ours"]


def _result(name: str, per_step: dict[str, float]) -> dict[str, Any]:
    return compared(name, per_step["ours"], per_step["rival"], "ns/step", "lower")


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
