"""What people install: a wheel that holds all that the program needs, and pinned packages from wherever they like."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import twinwright

REPOSITORY = Path(__file__).resolve().parent.parent
NEEDED = ("py.typed", "api/rpc/v1.proto", "calibration/report.css", "console/assets/console.css", "console/assets/console.js")


def test_the_wheel_holds_examples_and_assets(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    examples = {f"examples/{name}/twinwright.toml" for name in ("starter", "tanks", "host", "vehicle", "building", "service", "pump")}
    examples |= {"examples/tanks/data/synthetic.csv", "examples/vehicle/fmu/vehicle.c", "examples/vehicle/fmu/modelDescription.xml"}
    assert {f"twinwright/{name}" for name in examples.union(NEEDED)} - held == set()


def test_the_locked_requirements_name_no_index() -> None:
    for path in (REPOSITORY / "requirements").glob("*.txt"):
        lines = path.read_text("utf-8").splitlines()
        assert [line for line in lines if "://" in line or line.startswith("-")] == []
        pinned = [line for line in lines if line and not line.startswith((" ", "#"))]
        assert pinned
        assert all("==" in line and line.endswith("\\") for line in pinned)


def test_the_public_parts_are_there_once_they_are_named() -> None:
    asked = (
        "import twinwright, sys; assert 'twinwright.schema' not in sys.modules; print(twinwright.schema.load([]), twinwright.sdk.connect)"
    )
    asked += "\ntry: twinwright.schema.load([{}])\nexcept twinwright.schema.SchemaError as error: print(len(error.problems))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.endswith("\n1\n"), done.stderr
    assert not hasattr(twinwright, "nothing")
