"""What can be said of the contracts of a folder without a store: whether their examples hold, and their documents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twinwright.documents import Problems, load
from twinwright.errors import InvalidError, NotFoundError, UsageError
from twinwright.storage.layout import Lifetime
from twinwright.telemetry import contract_docs
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.contract_diff import differences
from twinwright.telemetry.contract_spec import ContractSpec, parse_contract
from twinwright.telemetry.examples import run_examples
from twinwright.twins.registry import TwinRegistry
from twinwright.workspace.load import Workspace


def try_contracts(workspace: Workspace, names: Sequence[str]) -> dict[str, Any]:
    """`passed failed examples[]{contract example passed differences[]}` of the contracts named, or of all. Raises NotFoundError."""
    twins = workspace.graph.twins.values()
    lifetimes = [Lifetime(number, twin.id, twin.interface, twin.since) for number, twin in enumerate(twins, 1)]
    paths = {dtmi: workspace.ontology.paths(dtmi) for dtmi in {life.interface for life in lifetimes}}
    registry = TwinRegistry(lifetimes, paths)
    tried = [one for contract in _chosen(workspace, names) for one in run_examples(contract, registry)]
    passed = sum(one.passed for one in tried)
    return {"passed": passed, "failed": len(tried) - passed, "examples": [one.as_json() for one in tried]}


def write_documents(workspace: Workspace, folder: Path) -> dict[str, Any]:
    """Write the document of every contract, and the JSON Schema; `files[]` in order. Raises UsageError where that can't be."""
    texts: dict[str, str] = {contract_docs.SCHEMA_FILE: json.dumps(contract_docs.json_schema(), indent=2) + "\n"}
    for name, contract in sorted(workspace.contracts.items()):
        texts |= {f"{name}.md": contract_docs.markdown(contract), f"{name}.html": contract_docs.page(contract)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"can't be written: {error.strerror}", where=str(folder), remedy="Name a folder of yours with --out") from error
    return {"files": [str(folder / file) for file in texts]}


def diff_files(old: Path, new: Path) -> dict[str, Any]:
    """`changes[]` between two files of one contract, and `raise_revision[]`. Raises InvalidError."""
    problems = Problems()
    specs = [_read(path, problems) for path in (old, new)]
    if problems or specs[0] is None or specs[1] is None:
        raise InvalidError(problems.items)
    name = specs[0].name
    found = changes({name: specs[0]}, {name: specs[1]})
    unraised = specs[1].revision <= specs[0].revision and any(not one["path"].startswith("$.examples") for one in found)
    return {"changes": found, "raise_revision": [name] if unraised else []}


def changes(old: Mapping[str, ContractSpec], new: Mapping[str, ContractSpec]) -> list[dict[str, Any]]:
    """`contract path before after effect why` of every difference between two sets of contracts."""
    found: list[dict[str, Any]] = []
    for name in sorted({*old, *new}):
        if name in old and name in new:
            found += [one.as_json() for one in differences(old[name], new[name])]
            continue
        added = name not in old
        effect, why = ("additive", "it is not applied yet") if added else ("compatible", "nothing more is taken in under it")
        revisions = [specs[name].revision if name in specs else None for specs in (old, new)]
        found.append({"contract": name, "path": "$", "before": revisions[0], "after": revisions[1], "effect": effect, "why": why})
    return found


def _read(path: Path, problems: Problems) -> ContractSpec | None:
    document = load(path, problems)
    return parse_contract(document, problems) if document else None


def _chosen(workspace: Workspace, names: Sequence[str]) -> list[Contract]:
    unknown = [name for name in names if name not in workspace.contracts]
    if unknown:
        known = ", ".join(sorted(workspace.contracts)) or "none"
        raise NotFoundError(f"there is no contract '{unknown[0]}'", remedy=f"There are: {known}")
    return [workspace.contracts[name] for name in (names or sorted(workspace.contracts))]
