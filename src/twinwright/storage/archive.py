"""A copy of a store as a folder: a Parquet file for each table, the journal's bytes, and a manifest with the digest of every file.

    manifest.json               what it is, the commit, and of each file its size, rows and SHA-256
    tables/NAME.parquet         one for each table of `copies`, zstd
    journal/NNNNNN.frames       where the journal was asked for; tables/places.parquet says where each delivery's bytes lie
    ...                         what else belongs to a backup (runs, reports, the workspace's documents), as it was

It is written beside its place and moved there when all of it is on the disk, so a folder that is there is whole. What is read from one is
digested first: whatever was cut or changed is refused before anything is taken in.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from twinwright.errors import StoreError, UsageError
from twinwright.storage.copies import BATCH_ROWS, JOURNAL, Frames, Snapshot
from twinwright.storage.durable_names import sync

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_MAX_MANIFEST: Final = 256 * 1024 * 1024
_SEGMENT_BYTES: Final = 256 * 1024 * 1024
_PLACES: Final = "tables/places.parquet"
_PLACE_SCHEMA: Final = pa.schema(
    [("commit", pa.int64()), ("contract", pa.string()), ("file", pa.string()), ("offset", pa.int64()), ("length", pa.int64())]
)


@dataclass(frozen=True, slots=True)
class Described:
    """One file of an archive: `rows` of a table, else None."""

    sha256: str
    bytes: int
    rows: int | None = None


class Archive:
    """An archive that was verified when it was opened: a `Snapshot`."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any], files: Mapping[str, Described]) -> None:
        self.folder, self.manifest, self.files = folder, manifest, files
        self.commit = int(manifest["commit"])
        names = [PurePosixPath(name).stem for name in files if name.startswith("tables/") and name != _PLACES]
        self.tables: Mapping[str, pa.Schema] = {name: _schema(self._table(name)) for name in names}

    @property
    def others(self) -> list[str]:
        """The files that are neither tables nor journal."""
        return sorted(name for name in self.files if not name.startswith(("tables/", "journal/")))

    def rows(self, table: str) -> Iterator[pa.RecordBatch]:
        """See `Snapshot.rows`."""
        with _parquet(self._table(table)), pq.ParquetFile(self._table(table)) as file:
            yield from file.iter_batches(BATCH_ROWS)

    def frames(self) -> Iterator[Frames]:
        """See `Snapshot.frames`."""
        path = self.folder / _PLACES
        with _parquet(path):
            places = pq.read_table(path, schema=_PLACE_SCHEMA).to_pylist()
        for place in places:
            if place["file"] not in self.files:
                raise _altered(self.folder, f"'{place['file']}' is not one of its files")
            with (self.folder / place["file"]).open("rb") as file:
                file.seek(place["offset"])
                yield Frames(place["commit"], place["contract"], file.read(place["length"]))

    def count(self, table: str) -> int:
        """See `Snapshot.count`."""
        return self.files[f"tables/{table}.parquet"].rows or 0

    def _table(self, name: str) -> Path:
        return self.folder / "tables" / f"{name}.parquet"


