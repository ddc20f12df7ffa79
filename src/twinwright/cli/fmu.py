"""The commands of a Functional Mock-up Unit by itself: no workspace is needed."""

from __future__ import annotations

import re
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import Json, app
from twinwright.errors import UsageError

fmu = typer.Typer(help="Functional Mock-up Units (FMI 2.0 and 3.0): describe, run, draft a model of, build.", no_args_is_help=True)
app.add_typer(fmu, name="fmu")
_ALIKE = 3  # warnings of one sort that people are shown
File = Annotated[Path, typer.Argument(metavar="FILE", help="An .fmu file.")]


class KindName(StrEnum):
    """How an FMU is run."""

    cs = "cs"
    me = "me"


class Method(StrEnum):
    """How model exchange is integrated: ours, compiled; or SciPy's, for stiff models."""

    euler = "euler"
    rk4 = "rk4"
    dopri5 = "dopri5"
    radau = "Radau"
    bdf = "BDF"
    lsoda = "LSODA"


@fmu.command("info")
def info(file: File, as_json: Json = False) -> None:
    """Describe and check an FMU: every problem, with the clause of FMI. Exit code 1 when it can't be run."""
    from twinwright.simulation.fmi.info import describe

    result = describe(file)
    output.finish(result, as_json, _show_info, good=bool(result["valid"]))


def _show_info(r: dict[str, Any]) -> None:
    names = ("name", "description", "fmi_version", "kinds", "platforms", "sources", "tool", "generated")
    output.fields({name: ", ".join(r[name]) if isinstance(r[name], list) else r[name] for name in names if r[name] not in (None, [])})
    typer.echo("default experiment: " + ", ".join(f"{name} {output.text(value)}" for name, value in r["default_experiment"].items()))
    for kind, flags in r["capabilities"].items():
        told = [name if value is True else f"{name}={output.text(value)}" for name, value in flags.items() if value is not False]
        typer.echo(f"{kind}: {', '.join(told) or 'no capabilities'}")
    shown = [one for one in r["variables"] if one["causality"] != "local"]
    rows = [[v["name"], v["type"], v["causality"], v["variability"], v["start"], v["unit"], v["description"]] for v in shown]
    output.table(["variable", "type", "causality", "variability", "start", "unit", "description"], rows, empty="no variables")
    if len(shown) != len(r["variables"]):
        typer.echo(f"and {len(r['variables']) - len(shown)} local ones (--json shows them)")
    _show_problems(r["problems"])
    typer.echo("can be run" if r["valid"] else "can't be run")


def _show_problems(problems: list[dict[str, Any]]) -> None:
    """Every error, and the first warnings of each sort: one habit of a tool is in each of the thousands of variables that it writes."""
    count = Counter[str]()
    for one in problems:
        like = f"{one['severity']}s like it. {one['remedy']} [{one['clause']}]"
        count[like] += 1
        line = f" (line {one['line']})" if one["line"] else ""
        if one["severity"] == "error" or count[like] <= _ALIKE:
            typer.echo(f"{one['severity']}: {one['message']}{line}. {one['remedy']} [{one['clause']}]")
    for like, number in count.items():
        if number > _ALIKE and like.startswith("warning"):
            typer.echo(f"and {number - _ALIKE} more {like} (--json shows them)")


