"""FMUs of the examples and broken ones, built once from their C sources."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path
from typing import Any

import pytest

from twinwright.documents import Problems, parse_text
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.fmi.build import build_fmu
from twinwright.simulation.fmi.simulate import RunRequest, run_fmu
from twinwright.simulation.model_document import parse_model

BAD = Path(__file__).with_name("bad")
EXAMPLES = Path(__file__).parents[3] / "examples" / "fmus"


@pytest.fixture(scope="session")
def fmus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every example as NAMEVERSION.fmu."""
    spec = importlib.util.spec_from_file_location("build_all", EXAMPLES / "build_all.py")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("fmus")
    module.build_all(folder)
    common = [EXAMPLES / "model.h", EXAMPLES / "stepping.h", EXAMPLES / "fmi2.c", BAD / "bad.c"]
    build_fmu([BAD / "modelDescription2.xml", *common], folder / "bad2.fmu")
    build_fmu([BAD / "lying2.xml", *common], folder / "lying2.fmu")
    build_fmu([BAD / "modelDescription2.xml", BAD / "missing.c"], folder / "missing2.fmu")
    keeping = [BAD / "keeps2.xml", *common[:-1], BAD / "keeps.c"]
    for name, more in (("keeps", ()), ("draws", ("draws.c",)), ("builds", ("builds.c",)), ("threads", ("threads.c",))):
        build_fmu([*keeping, *(BAD / one for one in more)], folder / f"{name}2.fmu")
    return folder


@pytest.fixture
def fmu_model(fmus: Path):
    """`fmu_model("lag2", **fields)` is a definition of kind `fmu`; fields are YAML."""

    def make(name: str, folder: Path = fmus, **fields: str) -> ModelDefinition:
        given = {"name": "one", "version": "1", "kind": "fmu", "artefact": f"{name}.fmu", "outputs": "{y: {}}", "step": "PT0.5S"} | fields
        problems = Problems()
        document = parse_text("".join(f"{key}: {value}\n" for key, value in given.items()), "models/one.yaml", problems)
        definition = parse_model(document, folder, problems) if document else None
        assert definition is not None, problems.items
        return definition

    return make


@pytest.fixture
def run(fmus: Path):
    """`run("lag2", **request)` gives the one run of an FMU by itself."""

    def call(name: str | Path, **request: Any) -> dict[str, Any]:
        path = name if isinstance(name, Path) else fmus / f"{name}.fmu"
        return run_fmu(RunRequest(path, **request))["runs"][0]

    return call


@pytest.fixture
def changed(tmp_path: Path):
    """`changed(fmu, {name: bytes or None or a function of bytes})` is a copy of an FMU with files replaced, removed or rewritten."""

    def make(path: Path, changes: dict[str, Any], name: str = "changed.fmu") -> Path:
        target = tmp_path / name
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
            for info in old.infolist():
                change = changes.get(info.filename, old.read(info))
                content = change(old.read(info)) if callable(change) else change
                if content is not None:
                    new.writestr(info, content)
            for extra in set(changes) - set(old.namelist()):
                new.writestr(extra, changes[extra])
        return target

    return make
