"""The commands of twins and telemetry, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from twinwright.cli import output
from twinwright.cli.spared import arrow_alone
from twinwright.errors import PlatformError, TwinwrightError, UsageError

if TYPE_CHECKING:
    from twinwright.platform.interface import Platform

app = typer.Typer(
    name="twinwright",
    help="Digital twins you can trust: telemetry in, state kept true, simulations calibrated, validated and repeatable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Workspace = Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.", envvar="TWINWRIGHT_WORKSPACE")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
From = Annotated[str | None, typer.Option("--from", help="Included; ISO 8601 with Z or an offset.")]
To = Annotated[str | None, typer.Option("--to", help="Not included; ISO 8601 with Z or an offset.")]
After = Annotated[int | None, typer.Option("--after", help="A receipt's token: wait until its batch can be seen.")]
Version = Annotated[str | None, typer.Option("--interface", metavar="DTMI", help="As a twin of this version of its interface.")]
Fork = Annotated[str | None, typer.Option("--fork", metavar="NAME", help="In this fork of the workspace.")]
KnownAt = Annotated[str | None, typer.Option("--known-at", help="As known at a commit number, or at a time.")]
Lane = Annotated[str, typer.Option("--lane", help="observed, desired, derived or simulated.")]
HERE = Path()


@contextmanager
def opened(workspace: Path, fork: str | None = None) -> Iterator[Platform]:
    """The platform of a workspace, or a fork of it, for one command: the running one, or the store opened here."""
    from twinwright.platform.remote import connect

    platform = connect(workspace, before_opening=arrow_alone)
    try:
        yield platform if fork is None else platform.fork(fork)
    finally:
        platform.close()


@cache
def _command() -> Any:
    """The tree of commands, which takes as long to lay out as many of them to run."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command; whatever goes wrong ends as a sentence and an exit code."""
    import signal

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    as_json = "--json" in sys.argv
    try:
        sys.exit(_command()(prog_name="twinwright", standalone_mode=not as_json))
    except TyperException as error:  # a wrong command line; without --json it has been shown with the usage
        usage = getattr(getattr(error, "ctx", None), "command_path", "twinwright")
        wrong = UsageError(error.format_message().rstrip("."), where="command line", remedy=f"See: {usage} --help")
        sys.exit(output.fail(wrong, as_json))
    except TwinwrightError as error:
        sys.exit(output.fail(error, as_json))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("TWINWRIGHT_DEBUG"):
            raise
        failed = PlatformError(f"{type(error).__name__}: {error}", remedy="Set TWINWRIGHT_DEBUG=1 to see where, and please report it")
        sys.exit(output.fail(failed, as_json))


# --- workspace -------------------------------------------------------------------------------------------------------


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")],
    example: Annotated[str, typer.Option("--example", help="Which example to start from.")] = "starter",
    as_json: Json = False,
) -> None:
    """Make a workspace that runs at once."""
    from twinwright.cli.examples import copy_example

    copy_example(example, folder)
    result = {"workspace": str(folder.resolve())}
    output.finish(result, as_json, lambda r: typer.echo(f"workspace {r['workspace']}\nNext: twinwright up --workspace {folder}"))


