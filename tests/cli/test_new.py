"""`new` writes what works as it is, under the name that was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.running import twinwright

from twinwright.cli.new import write_connector
from twinwright.errors import UsageError


def test_a_new_connector_passes_its_own_test_and_is_found_by_its_entry_point(tmp_path: Path) -> None:
    folder = tmp_path / "feed"
    answer = twinwright("new", "connector", "acme_feed", "--out", str(folder), "--json")
    assert answer.json["files"] == ["acme_feed.py", "pyproject.toml", "test_acme_feed.py"]
    assert "beacon" not in "".join(path.read_text().lower() for path in folder.iterdir())
    assert len((folder / "acme_feed.py").read_text().splitlines()) < 100
    passed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert passed.returncode == 0, passed.stdout
    info = folder / "twinwright_acme_feed-0.1.0.dist-info"  # as an installation leaves it
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: twinwright-acme-feed\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[twinwright.connectors]\nacme_feed = acme_feed:AcmeFeedSource\n")
    found = "from twinwright.connectors.registry import load_connectors as c; print(c()['acme_feed'].__name__)"
    said = subprocess.run(
        [sys.executable, "-c", found], env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=60
    )
    assert said.stdout.strip() == "AcmeFeedSource", said.stderr


@pytest.mark.parametrize("name", ["Acme", "acme-feed", "7up", "class", "a__b", "", "../x", "a_"])
def test_a_name_that_no_module_can_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name of a connector") as refused:
        write_connector(name, tmp_path / "x")
    assert "acme_feed" in (refused.value.remedy or "")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("name", "says"), [("mqtt", "there is a connector 'mqtt' already"), ("json", "a module of Python's own")])
def test_a_name_that_is_taken_is_refused(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        write_connector(name, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        write_connector("acme", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]
