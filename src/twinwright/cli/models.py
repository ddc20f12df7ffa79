"""The commands of simulation, calibration and validation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Fork, From, Json, To, Workspace, app, opened
from twinwright.cli.plot import plotted
from twinwright.errors import UsageError

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model's name or the path of its file.")]
Twin = Annotated[str, typer.Option("--twin", help="The twin whose history is used.")]
Parameters = Annotated[str | None, typer.Option("--parameters", help="The id of a parameter set (default: the promoted one).")]


def named(text: str) -> str:
    """A name as it is; the path of a file from where the command was given, which a running platform does not know."""
    path = Path(text)
    return str(path.resolve()) if path.suffix in (".yaml", ".yml") and path.is_file() else text


@app.command()
def simulate(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario's name or the path of its file.")],
    executor: Annotated[str | None, typer.Option("--executor", help="dask://127.0.0.1:8786, tls://HOST:8786, or local.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run again what is stored already.")] = False,
    plot: Annotated[
        bool | None, typer.Option("--plot/--no-plot", help="Draw the outputs (default: where the output is a terminal).")
    ] = None,
    fork: Fork = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Run a scenario and keep the runs. Exit code 1 when a run failed."""
    with opened(workspace, fork) as platform, output.progress("simulating", not as_json) as bar:
        result = platform.simulate(named(scenario), executor=executor, fresh=fresh, progress=bar)
    drawn = not as_json and (sys.stderr.isatty() if plot is None else plot)

    def show(r: dict[str, Any]) -> None:
        several = len({run["twin"] for run in r["runs"]}) > 1
        for run in r["runs"]:
            failure = f": {run['failure']['kind']}: {run['failure']['message']}" if run["failure"] else ""
            twin = f" {run['twin']}" if several else ""
            sweep = f" {run['sweep']}" if run.get("sweep") else ""
            typer.echo(f"run {run['id'][:12]}{twin}{sweep} {run['status']}{failure} ({run['seconds']:.2f} s, digest {run['digest'][:12]})")
            rows = [[n, o["unit"], len(o["values"]), *_ends(o["values"])] for n, o in (run["outputs"] or {}).items()]
            if rows:
                output.table(["output", "unit", "samples", "first", "last", "min", "max"], rows, empty="")
            if drawn:
                typer.echo(plotted(run["outputs"] or {}), err=True)
            for constraint in run.get("constraints") or []:
                typer.echo(_kept(constraint))
            for warning in run.get("warnings") or []:
                typer.echo(f"warning: {warning}")

    output.finish(result, as_json, show, good=all(run["status"] == "ok" for run in result["runs"]))


def _kept(constraint: dict[str, Any]) -> str:
    """A constraint in words: `worst` is there where one value was compared with one limit."""
    text = f"constraint {constraint['constraint']}"
    if constraint["kept"]:
        return f"{text}: kept"
    count = constraint["samples_violated"]
    text += f": violated first at {constraint['first_violated']}, in {count} {'sample' if count == 1 else 'samples'}"
    if "worst" not in constraint:
        return text
    return f"{text}, worst by {output.text(constraint['worst'])} {constraint['unit'] or ''}".rstrip() + f" at {constraint['worst_at']}"


def _ends(values: list[float | None]) -> list[float | None]:
    known = [value for value in values if value is not None]
    return [known[0], known[-1], min(known), max(known)] if known else [None] * 4


runs = typer.Typer(help="The run store.", no_args_is_help=True)
app.add_typer(runs, name="runs")
RunId = Annotated[str, typer.Argument(metavar="ID", help="An id or its beginning.")]


@runs.command("list")
def runs_list(fork: Fork = None, workspace: Workspace = HERE, as_json: Json = False) -> None:
    """All runs, oldest first."""
    with opened(workspace, fork) as platform:
        found = platform.runs()

    def show(r: dict[str, Any]) -> None:
        rows = [[x["id"][:12], x["status"], x["model"], x["twin"], x["scenario"], x["digest"][:12]] for x in r["runs"]]
        output.table(["id", "status", "model", "twin", "scenario", "digest"], rows, empty="no runs")

    output.finish({"runs": found}, as_json, show)


@runs.command("show")
def runs_show(id: RunId, fork: Fork = None, workspace: Workspace = HERE, as_json: Json = False) -> None:
    """A run's whole record, with outputs and log."""
    with opened(workspace, fork) as platform:
        result = platform.run(id)
    output.finish(result, as_json, lambda r: output.fields({k: v for k, v in r.items() if k != "outputs"}))