@app.command()
def plan(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Show what applying the folder would change."""
    with opened(workspace) as platform:
        result = platform.plan()
    output.finish(result, as_json, _show_changes)


@app.command()
def apply(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Apply the folder in one audited transaction."""
    with opened(workspace) as platform:
        result = platform.apply()
    output.finish(result, as_json, _show_changes)


def _show_changes(result: dict[str, Any]) -> None:
    rows = [[c["change"], c["kind"], c["id"], c["effect"], c["detail"]] for c in result["changes"]]
    output.table(["change", "what", "name", "effect", "detail"], rows, empty="nothing to change")
    if result.get("deletes", {}).get("values"):
        gone = result["deletes"]
        size = gone["bytes"] / 1e6
        typer.echo(f"Retention deletes up to {gone['values']} values of {gone['readings']} readings, about {size:.1f} MB, for good")
    if result["breaking"]:
        typer.echo("There are breaking changes: `twinwright apply` refuses them.")
    for one in result["migrations"]:
        steps = [[s["step"], s["twins"], f"{'' if s['exact'] else 'at most '}{s['observations']}", s["clients"]] for s in one["steps"]]
        typer.echo(f"{one['name']}: {one['from']} to {one['to']}")
        output.table(["step", "twins", "observations", "clients"], steps, empty="no steps: every path stays as it is")


# --- telemetry -------------------------------------------------------------------------------------------------------


@app.command()
def ingest(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of the contract's format.")],
    contract: Annotated[str, typer.Option("--contract", help="The contract that reads them.")],
    fork: Fork = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Load files; an interrupted load resumes."""
    with opened(workspace, fork) as platform, output.progress("ingesting", not as_json) as bar:
        result = platform.ingest([str(file) for file in files], contract, progress=bar)
    output.finish(result, as_json, output.receipt)


@app.command()
def replay(
    start: From = None,
    end: To = None,
    contract: Annotated[str | None, typer.Option("--contract", help="Only this contract's payloads.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and change nothing.")] = False,
    rate: Annotated[float | None, typer.Option("--rate", metavar="N", help="Read at most so many readings a second.")] = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Read the journal again, by receive time, under the applied contracts."""
    asked: dict[str, Any] = {"start": start, "end": end, "contract": contract, "rate": rate}
    with opened(workspace) as platform:
        if dry_run or not as_json:
            costs = platform.replay(**asked, dry_run=True)
            if dry_run:
                output.finish(costs, as_json, _show_cost)
                return
            _show_cost(costs)
        result = platform.replay(**asked)
    output.finish(result, as_json, output.receipt)


def _show_cost(result: dict[str, Any]) -> None:
    cost = result["cost"]
    typer.echo(
        f"{cost['rows']} readings to read again from {cost['journal_bytes'] / 1e6:.3g} MB of journal: about {cost['seconds']:.2g} s, "
        f"for {cost['pause_seconds']:.2g} s of which ingestion waits, and at most {cost['bytes'] / 1e6:.3g} MB"
    )


letters = typer.Typer(help="Readings and payloads that were refused, kept whole.", no_args_is_help=True)
app.add_typer(letters, name="dead-letters")


@letters.command("list")
def letters_list(
    contract: Annotated[str | None, typer.Option("--contract", help="Only those of this contract.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Only those refused for this reason.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Show no more than so many.")] = 100,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """List the open ones."""
    with opened(workspace) as platform:
        result = platform.dead_letters(contract=contract, reason=reason, limit=limit)

    def show(r: dict[str, Any]) -> None:
        rows = [[i["id"], i["reason"], i["contract"], i["detail"], i["position"], i["payload"][:60]] for i in r["items"]]
        output.table(["id", "reason", "contract", "detail", "position", "payload"], rows, empty="no dead letters")
        if rows:
            groups = [[g["count"], g["reason"], g["contract"], g["source"], g["oldest"], g["newest"]] for g in r["groups"]]
            output.table(["count", "reason", "contract", "source", "oldest", "newest"], groups, empty="")
            typer.echo(f"{r['total']} open: " + ", ".join(f"{count} {name}" for name, count in r["by_reason"].items()))

        if r["expired"]:
            typer.echo(f"{r['expired']} expired")

    output.finish(result, as_json, show)


@letters.command("show")
def letters_show(
    id: Annotated[int, typer.Argument(metavar="ID", help="As `list` shows it.")], workspace: Workspace = HERE, as_json: Json = False
) -> None:
    """Show one with its whole payload."""
    with opened(workspace) as platform:
        result = platform.dead_letter(id)
    output.finish(result, as_json, output.fields)


@letters.command("retry")
def letters_retry(
    ids: Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="All open ones when none is given.")] = None,
    contract: Annotated[str | None, typer.Option("--contract", help="Only those of this contract.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would become of them, and change nothing.")] = False,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Read them again under the applied contracts."""
    with opened(workspace) as platform:
        result = platform.retry_dead_letters(ids or None, contract=contract, dry_run=dry_run)

    def show(r: dict[str, Any]) -> None:
        if dry_run:
            typer.echo("dry run: nothing was changed")
        output.receipt(r)

    output.finish(result, as_json, show)


@letters.command("expire")
def letters_expire(
    older_than: Annotated[str | None, typer.Option("--older-than", help="P90D (default: dead_letters in [retention]).")] = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Let go of the payloads of old ones; they stay counted."""
    with opened(workspace) as platform:
        result = platform.expire_dead_letters(older_than=older_than)
    output.finish(result, as_json, output.fields)


# --- twins -----------------------------------------------------------------------------------------------------------


@app.command()
def state(
    twin: Annotated[str | None, typer.Argument(metavar="[TWIN]", help="All twins when none is given.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="True of the world at this time.")] = None,
    known_at: KnownAt = None,
    lane: Lane = "observed",
    facts: Annotated[bool, typer.Option("--facts", help="Leave out what depends on how the data arrived.")] = False,
    after: After = None,
    interface: Version = None,
    fork: Fork = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """The state of twins: now, as of a time, as known at a commit."""
    with opened(workspace, fork) as platform:
        result = platform.state(twin, as_of=as_of, known_at=known_at, lane=lane, facts=facts, after=after, interface=interface)
    output.finish(result, as_json, lambda r: _show_state([r] if twin else r["value"]))


def _show_state(documents: list[dict[str, Any]]) -> None:
    rows: list[list[Any]] = []
    for document in documents:
        before = len(rows)
        _state_rows(document["$dtId"], "", document, rows)
        if len(rows) == before:
            rows.append([document["$dtId"], "-", None, None, None, None])
    output.table(["twin", "path", "value", "unit", "quality", "time"], rows, empty="no twins")


def _state_rows(twin: str, prefix: str, owner: dict[str, Any], rows: list[list[Any]]) -> None:
    notes = owner["$metadata"]
    for name, value in owner.items():
        if isinstance(value, dict) and "$metadata" in value:
            _state_rows(twin, f"{prefix}{name}/", value, rows)
    for name, note in notes.items():
        if isinstance(note, dict):
            rows.append([twin, prefix + name, owner.get(name), note.get("unit"), note.get("quality"), note.get("sourceTime")])


@app.command()
def query(
    text: Annotated[str, typer.Argument(metavar="QUERY", help='"SELECT * FROM DIGITALTWINS T WHERE T.temperature > 20"')],
    after: After = None,
    interface: Version = None,
    fork: Fork = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Ask the graph, its values and their history in the query language."""
    with opened(workspace, fork) as platform:
        result = platform.query(text, after=after, interface=interface)
    output.finish(result, as_json, _show_rows)


def _show_rows(result: dict[str, Any]) -> None:
    names = list(dict.fromkeys(name for row in result["value"] for name in row if name not in ("$metadata", "$etag")))
    if names == ["sql", "walked", "windows", "plan"]:
        for row in result["value"]:
            output.fields({name: row[name] for name in ("sql", "walked")})
            typer.echo(row["plan"])
        return
    rows = [[_cell(row.get(name)) for name in names] for row in result["value"]]
    output.table(names, rows, empty="no rows")
    if result["continuationToken"]:
        typer.echo(f"there are more than {len(rows)} rows: narrow the query, or begin it with SELECT TOP(n)")


def _cell(value: Any) -> Any:
    """A whole twin or relationship by its id."""
    return value.get("$dtId") or value.get("$relationshipId") or value if isinstance(value, dict) else value


@app.command()
def history(
    twin: Annotated[str, typer.Argument(metavar="TWIN", help="The twin's id.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="pressure, or motor/speed.")],
    start: From = None,
    end: To = None,
    every: Annotated[str | None, typer.Option("--every", help="Resample into windows such as PT1M.")] = None,
    agg: Annotated[str, typer.Option("--agg", help="mean, min, max, sum, count, first or last.")] = "mean",
    unit: Annotated[str | None, typer.Option("--unit", help="Convert to this unit.")] = None,
    known_at: KnownAt = None,
    lane: Lane = "observed",
    after: After = None,
    interface: Version = None,
    fork: Fork = None,
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """A series of one path of one twin."""
    with opened(workspace, fork) as platform:
        options: dict[str, Any] = {"every": every, "agg": agg, "unit": unit, "known_at": known_at, "lane": lane, "after": after}
        options["interface"] = interface
        result = platform.history(twin, path, start=start, end=end, **options)

    def show(r: dict[str, Any]) -> None:
        rows = list(zip(r["times"], r["values"], r["quality"], r["source"], strict=True))
        head = f"{path} [{r['unit']}]" if r["unit"] else path
        output.table(["time", head, "quality", "source"], rows, empty="no observations")
        if "expired_before" in r:
            typer.echo(f"raw values before {r['expired_before']} are gone" + (": windows are of roll-ups" if r.get("rolled_up") else ""))
        if marks := [f"{name} {count}" for name, count in r["marks"].items() if count]:
            typer.echo(f"marked: {', '.join(marks)}")

    output.finish(result, as_json, show)


@app.command()
def kpi(
    window: Annotated[str, typer.Option("--window", help="How far back shares are taken.")] = "PT1H",
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Freshness, refused and late share, simulation success."""
    with opened(workspace) as platform:
        result = platform.kpi(window=window)

    def show(r: dict[str, Any]) -> None:
        rows = [[name, k["value"], k["unit"], k["target"], k["met"]] for name, k in r.items() if name != "counts"]
        output.table(["kpi", "value", "unit", "target", "met"], rows, empty="no KPIs")
        typer.echo("since creation: " + ", ".join(f"{name.replace('_', '-')} {count}" for name, count in r["counts"].items()))

    output.finish(result, as_json, show)


clocks = typer.Typer(help="The platform's clock, and whether ingestion is paused because of it.", no_args_is_help=True)
app.add_typer(clocks, name="clock")


@clocks.command("show")
def clock_show(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Show whether it is suspect; exit code 1 when it is."""
    with opened(workspace) as platform:
        result = platform.clock()
    output.finish(result, as_json, output.fields, good=not result["suspect"])


@clocks.command("trust")
def clock_trust(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """Say that it is right as it is: ingestion goes on."""
    with opened(workspace) as platform:
        result = platform.trust_clock()
    output.finish(result, as_json, output.fields)


schemas = typer.Typer(help="DTDL interfaces.", no_args_is_help=True)
app.add_typer(schemas, name="schema")
