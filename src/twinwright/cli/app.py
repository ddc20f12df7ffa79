"""What all commands share: the command they belong to, its options, the platform that they speak to, and the one place where errors
become exit codes."""

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
