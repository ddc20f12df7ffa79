"""Backups and exports of a workspace's store, and the way back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from twinwright import __version__
from twinwright.clock import to_iso
from twinwright.errors import StoreError, UsageError
from twinwright.governance.principals import Principal
from twinwright.platform.applied import ID, KIND
from twinwright.platform.session import Session
from twinwright.platform.wire import FOLDER
from twinwright.storage import archive
from twinwright.storage.archive import Archive
from twinwright.storage.copies import Snapshot

_KEPT: Final = ("runs", "reports")  # of the private folder: what the store's records speak of
_DOCUMENTS: Final = ("schema", "contracts", "derived", "models", "scenarios", "shadows", "migrations")
_DOCUMENT_FILES: Final = (".toml", ".yaml", ".yml", ".ndjson")
_WORKSPACE: Final = "workspace"


def backup(session: Session, principal: Principal, to: Path) -> dict[str, Any]:
    """See `Platform.backup`."""
    principal.require_admin()
    started = perf_counter()
    require_outside(to)
    with session.store.snapshot(principal) as snapshot:
        manifest = archive.write(snapshot, to, _about(session, "backup"), journal=True, others=_others(session))
    return _told(to, manifest, started)


def export(session: Session, principal: Principal, to: Path, *, journal: bool) -> dict[str, Any]:
    """See `Platform.export`, of everything."""
    principal.require_admin()
    started = perf_counter()
    require_outside(to)
    with session.store.snapshot(principal) as snapshot:
        interfaces = [("interfaces.json", json.dumps(_interfaces(snapshot), indent=1, ensure_ascii=False).encode())]
        manifest = archive.write(snapshot, to, _about(session, "export"), journal=journal, others=interfaces)
    return _told(to, manifest, started)


def take_in(session: Session, principal: Principal, source: Path, kind: str) -> dict[str, Any]:
    """See `Platform.restore` and `Platform.import_`: one reads the other's as well, for they differ in what they hold beside the store."""
    principal.require_admin()
    started = perf_counter()
    found = archive.open_archive(source)
    session.take_in(principal, found)
    with session.store.snapshot(principal) as snapshot:
        archive.require_same(found, snapshot)
    if kind == "backup":
        _put_back(session, found)
    return _told(source, found.manifest, started)


def put_documents(source: Path, folder: Path) -> bool:
    """Where there is no workspace yet, make the folder of the documents that a backup holds; whether it did. Raises UsageError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        return False
    found = archive.open_archive(source)
    names = [name for name in found.others if name.startswith(f"{_WORKSPACE}/")]
    for name in names:
        _copy(found.folder / name, folder / name.removeprefix(f"{_WORKSPACE}/"))
    (folder / "twinwright.toml").parent.mkdir(parents=True, exist_ok=True)
    (folder / "twinwright.toml").touch()
    return True


def _put_back(session: Session, found: Archive) -> None:
    for name in found.others:
        if name.startswith(tuple(f"{part}/" for part in _KEPT)):
            _copy(found.folder / name, session.private / name)


def _copy(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as error:
        raise StoreError(f"can't be written: {error.strerror}", where=str(target), remedy="Make room, and restore again") from error


def _about(session: Session, kind: str) -> dict[str, Any]:
    return {"kind": kind, "at": to_iso(session.clock.now()), "version": __version__}


def _told(path: Path, manifest: Mapping[str, Any], started: float) -> dict[str, Any]:
    files = manifest["files"]
    tables = {Path(name).stem: one["rows"] for name, one in files.items() if one.get("rows") is not None}
    return {
        "path": str(path.resolve()),
        "kind": manifest["kind"],
        "commit": manifest["commit"],
        "at": manifest["at"],
        "tables": {name: rows for name, rows in tables.items() if name != "places"},
        "bytes": sum(one["bytes"] for one in files.values()),
        "seconds": perf_counter() - started,
    }


def _others(session: Session) -> Iterator[tuple[str, Path | bytes]]:
    for part in _KEPT:
        yield from _files(session.private / part, part)
    for path in sorted(session.folder.iterdir()):
        if path.suffix in _DOCUMENT_FILES and path.is_file():
            yield f"{_WORKSPACE}/{path.name}", path
    for part in _DOCUMENTS:
        yield from _files(session.folder / part, f"{_WORKSPACE}/{part}")


def _files(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith(".") and one != "__pycache__")
        for file in sorted(files):
            path = Path(parent) / file
            if path.is_file() and not file.startswith("."):  # no pipe, no socket; what begins with a point is being written
                yield f"{name}/{path.relative_to(folder).as_posix()}", path


def _interfaces(snapshot: Snapshot) -> list[Any]:
    """The applied DTDL documents, for other programs: the store's own copy is in its records."""
    newest: tuple[int, dict[str, Any]] = (0, {})
    for batch in snapshot.rows("records"):
        for row in batch.select(["kind", "id", "commit", "body"]).to_pylist():
            if (row["kind"], row["id"]) == (KIND, ID) and row["commit"] > newest[0]:
                newest = (row["commit"], json.loads(row["body"]))
    found: list[Any] = []
    for text in newest[1].get("schema", {}).values():
        parsed = json.loads(text)
        found += parsed if isinstance(parsed, list) else [parsed]
    return found


def require_outside(path: Path) -> None:
    """Raises UsageError where a copy is asked for inside the private folder: it would be copied into itself."""
    if FOLDER in path.resolve().parts:
        raise UsageError("that folder is the platform's own", where=str(path), remedy="Name one outside of .twinwright")
