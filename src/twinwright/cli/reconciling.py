"""`reconcile`: state against history, history against its sources, and the holes in it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, From, Json, To, Workspace, app, opened
from twinwright.errors import UsageError


@app.command()
def reconcile(
    against: Annotated[
        str | None, typer.Option("--against", metavar="FILE|URL|source", help="A snapshot that the source gives of itself.")
    ] = None,
    contract: Annotated[
        str | None, typer.Option("--contract", help="The contract that reads the snapshot, or whose gaps are told.")
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Ingest what is missing.")] = False,
    gaps: Annotated[bool, typer.Option("--gaps", help="Tell where history has holes, of the last day or from --from to --to.")] = False,
    start: From = None,
    end: To = None,
    run: Annotated[str | None, typer.Option("--run", metavar="NAME", help="Do what [reconcile.NAME] says, now.")] = None,
    show_list: Annotated[bool, typer.Option("--list", help="What is compared at regular times, with its last result.")] = False,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Recompute state from history, compare, repair; or compare history with a snapshot; or tell gaps. Exit code 1 where they differ."""
    if sum((against is not None, gaps, run is not None, show_list)) > 1:
        raise UsageError("--against, --gaps, --run and --list exclude each other", where="command line", remedy="Give one of them")
    if not gaps and (start is not None or end is not None):
        raise UsageError("--from and --to are for --gaps", where="command line", remedy="Leave them out, or ask for --gaps")
    with opened(workspace) as platform:
        if show_list:
            output.finish(platform.reconciliations(), as_json, _show_list)
            return
        if run is not None:
            result = platform.run_reconciliation(run)
        elif gaps:
            result = platform.gaps(contract, start=start, end=end)
        else:
            result = platform.reconcile(against=against, contract=contract, repair=repair)
    show = _show_gaps if gaps else _show_differences if "items" in result else output.fields
    output.finish(result, as_json, show, good="error" not in result and result["inconsistent"] == result["repaired"])


def _show_differences(result: dict[str, Any]) -> None:
    rows = [[i["kind"], i["twin"], i["path"], i["unit"], i["theirs"], i["theirs_at"], i["ours"], i["ours_at"]] for i in result["items"]]
    output.table(["what", "twin", "path", "unit", "theirs", "at", "ours", "at"], rows, empty="no differences")
    output.fields({name: value for name, value in result.items() if name != "items"})


def _show_gaps(result: dict[str, Any]) -> None:
    rows = [[i["twin"], i["path"], i["source"], i["from"], i["to"], i["missing"]] for i in result["items"]]
    output.table(["twin", "path", "source", "after", "until", "missing"], rows, empty="no gaps")
    output.fields({"checked": result["checked"], "gaps": result["inconsistent"], "missing": result["missing"]})


def _show_list(jobs: list[dict[str, Any]]) -> None:
    rows = []
    for one in jobs:
        last = one["last"] or {}
        what = one["against"] or "state"
        rows.append(
            [one["name"], what, one["contract"], one["every_seconds"], last.get("at"), last.get("outcome"), last.get("inconsistent")]
        )
    output.table(["name", "against", "contract", "every [s]", "last", "outcome", "inconsistent"], rows, empty="nothing in twinwright.toml")
