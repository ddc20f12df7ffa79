"""`new`: working templates of what third parties add to the platform."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from twinwright.cli import output
from twinwright.cli.app import Json, app
from twinwright.cli.examples import examples_root
from twinwright.errors import UsageError

_TEMPLATE = "beacon"  # what the template of a connector is called, its classes with a capital
_GROUP = "twinwright.connectors"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

new = typer.Typer(help="Write a working template of a plug-in, with its test.", no_args_is_help=True)
app.add_typer(new, name="new")


@new.command("connector")
def new_connector(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits, underscores: what `type` says in twinwright.toml.")],
    out: Annotated[Path | None, typer.Option("--out", help="The folder to make (default: twinwright-NAME).")] = None,
    as_json: Json = False,
) -> None:
    """A source of telemetry: one file, its entry point, and the test that names the conformance suite."""
    folder = out or Path(f"twinwright-{name}")
    files = write_connector(name, folder)
    result = {"folder": str(folder.resolve()), "files": files}
    output.finish(result, as_json, lambda _: typer.echo(f"{folder}: {', '.join(files)}\nNext: cd {folder} && python -m pytest"))


def write_connector(name: str, folder: Path) -> list[str]:
    """The template under another name; the files that were written. Raises UsageError for a bad name or a folder with something in it."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(f"'{name}' can't be the name of a connector", remedy="Use small letters, digits and underscores: acme_feed")
    if name in entry_points(group=_GROUP).names:
        raise UsageError(f"there is a connector '{name}' already", remedy="Choose a name of its own: two can't have one `type`")
    if name in sys.stdlib_module_names:
        raise UsageError(f"'{name}' is a module of Python's own, which the connector's file would hide", remedy="Choose another name")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("the folder is not empty", where=str(folder), remedy="Name a new one with --out")
    class_name = "".join(part.capitalize() for part in name.split("_"))
    root, written = examples_root() / "connector", []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(root.glob("*.*")):
            text = path.read_text("utf-8").replace(_TEMPLATE.capitalize(), class_name).replace(_TEMPLATE, name)
            target = path.name.replace(_TEMPLATE, name)
            (folder / target).write_text(text, "utf-8")
            written.append(target)
    except OSError as error:
        raise UsageError(f"can't be written: {error.strerror}", where=str(folder), remedy="Check the path and its permissions") from error
    return written
