"""What a start is spared."""

import importlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from twinwright.cli.spared import spared


def test_a_library_is_hidden_from_its_thread_alone_and_found_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    elsewhere: list[object] = []
    with spared("colorsys"):
        with pytest.raises(ModuleNotFoundError, match="colorsys"):
            importlib.import_module("colorsys")
        thread = threading.Thread(target=lambda: elsewhere.append(importlib.import_module("colorsys")))
        thread.start()
        thread.join()
    assert elsewhere == [importlib.import_module("colorsys")]


def test_commands_load_no_pandas_and_no_compiler(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", str(Path(sys.executable).with_name("twinwright"))]
    subprocess.run([*command, "init", str(tmp_path / "w"), "--example", "host"], capture_output=True, check=True)
    done = subprocess.run([*command, "apply", "-w", str(tmp_path / "w")], capture_output=True, text=True, check=True)
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert {"pyarrow", "polars", "twinwright.platform.local"} < loaded
    assert not {"pandas.core", "numba", "pint", "httpx", "scipy"} & loaded
