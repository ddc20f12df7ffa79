"""A plant with a model that takes its time, and sweeps of it that a test can interrupt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.acceptance.running import write
from tests.api.conftest import write_workspace

SLOW = """
name: slow
version: 1.0.0
kind: function
artefact: slow.py:f
inputs: {u: {property: drive, unit: V, hold: zero}}
outputs: {y: {unit: V}}
parameters: {seconds: {value: 0.05, unit: s}, k: {value: 1}}
step: PT1S
"""
SLOW_PY = "import time\n\n\ndef f(t, u, p):\n    time.sleep(p[0] if t == 0 else 0)\n    return (p[1] * u[0],)\n"


def sweep(count: int, seconds: float = 0.05, start: str = "2026-03-01T08:00:00Z") -> dict[str, Any]:
    """A scenario of so many runs, of so many seconds each."""
    return {
        "name": "sweep",
        "model": "slow",
        "twin": "pump-1",
        "from": start,
        "horizon": "PT2S",
        "inputs": {"u": {"constant": 2.0, "unit": "V"}},
        "parameters": {"seconds": seconds},
        "sweep": {"k": [float(index) for index in range(count)]},
    }


def slow_plant(folder: Path) -> Path:
    return write(
        write_workspace(folder), {"twinwright.toml": "[api]\nconsole = false\n", "models/slow.yaml": SLOW, "models/slow.py": SLOW_PY}
    )
