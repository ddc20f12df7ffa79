"""Python functions that users write for their models: looked at without running them, and loaded inside a child."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from twinwright.documents import Document, Problems
from twinwright.errors import Problem
from twinwright.simulation.protocol import ModelError

NodeT = TypeVar("NodeT", ast.FunctionDef, ast.ClassDef)


def split_reference(reference: str) -> tuple[str, str]:
    """`tanks.py:rhs` as file and function; the function is empty where none is named."""
    file, _, function = reference.partition(":")
    return file, function


def check_function(
    reference: str,
    arguments: Sequence[str],
    place: Sequence[str | int],
    document: Document,
    artefacts: Mapping[str, bytes],
    problems: Problems,
) -> None:
    """Add to `problems` unless the file that `reference` names defines the function with these positional arguments."""
    file, name = split_reference(reference)
    shape = f"{name or 'function'}({', '.join(arguments)})"
    node = _defined(reference, ast.FunctionDef, f"def {shape}:", place, document, artefacts, problems)
    if node is None:
        return
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    required = len(positional) - len(given.defaults)
    if given.vararg is None and not required <= len(arguments) <= len(positional):
        message = f"'{name}' takes {len(positional)} arguments, {len(arguments)} are passed"
        problems.add(Problem(message, f"Define it as `def {shape}:`", file, node.lineno, code="bad_signature"))


def check_class(
    reference: str, place: Sequence[str | int], document: Document, artefacts: Mapping[str, bytes], problems: Problems
) -> ast.ClassDef | None:
    """The definition of the class that `reference` names; None, and why in `problems`, where its file has none."""
    name = split_reference(reference)[1]
    return _defined(reference, ast.ClassDef, f"class {name or 'Model'}:", place, document, artefacts, problems)


def _defined(
    reference: str,
    kind: type[NodeT],
    line: str,
    place: Sequence[str | int],
    document: Document,
    artefacts: Mapping[str, bytes],
    problems: Problems,
) -> NodeT | None:
    """What a file defines at its top level under a name, found without running the file."""
    what = "class" if kind is ast.ClassDef else "function"
    file, name = split_reference(reference)
    if not name or not file.endswith(".py"):
        problems.add(document.problem(place, f"'{reference}' names no Python {what}", f"Write it as file.py:{what}", "bad_reference"))
        return None
    try:
        tree = ast.parse(artefacts[file], file)
    except SyntaxError as error:
        problems.add(Problem(f"not valid Python: {error.msg}", "Mend the syntax at this line", file, error.lineno, code="syntax"))
        return None
    except (ValueError, RecursionError, MemoryError) as error:
        problems.add(Problem(f"not valid Python: {error}", "Save it as UTF-8 text without NUL bytes", file, code="syntax"))
        return None
    found = {node.name: node for node in tree.body if isinstance(node, kind)}
    if name not in found:
        near = get_close_matches(name, found, 1)
        remedy = f"Did you mean '{near[0]}'?" if near else f"Define `{line}` at its top level"
        problems.add(document.problem(place, f"{file} defines no {what} '{name}'", remedy, f"unknown_{what}"))
        return None
    return found[name]


def load_module(file: str, folder: Path) -> ModuleType:
    """Run a Python file as a fresh module; its folder can be imported from. What the file raises is passed on."""
    path = folder / file
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(f"model_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModelError("refused", f"{file} can't be loaded as Python", remedy="Name a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def load_function(reference: str, folder: Path) -> Callable[..., Any]:
    """The function that `file.py:function` names. Raises ModelError where there is none."""
    file, name = split_reference(reference)
    function: Callable[..., Any] | None = getattr(load_module(file, folder), name, None)
    if not callable(function):
        raise ModelError("refused", f"{file} has no function '{name}' once it is loaded", remedy="Define it at the top level")
    return function