@fmu.command("run")
def run(
    file: File,
    start: Annotated[float | None, typer.Option("--start", help="In seconds (default: of the FMU's default experiment, else 0).")] = None,
    stop: Annotated[float | None, typer.Option("--stop", help="In seconds, included.")] = None,
    step: Annotated[float | None, typer.Option("--step", help="In seconds: between samples, and of co-simulation.")] = None,
    kind: Annotated[KindName | None, typer.Option("--kind", help="Default: co-simulation where there is one.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A start value, with a unit if you like: 'P=2 kW'; repeatable.")
    ] = None,
    inputs: Annotated[Path | None, typer.Option("--input", help="A CSV file: time in seconds, then a column for each input.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the outputs to this CSV file.")] = None,
    method: Annotated[
        Method | None, typer.Option("--method", help="Of model exchange (default: dopri5, or BDF where that finds the model stiff).")
    ] = None,
    tolerance: Annotated[float | None, typer.Option("--tolerance", help="Relative (default: the FMU's, else 1e-6).")] = None,
    wall: Annotated[str, typer.Option("--wall", help="How long it may take.")] = "PT5M",
    log: Annotated[bool, typer.Option("--log", help="Let the FMU write what it does.")] = False,
    record: Annotated[
        list[str] | None, typer.Option("--record", metavar="NAME", help="Record this variable, too, which is no output; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate an FMU; samples from start to stop, both included. Exit code 1 when the run failed."""
    from twinwright.simulation.child import Limits
    from twinwright.simulation.declaration import duration_seconds
    from twinwright.simulation.fmi.info import write_csv
    from twinwright.simulation.fmi.simulate import RunRequest, run_fmu

    try:
        limits = Limits(wall_seconds=duration_seconds(wall))
    except ValueError as error:
        raise UsageError(str(error), where="--wall", remedy="Write a duration such as PT5M") from None
    request = RunRequest(
        file,
        start,
        stop,
        step,
        kind.value if kind else None,
        _pairs(settings or []),
        inputs,
        method and method.value,
        tolerance,
        log,
        record or [],
        limits,
    )
    result = run_fmu(request)
    (one,) = result["runs"]
    good = one["status"] == "ok"
    if out is not None and good:
        write_csv(out, one["outputs"])

    def show(_: dict[str, Any]) -> None:
        failure = f": {one['failure']['kind']}: {one['failure']['message']}" if one["failure"] else ""
        typer.echo(f"run {one['id'][:12]} {one['status']}{failure} ({one['seconds']:.2f} s, digest {one['digest'][:12]})")
        rows = [_row(name, given) for name, given in one["outputs"].items()]
        if rows:
            output.table(["output", "unit", "samples", "first", "last", "min", "max"], rows, empty="")
        if not good and one["log"].strip():
            typer.echo("log:\n" + "\n".join(f"  {line}" for line in one["log"].strip().splitlines()[-20:]))
        for warning in one["warnings"]:
            typer.echo(f"warning: {warning}")
        if out is not None and good:
            typer.echo(f"written to {out}")

    output.finish(result, as_json, show, good=good)


def _row(name: str, given: dict[str, Any]) -> list[Any]:
    values = given["values"]
    numbers = values if values and isinstance(values[0], int | float) else []
    ends = [values[0], values[-1]] if values else [None, None]
    return [name, given["unit"], len(values), *ends, *([min(numbers), max(numbers)] if numbers else [None, None])]


_SETTING = re.compile(r"((?:'(?:[^'\\]|\\.)*'|[^='])+)=(.*)", re.DOTALL)  # within quotes a structured name may have what it likes


def _pairs(settings: list[str]) -> dict[str, str]:
    found = {}
    for text in settings:
        quoted = _SETTING.fullmatch(text)
        name, sign, value = (quoted[1], "=", quoted[2]) if quoted else text.partition("=")
        if not sign or not name.strip():
            raise UsageError(f"'{text}' is not NAME=VALUE", where="--set", remedy="Write --set k=2, or --set 'P=2 kW'")
        found[name.strip()] = value
    return found


@fmu.command("model")
def model(
    file: File,
    out: Annotated[Path | None, typer.Option("--out", help="Write it to this file, beside which the FMU belongs.")] = None,
    kind: Annotated[KindName | None, typer.Option("--kind", help="Default: co-simulation where there is one.")] = None,
    as_json: Json = False,
) -> None:
    """Draft a model file (`models/*.yaml`) of an FMU, to be edited."""
    from twinwright.simulation.fmi.draft import draft_model

    text = draft_model(file, kind.value if kind else None)
    if out is not None:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"can't be written: {error.strerror}", where=str(out), remedy="Name another file") from None
    output.finish({"yaml": text, "file": str(out) if out else None}, as_json, lambda r: typer.echo(f"model {out}" if out else r["yaml"]))


@fmu.command("build")
def build(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCES...", help="A model description (.xml), C files, or folders of them.")],
    out: Annotated[Path | None, typer.Option("--out", help="The file to write (default: the model's name, here).")] = None,
    with_sources: Annotated[bool, typer.Option("--with-sources", help="Put the sources into it, too.")] = False,
    binary: Annotated[bool, typer.Option("--binary/--no-binary", help="Put a library for this machine into it.")] = True,
    as_json: Json = False,
) -> None:
    """Compile C sources into an FMU for this machine, and check it."""
    from twinwright.simulation.fmi.build import build_fmu

    path, findings = build_fmu(sources, out, with_sources=with_sources, with_binary=binary)
    result = {"fmu": str(path), "problems": [one.as_json() for one in findings]}

    def show(r: dict[str, Any]) -> None:
        _show_problems(r["problems"])
        typer.echo(f"fmu {r['fmu']}")

    output.finish(result, as_json, show)
