"""The example workspaces that `init` copies."""

from __future__ import annotations

import shutil
from pathlib import Path

from twinwright.errors import UsageError

_PRIVATE = shutil.ignore_patterns(".twinwright", "__pycache__", "*.pyc", "README.md", "generate.py", "demo.py", "demo")


def examples_root() -> Path:
    """Inside an installed package, or beside the sources."""
    packaged = Path(__file__).parents[1] / "examples"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "examples"


def copy_example(name: str, folder: Path) -> None:
    """Raises UsageError for an unknown example and for a folder that has something in it."""
    root = examples_root()
    names = sorted(path.name for path in root.iterdir() if (path / "twinwright.toml").is_file()) if root.is_dir() else []
    if name not in names:
        raise UsageError(f"there is no example '{name}'", remedy=f"There are: {', '.join(names) or 'none'}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("the folder is not empty", where=str(folder), remedy="Name a new one")
    try:
        shutil.copytree(root / name, folder, ignore=_PRIVATE, dirs_exist_ok=True)
        (folder / ".gitignore").write_text(".twinwright/\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"can't be written: {error.strerror}", where=str(folder), remedy="Check the path and its permissions") from error


def commands_before(folder: Path) -> list[str]:
    """What has to be done to an example before it can be applied: an FMU that comes as its source is built for this machine."""
    source = folder / "fmu"
    if not (source / "modelDescription.xml").is_file():
        return []
    return [f"twinwright fmu build {source} --out {path.with_suffix('.fmu')}" for path in sorted((folder / "models").glob("*.yaml"))]