@runs.command("verify")
def runs_verify(id: RunId, fork: Fork = None, workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Repeat a run and compare bytes. Exit code 1 when they differ."""
    with opened(workspace, fork) as platform:
        result = platform.verify_run(id)
    output.finish(result, as_json, output.fields, good=bool(result["verified"]))


@runs.command("compare")
def runs_compare(
    first: Annotated[str, typer.Argument(metavar="A", help="An id or its beginning.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Name the first thing that differs between two runs."""
    with opened(workspace) as platform:
        result = platform.compare_runs(first, second)
    output.finish(result, as_json, output.fields)


@runs.command("explain")
def runs_explain(id: RunId, fork: Fork = None, workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Say in words what a run assumed, how old its inputs were and what lay outside validity."""
    with opened(workspace, fork) as platform:
        result = platform.explain_run(id)
    output.finish(result, as_json, lambda r: typer.echo("\n".join(r["sentences"])))


@runs.command("report")
def runs_report(
    id: RunId,
    file: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where to write it (default: run-ID.html here).", dir_okay=False)
    ] = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Write a run as one HTML page: plots, constraints, assumptions, provenance."""
    with opened(workspace) as platform:
        full = platform.run(id, outputs=False)["id"]
        text = platform.run_report(full)
    target = file or Path(f"run-{full[:12]}.html")
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the page can't be written: {error.strerror}", where=str(target), remedy="Name another file") from None
    output.finish({"id": full, "report": str(target.resolve())}, as_json, lambda r: typer.echo(f"report {r['report']}"))


@runs.command("export")
def runs_export(
    id: RunId,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or empty folder.")],
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Write a run to a folder: Parquet, code and record, described as an RO-Crate."""
    with opened(workspace) as platform:
        result = platform.export_run(id, str(folder.resolve()))
    output.finish(result, as_json, output.fields)


@runs.command("prune")
def runs_prune(
    older_than: Annotated[str, typer.Option("--older-than", help="A duration, such as P90D.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Remove old runs, and the inputs that no other run has."""
    with opened(workspace) as platform:
        result = platform.prune_runs(older_than=older_than, dry_run=dry_run)
    output.finish(result, as_json, output.fields)


@app.command()
def calibrate(
    model: Model,
    twin: Twin,
    start: From = None,
    end: To = None,
    holdout: Annotated[float, typer.Option("--holdout", help="The share of time at the end that the fit does not see.")] = 0.3,
    only: Annotated[str | None, typer.Option("--only", help="Estimate only these, separated by commas.")] = None,
    parameters: Annotated[
        str | None, typer.Option("--parameters", help="The id of a parameter set to start from (default: the model's own values).")
    ] = None,
    fork: Fork = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Fit a model to a twin's history, judged on a holdout; in a fork with --holdout 0."""
    names = [name.strip() for name in only.split(",")] if only else None
    with opened(workspace, fork) as platform:
        result = platform.calibrate(named(model), twin=twin, start=start, end=end, holdout=holdout, only=names, parameters=parameters)

    def show(r: dict[str, Any]) -> None:
        typer.echo(f"parameter set {r['id'][:12]}")
        rows = [[n, p["value"], p["low"], p["high"], p["unit"]] for n, p in r["parameters"].items()]
        output.table(["parameter", "value", "low 95 %", "high 95 %", "unit"], rows, empty="no parameters")
        _show_metrics(r["metrics"])
        _show_rest(r)

    output.finish(result, as_json, show)


@app.command()
def validate(
    model: Model,
    twin: Twin,
    start: From = None,
    end: To = None,
    parameters: Parameters = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Judge a model on a window of a twin's history."""
    with opened(workspace) as platform:
        result = platform.validate(named(model), twin=twin, start=start, end=end, parameters=parameters)

    def show(r: dict[str, Any]) -> None:
        typer.echo(f"validation {r['id'][:12]}")
        _show_metrics({"model": r["metrics"], "baseline": r.get("baseline")})
        _show_rest(r)

    output.finish(result, as_json, show)


def _show_metrics(metrics: dict[str, Any]) -> None:
    columns = [(name, values) for name, values in metrics.items() if isinstance(values, dict)]
    names = [name for name, value in columns[0][1].items() if not isinstance(value, dict | list)] if columns else []
    rows = [[name, *(values.get(name) for _, values in columns)] for name in names]
    output.table(["metric", *(name for name, _ in columns)], rows, empty="no metrics")


def _show_rest(result: dict[str, Any]) -> None:
    for warning in result.get("warnings") or []:
        typer.echo(f"warning: {warning}")
    if result.get("report"):
        typer.echo(f"report {result['report']}")


@app.command()
def promote(
    model: Model,
    id: Annotated[str, typer.Argument(metavar="ID", help="A parameter set.")],
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Make a parameter set the promoted one, if the gate lets it pass. Exit code 1 when it does not."""
    with opened(workspace) as platform:
        result = platform.promote(named(model), id)
    output.finish(result, as_json, output.fields, good=bool(result["promoted"]))
