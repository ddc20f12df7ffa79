"""The commands of submitted scenarios: `runs submit`, `queue`, `watch`, `cancel`, `fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Json, Workspace, opened
from twinwright.cli.models import named, runs
from twinwright.errors import UsageError

RequestId = Annotated[str, typer.Argument(metavar="REQUEST", help="An id or its beginning.")]


@runs.command("submit")
def runs_submit(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario's name or the path of its file.")],
    priority: Annotated[str, typer.Option("--priority", help="low, normal, high, or a number: the higher, the sooner.")] = "normal",
    executor: Annotated[str | None, typer.Option("--executor", help="dask://127.0.0.1:8786, tls://HOST:8786, or local.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run again what is stored already.")] = False,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Have a scenario run in the background of a running platform; remembered over restarts."""
    with opened(workspace) as platform:
        result = platform.submit_run(named(scenario), priority=priority, executor=executor, fresh=fresh)
    output.finish(result, as_json, output.fields)


@runs.command("queue")
def runs_queue(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """What was submitted: what runs and waits, in its turn, then what was finished last."""
    with opened(workspace) as platform:
        found = platform.run_requests()

    def show(r: dict[str, Any]) -> None:
        rows = [[x["id"][:12], x["status"], x["priority"], x["scenario"], _far(x), x["eta_seconds"]] for x in r["requests"]]
        output.table(["request", "status", "priority", "scenario", "runs", "seconds left"], rows, empty="nothing was submitted")

    output.finish({"requests": found}, as_json, show)


def _far(request: dict[str, Any]) -> str:
    return f"{request['total']}" if request["done"] is None else f"{request['done']} of {request['total']}"


@runs.command("watch")
def runs_watch(id: RequestId, workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Wait for a request; without a running platform, run it here. Exit code 1 when it or one of its runs failed."""
    with opened(workspace) as platform, output.progress("simulating", not as_json) as bar:
        result = platform.watch_request(id, progress=bar)
    output.finish(result, as_json, output.fields, good=result["status"] == "done" and not result["failed"])


@runs.command("cancel")
def runs_cancel(id: RequestId, workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Run no more of a request; runs that had ended are kept."""
    with opened(workspace) as platform:
        result = platform.cancel_request(id)
    output.finish(result, as_json, output.fields)


@runs.command("fetch")
def runs_fetch(
    id: RequestId,
    file: Annotated[Path, typer.Option("--output", metavar="FILE", help="Where to write it: .parquet, .csv or .arrow.", dir_okay=False)],
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Write the outputs of all runs of a request to one file."""
    with opened(workspace) as platform:
        body = platform.request_results(id, format=file.suffix.removeprefix(".") or "parquet")
    try:
        file.write_bytes(body)
    except OSError as error:
        raise UsageError(f"the file can't be written: {error.strerror}", where=str(file), remedy="Name another file") from None
    output.finish({"file": str(file.resolve()), "bytes": len(body)}, as_json, output.fields)
