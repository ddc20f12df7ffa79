"""Run the benchmarks: `python -m benchmarks [--quick] [NAME ...]`.

A benchmark is a module of this folder with `measure(quick: bool)`, which returns one result or a list of them:
`{"name", "ours", "rival", "ratio", "unit", "better"}`, where `better` is "higher" or "lower". Each module runs in a fresh
interpreter, so that none warms, or wears out, another. A table for people goes to standard error, one JSON line per
result to standard output; the exit code is 1 when any of them failed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
FIRST = "ingest_vs_decode"  # the figure that everything else is read beside
FIELDS = ("name", "ours", "rival", "ratio", "unit", "better")
WHOLE_ONLY = (
    "fleet_touched",
    "fork_creation",
    "graph_import",
    "graph_patches",
    "http_point_read",
    "kafka_vs_consume",
    "many_runs",
    "mqtt_vs_consume",
    "postgres_writers",
    "query_vs_recursive",
    "sealed_days",
    "shadow_runs",
    "window_aggregate",
)  # not in the quick version unless they are named
LIMIT_SECONDS = {True: 45.0, False: 1800.0}  # of one module, quick or not


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one module came to: its results, or why there are none."""

    module: str
    results: tuple[dict[str, Any], ...] = ()
    failure: str | None = None
    seconds: float = 0.0


def modules(folder: Path = HERE) -> list[str]:
    """The names of the benchmarks: every module that defines `measure`, the ingest figure first."""
    names = [file.stem for file in folder.glob("*.py") if not file.stem.startswith("_") and "\ndef measure(" in file.read_text("utf-8")]
    return sorted(names, key=lambda name: (name != FIRST, name))


def run(module: str, *, quick: bool, limit: float, package: str = "benchmarks") -> Outcome:
    """Measure one module in a fresh interpreter, for at most `limit` seconds."""
    command = [sys.executable, "-m", "benchmarks", "--only", f"{package}.{module}", *(["--quick"] if quick else [])]
    begin = time.perf_counter()
    try:
        child = subprocess.run(command, check=False, capture_output=True, text=True, timeout=limit, cwd=HERE.parent)
    except subprocess.TimeoutExpired:
        return Outcome(module, failure=f"not done after {limit:g} s", seconds=limit)
    seconds = time.perf_counter() - begin
    if child.returncode:
        return Outcome(module, failure=child.stderr.strip() or f"exit code {child.returncode}", seconds=seconds)
    return Outcome(module, tuple(json.loads(child.stdout.splitlines()[-1])), seconds=seconds)


def measure(module: str, *, quick: bool) -> list[dict[str, Any]]:
    """The results of one module, in this interpreter. Raises ValueError for a result without the fixed fields."""
    answer = importlib.import_module(module).measure(quick)
    results = answer if isinstance(answer, list) else [answer]
    for result in results:
        if missing := [field for field in FIELDS if field not in result]:
            raise ValueError(f"a result of {module} lacks {', '.join(missing)}")
    return results


def table(outcomes: list[Outcome]) -> Table:
    """The results for people: ratio is ours over the rival's."""
    shown = Table("benchmark", "ours", "rival", "unit", "ratio", "better", "took", box=None, header_style="bold")
    for outcome in outcomes:
        for name, ours, rival, unit, ratio, better in _cells(outcome):
            shown.add_row(name, ours, rival, unit, ratio, better, f"{outcome.seconds:.1f} s")
        if outcome.failure is not None:
            shown.add_row(outcome.module, f"[red]failed: {outcome.failure.splitlines()[-1]}", "", "", "", "", f"{outcome.seconds:.1f} s")
    return shown


def _cells(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for result in outcome.results:
        numbers = {key: "-" if result[key] is None else f"{result[key]:,.4g}" for key in ("ours", "rival", "ratio")}
        yield result["name"], numbers["ours"], numbers["rival"], result["unit"], numbers["ratio"], result["better"]


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Twinwright beside what it is built on.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="the benchmarks to run (default: all)")
    parser.add_argument("--quick", action="store_true", help="smaller, under a minute in all")
    parser.add_argument("--only", metavar="MODULE", help=argparse.SUPPRESS)  # how a run starts its children
    options = parser.parse_args(arguments)
    if options.only:
        print(json.dumps(measure(options.only, quick=options.quick)))
        return 0
    known = modules()
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(known) or 'none'}")
    console = Console(stderr=True)
    outcomes = []
    for name in options.names or [one for one in known if not (options.quick and one in WHOLE_ONLY)]:
        console.print(f"[dim]measuring {name} ...")
        outcomes.append(outcome := run(name, quick=options.quick, limit=LIMIT_SECONDS[options.quick]))
        for result in outcome.results:
            print(json.dumps(result), flush=True)
        if outcome.failure is not None:
            console.print(outcome.failure, style="red", markup=False, highlight=False)
    console.print(table(outcomes))
    return 1 if any(outcome.failure is not None for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