def write(
    snapshot: Snapshot,
    folder: Path,
    about: Mapping[str, Any],
    *,
    journal: bool,
    others: Iterable[tuple[str, Path | bytes]] = (),
) -> dict[str, Any]:
    """Write an archive; its manifest. `about` goes into that, `others` are further files by their name in the archive.

    Raises UsageError where `folder` is there already, StoreError where the disk fails.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("it is there already", where=str(folder), remedy="Name a folder that does not exist yet")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UsageError(f"can't be written: {error.strerror}", where=str(folder), remedy="Name a folder of yours") from error
    try:
        manifest = _write_into(snapshot, partial, about, journal, others)
        partial.rename(folder)
        sync(folder.parent)
    except OSError as error:
        remedy = "Make room on the disk, or name another; what was written is taken away again"
        raise StoreError(f"the copy can't be written: {error.strerror or error}", where=str(folder), remedy=remedy) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _write_into(
    snapshot: Snapshot, folder: Path, about: Mapping[str, Any], journal: bool, others: Iterable[tuple[str, Path | bytes]]
) -> dict[str, Any]:
    files: dict[str, Described] = {}
    for part in ("tables", "journal"):
        (folder / part).mkdir()
    for name in snapshot.tables:
        if name != JOURNAL or journal:
            relative = f"tables/{name}.parquet"
            rows = _write_table(folder / relative, snapshot.tables[name], snapshot.rows(name))
            files[relative] = _described(folder / relative, rows)
    if journal and JOURNAL in snapshot.tables:
        files |= _write_frames(folder, snapshot.frames())
    for relative, content in others:
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # it went away since it was listed
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                shutil.copyfile(content, path)
            sync(path)
            files[relative] = _described(path)
    described = {name: _shown(one) for name, one in sorted(files.items())}
    manifest = {"format": FORMAT, **about, "commit": snapshot.commit, "files": described}
    path = folder / MANIFEST
    path.write_text(json.dumps({**manifest, "digest": _digest_of(manifest)}, indent=1, sort_keys=True), encoding="utf-8")
    sync(path)
    for made in (folder, *(one for one in folder.rglob("*") if one.is_dir())):
        sync(made)
    return manifest


def _write_table(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=3) as writer:
        for batch in batches:
            rows += len(batch)
            writer.write_batch(batch, row_group_size=BATCH_ROWS)
    sync(path)
    return rows


def _write_frames(folder: Path, frames: Iterator[Frames]) -> dict[str, Described]:
    places: list[dict[str, Any]] = []
    names: list[str] = []
    with contextlib.ExitStack() as stack:
        file: BinaryIO | None = None
        for one in frames:
            if file is None or file.tell() + len(one.data) > _SEGMENT_BYTES:
                names.append(f"journal/{len(names) + 1:06d}.frames")
                file = stack.enter_context((folder / names[-1]).open("wb"))
            place = {"commit": one.commit, "contract": one.contract, "file": names[-1]}
            places.append({**place, "offset": file.tell(), "length": len(one.data)})
            file.write(one.data)
    for written in names:
        sync(folder / written)
    table = pa.Table.from_pylist(places, schema=_PLACE_SCHEMA)
    rows = _write_table(folder / _PLACES, _PLACE_SCHEMA, iter(table.to_batches()))
    return {_PLACES: _described(folder / _PLACES, rows), **{written: _described(folder / written) for written in names}}


def open_archive(folder: Path) -> Archive:
    """Read the manifest and hold every file against it. Raises UsageError for what is not an archive, or is not whole any more."""
    manifest = _read_manifest(folder)
    files = {}
    for name, one in manifest["files"].items():
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name:
            raise _altered(folder, f"'{name}' is not a name inside it")
        try:
            wanted = Described(one["sha256"], one["bytes"], one.get("rows"))
            found = _described(_inside(folder, parts), wanted.rows)
        except (OSError, KeyError, TypeError) as error:
            raise _altered(folder, f"'{name}' can't be read ({type(error).__name__})") from None
        if found != wanted:
            raise _altered(folder, f"'{name}' is not what was written")
        files[name] = wanted
    archive = Archive(folder, manifest, files)
    for table in archive.tables:
        if _rows(archive._table(table)) != archive.count(table):
            raise _altered(folder, f"'{table}' has another number of rows")
    return archive


def _inside(folder: Path, parts: tuple[str, ...]) -> Path:
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise OSError("a link")
    return path


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        if path.stat().st_size > _MAX_MANIFEST:
            raise _altered(folder, "its manifest is too large")
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        remedy = "Name the folder that `twinwright backup` or `twinwright export` wrote"
        raise UsageError("there is no copy of a store here", where=str(folder), remedy=remedy) from None
    except (OSError, ValueError, RecursionError) as error:
        raise _altered(folder, f"its manifest can't be read ({type(error).__name__})") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict) or not isinstance(manifest.get("commit"), int):
        raise _altered(folder, "its manifest is not one")
    if manifest.get("format") != FORMAT:
        remedy = "Read it with the version of Twinwright that wrote it"
        raise UsageError(f"the copy has format {manifest.get('format')}, this version reads {FORMAT}", where=str(path), remedy=remedy)
    if manifest.pop("digest", None) != _digest_of(manifest):
        raise _altered(folder, "its manifest was changed")
    return manifest


def _altered(folder: Path, what: str) -> UsageError:
    return UsageError(f"the copy is not whole: {what}", where=str(folder), remedy="Nothing was taken in. Use another copy")


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"it can't be read: {str(error).splitlines()[0]}", where=str(path), remedy="Use another copy") from error


def _schema(path: Path) -> pa.Schema:
    with _parquet(path):
        return pq.read_schema(path).remove_metadata()


def _rows(path: Path) -> int:
    with _parquet(path):
        return int(pq.read_metadata(path).num_rows)


def require_same(archive: Archive, store: Snapshot) -> None:
    """The store against what was taken in: raises StoreError unless commit and rows of every table are the same."""
    for table in archive.tables:
        wanted, found = archive.count(table), store.count(table)
        if wanted != found or store.commit != archive.commit:
            what = f"{table} has {found} rows instead of {wanted} at commit {store.commit} instead of {archive.commit}"
            raise StoreError(what, where=str(archive.folder), remedy="This is a defect: please report it")


def _described(path: Path, rows: int | None = None) -> Described:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
        return Described(digest.hexdigest(), file.tell(), rows)


def _shown(one: Described) -> dict[str, Any]:
    return {"sha256": one.sha256, "bytes": one.bytes, **({} if one.rows is None else {"rows": one.rows})}


def _digest_of(manifest: Mapping[str, Any]) -> str:
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
