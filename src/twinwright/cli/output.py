"""What commands print: tables for people, or one JSON document and nothing else."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from twinwright.errors import InvalidError, TwinwrightError


def finish(result: Any, as_json: bool, show: Callable[[Any], None], *, good: bool = True) -> None:
    """Print a result; exit with 1 when the answer is no."""
    if as_json:
        sys.stdout.write(json.dumps(_finite(result), ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n")
    else:
        show(result)
    if not good:
        raise typer.Exit(1)


def fail(error: TwinwrightError, as_json: bool) -> int:
    """Print an error; its exit code."""
    if as_json:
        sys.stdout.write(json.dumps({"error": error.as_json()}, ensure_ascii=False) + "\n")
    elif isinstance(error, InvalidError):
        for problem in error.problems:
            typer.echo(f"error: {problem}", err=True)
    else:
        typer.echo(f"error: {error}", err=True)
    return error.exit_code


def _finite(value: Any) -> Any:
    """Missing numbers are null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
    """A plain table; a sentence where there is nothing."""
    from rich.console import Console
    from rich.table import Table

    if not rows:
        typer.echo(empty)
        return
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(text(cell) for cell in row))
    Console(soft_wrap=False, markup=False, emoji=False).print(made)  # `[kWh]` is a unit, and `:car:` a part of a name


def text(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def fields(result: Mapping[str, Any]) -> None:
    """Name and value, a line each."""
    width = max((len(name) for name in result), default=0)
    for name, value in result.items():
        typer.echo(f"{name:<{width}}  {text(value)}")


def receipt(result: Mapping[str, Any]) -> None:
    """A receipt in words."""
    dead = result["dead_lettered"]
    refused = sum(dead.values())
    why = f" ({', '.join(f'{count} {reason}' for reason, count in dead.items())})" if dead else ""
    typer.echo(
        f"received {result['received']}: accepted {result['accepted']} (late {result['late']}, conflict {result['conflict']}), "
        f"duplicate {result['duplicate']}, dead-lettered {refused}{why}"
    )
    rest = {name: result[name] for name in ("superseded", "retracted", "still_refused") if name in result}
    if rest:
        typer.echo(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in rest.items()))
    typer.echo(f"token {result['token']}, {result['seconds']:.2f} s")


@contextmanager
def progress(label: str, shown: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error while a command works; none where nobody watches."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
