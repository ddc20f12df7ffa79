"""`import`: exports taken in (`keeping`), and workspaces made of what other systems know of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from twinwright.cli import output
from twinwright.cli.app import Json, app
from twinwright.errors import MissingExtraError, UsageError

_SHOWN_WARNINGS = 10


class _FolderOrSystem(TyperGroup):
    """`import FROM` is `import data FROM`: what is not the name of a command is a folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["data", *args]
        return super().parse_args(ctx, args)


imports = typer.Typer(
    cls=_FolderOrSystem, help="Take in an export; or make a workspace of what another system knows of itself.", no_args_is_help=True
)
app.add_typer(imports, name="import")


@imports.command("opcua")
def import_opcua(
    url: Annotated[str, typer.Argument(metavar="URL", help="opc.tcp://host:port/path")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write into.")] = Path("opcua"),
    root: Annotated[str | None, typer.Option("--root", help="The node to begin at, as ns=2;s=Plant (default: Objects).")] = None,
    name: Annotated[str, typer.Option("--name", help="Of the connector; part of the names of contracts and interfaces.")] = "opcua",
    depth: Annotated[int, typer.Option("--depth", min=0, max=100, help="How many levels of objects below the root are read.")] = 20,
    status: Annotated[bool, typer.Option("--status", help="Beside each variable, a text with its status code.")] = False,
    policy: Annotated[str, typer.Option("--policy", help="None, Basic256Sha256, Aes128Sha256RsaOaep or Aes256Sha256RsaPss.")] = "None",
    mode: Annotated[str, typer.Option("--mode", help="Sign or SignAndEncrypt.")] = "SignAndEncrypt",
    certificate: Annotated[str | None, typer.Option("--certificate", help="Our certificate, PEM or DER.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Its private key.")] = None,
    key_password_env: Annotated[str | None, typer.Option("--key-password-env", help="The variable with the key's password.")] = None,
    server_certificate: Annotated[str | None, typer.Option("--server-certificate", help="The server's certificate.")] = None,
    username: Annotated[str | None, typer.Option("--username", help="The user to ask as.")] = None,
    password_env: Annotated[str | None, typer.Option("--password-env", help="The variable with the user's password.")] = None,
    as_json: Json = False,
) -> None:
    """Make interfaces, twins and contracts of a server's address space."""
    given = {
        **{"url": url, "policy": policy, "mode": mode, "certificate": certificate, "key": key, "key_password_env": key_password_env},
        **{"server_certificate": server_certificate, "username": username, "password_env": password_env},
    }
    result = _import_opcua(given, out, root, name, depth, status)
    output.finish(result, as_json, _show)


def _import_opcua(given: dict[str, Any], out: Path, root: str | None, name: str, depth: int, status: bool) -> dict[str, Any]:
    from pydantic import ValidationError

    from twinwright.workspace.opcua_import import draft_workspace, write_draft

    try:
        from twinwright.connectors.opcua_client import AccessSettings
        from twinwright.connectors.opcua_space import read_space
    except ModuleNotFoundError as error:
        raise MissingExtraError("opcua", "`import opcua`") from error
    try:
        access = AccessSettings.model_validate({key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))} {one['msg']}".strip() for one in error.errors(include_url=False))
        raise UsageError(said.replace("Value error, ", ""), where="command line", remedy="See: twinwright import opcua --help") from None
    draft = draft_workspace(read_space(access, root, depth=depth), access, name, status=status)
    complete = write_draft(draft, out)
    unsecured = [] if access.policy != "None" or access.is_local else ["the policy is None: anybody on the way can read and change values"]
    return {
        "workspace": str(out.resolve()),
        "twins": draft.twins,
        "interfaces": draft.interfaces,
        "variables": draft.variables,
        "files": sorted(draft.files),
        "warnings": [*unsecured, *draft.warnings],
        "complete": complete,
        "connector": draft.connector,
    }


def _show(result: dict[str, Any]) -> None:
    typer.echo(
        f"workspace {result['workspace']}: {result['twins']} twins, {result['interfaces']} interfaces, {result['variables']} variables"
    )
    for warning in result["warnings"][:_SHOWN_WARNINGS]:
        typer.echo(f"warning: {warning}")
    if len(result["warnings"]) > _SHOWN_WARNINGS:
        typer.echo(f"and {len(result['warnings']) - _SHOWN_WARNINGS} more warnings: see --json")
    if not result["complete"]:
        typer.echo(f"Add this to its twinwright.toml:\n\n{result['connector']}")
    typer.echo(f"Next: twinwright apply --workspace {result['workspace']}")
