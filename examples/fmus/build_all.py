"""Build the example FMUs of this folder: `python examples/fmus/build_all.py FOLDER`, or `make fmus`."""

from __future__ import annotations

import sys
from pathlib import Path

from twinwright.simulation.fmi.build import build_fmu

HERE = Path(__file__).resolve().parent
MODELS = (("lag", 2), ("lag", 3), ("ball", 2), ("ball", 3), ("signals", 2), ("signals", 3), ("arrays", 3))


def build(folder: Path, model: str, version: int, **options: bool) -> Path:
    """One FMU: its description, its C file, and the interface of that version of FMI over it."""
    sources = [HERE / model / f"modelDescription{version}.xml", HERE / model / f"{model}.c", HERE / f"fmi{version}.c"]
    return build_fmu([*sources, HERE / "model.h", HERE / "stepping.h"], folder / f"{model}{version}.fmu", **options)[0]


def build_all(folder: Path) -> list[Path]:
    """All of them."""
    return [build(folder, model, version, with_sources=True) for model, version in MODELS]


if __name__ == "__main__":
    for path in build_all(Path(sys.argv[1])):
        print(path)
