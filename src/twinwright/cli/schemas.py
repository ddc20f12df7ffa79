"""The commands of DTDL interfaces: judge documents, compare two versions, retire one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from twinwright.cli import output
from twinwright.cli.app import HERE, Json, Workspace, app, opened
from twinwright.errors import UsageError

schemas = typer.Typer(help="DTDL interfaces.", no_args_is_help=True)
app.add_typer(schemas, name="schema")


@schemas.command("validate")
def schema_validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="DTDL documents or folders of them, judged together.")],
    as_json: Json = False,
) -> None:
    """Judge DTDL documents: every problem at once."""
    from twinwright import schema

    result = schema.validate_files(files)

    def show(r: dict[str, Any]) -> None:
        for e in r["errors"]:
            line = f":{e['line']}" if e.get("line") else ""
            typer.echo(f"{e['file']}{line}: {e['message']} ({e['code']}, {e['path']}). {e.get('remedy') or ''}")
        typer.echo("valid" if r["valid"] else f"{len(r['errors'])} problem{'s' if len(r['errors']) > 1 else ''}")

    output.finish(result, as_json, show, good=bool(result["valid"]))


@schemas.command("diff")
def schema_diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A DTDL file or a folder of them.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The same, newer.")],
    as_json: Json = False,
) -> None:
    """Classify the changes between two versions; exit code 1 when one is breaking."""
    from dataclasses import asdict

    from twinwright import schema

    before, after = (schema.load(_documents(path)) for path in (old, new))
    changes = [asdict(change) for change in schema.diff(before, after)]
    breaking = any(change["effect"] == "breaking" for change in changes)

    def show(r: dict[str, Any]) -> None:
        rows = [[c["effect"], c["interface"], c["content"], c["what"], c["reason"]] for c in r["changes"]]
        output.table(["effect", "interface", "content", "change", "why"], rows, empty="no changes")

    output.finish({"changes": changes, "breaking": breaking}, as_json, show, good=not breaking)


@schemas.command("retire")
def schema_retire(
    dtmi: Annotated[str, typer.Argument(metavar="DTMI", help="The version to retire: dtmi:example:Pump;1")],
    workspace: Workspace = HERE,
    as_json: Json = False,
) -> None:
    """Serve a version of an interface no more; refused while anything uses it, which is named."""
    with opened(workspace) as platform:
        result = platform.retire_interface(dtmi)
    output.finish(result, as_json, output.fields)


@schemas.command("versions")
def schema_versions(workspace: Workspace = HERE, as_json: Json = False) -> None:
    """How far migrations are: twins, readings and clients of each version, and what keeps it from being retired."""
    with opened(workspace) as platform:
        result = {"value": platform.schema_versions()}
    output.finish(result, as_json, _show_versions)


def _show_versions(result: dict[str, Any]) -> None:
    rows = []
    for one in result["value"]:
        share = "" if one["share"] is None else f"{one['share']:g}"
        taken = ", ".join(f"{name} {count}" for name, count in one["readings"].items())
        reads, writes = (sum(one[name].values()) for name in ("reads", "writes"))
        use = "retired" if one["retired"] else "; ".join(one["in_use"][:3]) + (" ..." if len(one["in_use"]) > 3 else "")
        rows.append([one["interface"], share, one["twins"], taken, reads, writes, one["errors"], one["last_used"] or "", use])
    names = ["version", "share", "twins", "readings", "reads", "writes", "errors", "last used", "in use by"]
    output.table(names, rows, empty="no migrations")


def _documents(path: Path) -> list[tuple[str, str]]:
    from twinwright.schema.ontology import files_of

    try:
        return [(str(file), file.read_text(encoding="utf-8")) for file in files_of(path)]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't be read: {error}", where=str(path), remedy="Name DTDL files in UTF-8") from error
