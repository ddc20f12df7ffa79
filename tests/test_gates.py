"""The gates of `conftest.py` close when they have to: on skips, and on a core room that its tests leave uncovered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

SKIPS = {
    "called": "import pytest\n\ndef test_one():\n    pytest.skip('not today')\n",
    "marked": "import pytest\n\n@pytest.mark.skip(reason='not today')\ndef test_one(): ...\n",
    "imported": "import pytest\n\npytest.importorskip('no_such_module_anywhere')\n",
    "xfailed": "import pytest\n\n@pytest.mark.xfail\ndef test_one():\n    assert False\n",
}
FOR_DATA = "import pytest\n\ndef test_one():\n    pytest.skip('../shared/data is not on this machine')\n"
FOR_A_MOUNT = "import pytest\n\ndef test_one():\n    pytest.skip('no file system can be mounted on this machine')\n"
ROOM = "def half(x):\n    if x:\n        return 1\n    return 2\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository under the same `conftest.py`."""
    root = tmp_path / "repository"
    (root / "tests").mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("conftest.py"), root / "tests")
    return root


def run_pytest(root: Path, *arguments: str, under: Sequence[str] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("COV", "TWINWRIGHT_", "PYTEST"))}
    (root / "pytest.ini").write_text("[pytest]\naddopts = -q -p no:cacheprovider\n")
    return subprocess.run(
        [*under, sys.executable, "-m", "pytest", *arguments, "tests"],
        cwd=root,
        env={**inherited, "PYTHONPATH": str(root), **environment},
        capture_output=True,
        text=True,
    )


def test_every_way_to_skip_fails_where_skips_are_forbidden(repository: Path) -> None:
    for name, code in SKIPS.items():
        (repository / "tests" / f"test_{name}.py").write_text(code)
    assert run_pytest(repository).returncode == 0
    forbidden = run_pytest(repository, "--continue-on-collection-errors", TWINWRIGHT_FORBID_SKIPS="1")
    assert forbidden.returncode == 1
    for name in SKIPS:
        assert any(f"test_{name}.py" in line and "skips are forbidden here" in line for line in forbidden.stdout.splitlines())


def test_only_what_is_really_not_there_may_be_a_reason(repository: Path) -> None:
    (repository / "tests" / "test_data.py").write_text(FOR_DATA)
    (repository / "tests" / "test_mount.py").write_text(FOR_A_MOUNT)
    without = ["setpriv", "--bounding-set", "-sys_admin"] if os.geteuid() == 0 else []
    assert run_pytest(repository, under=without, TWINWRIGHT_FORBID_SKIPS="1").returncode == 0
    (repository.parent / "shared" / "data").mkdir(parents=True)
    forbidden = run_pytest(repository, TWINWRIGHT_FORBID_SKIPS="1").stdout
    assert "FAILED tests/test_data.py" in forbidden
    may_mount = subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0
    assert ("FAILED tests/test_mount.py" in forbidden) == may_mount


@pytest.mark.parametrize(("calls", "code"), [("half(0), half(1)", 0), ("half(0)", 1)])
def test_each_core_room_has_to_be_covered_by_itself(repository: Path, calls: str, code: int) -> None:
    rooms = ("schema", "storage", "telemetry", "twins", "simulation")
    for room in rooms:
        (repository / "twinwright" / room).mkdir(parents=True)
        (repository / "twinwright" / room / "__init__.py").write_text(ROOM)
    (repository / "twinwright" / "__init__.py").touch()
    full = "".join(f"    from twinwright.{room} import half\n    half(0), half(1)\n" for room in rooms if room != "twins")
    (repository / "tests" / "test_it.py").write_text(f"def test_all():\n{full}    from twinwright.twins import half\n    {calls}\n")
    ended = run_pytest(repository, "--cov=twinwright", "--cov-branch", TWINWRIGHT_ROOM_COVERAGE="90")
    assert ended.returncode == code, ended.stdout
    assert ("the room twins is covered to" in ended.stdout) == bool(code)
    assert "the room schema" not in ended.stdout
