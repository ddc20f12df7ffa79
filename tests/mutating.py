"""Broken variants of the platform, each a module that puts something else in the place of what it has."""

import importlib.util
from pathlib import Path
from types import ModuleType


def variant(path: Path) -> ModuleType:
    """One of them, by its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
