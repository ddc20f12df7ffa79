"""A disk that loses what was not synced: folders as they were are put together again from a log of all that was done to them.

What a sync of a file has answered for stays. Of the rest a power failure may keep any part: of each page of a file any state that it went
through (a prefix of what was written to it), of a file's length likewise, and of what was done to names a prefix, beside what syncs of the
folders themselves have answered for. A file whose name was never synced is gone, however often it was synced itself. Of files that are
named `whole`, one write is on the disk or not, but never torn.
"""

from __future__ import annotations

import itertools
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PAGE = 4096
_HEAD = struct.Struct("=IIQqII")
WRITE, TRUNCATE, SYNC_BEGINS, SYNCED, CREATE, RENAME, UNLINK, MAKE_FOLDER, REMOVE_FOLDER, LINK, PUNCH, SAID = range(1, 13)
_NAMES = (CREATE, RENAME, UNLINK, MAKE_FOLDER, REMOVE_FOLDER, LINK)


def compiled(folder: Path) -> Path:
    """The library that writes the log; for LD_PRELOAD."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError("there is no C compiler on this machine")
    library = folder / "lossy_disk.so"
    source = Path(__file__).with_name("lossy_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


@dataclass
class Done:
    """One thing that was done to a file or to names."""

    kind: int
    offset: int = 0
    data: bytes = b""
    path: str = ""
    file: File | None = None
    durable: bool = False


@dataclass(eq=False)
class File:
    """A file, or a folder (`data` is None), as it was on the disk when the log began, and what was done to it since."""

    data: bytes | None = b""
    mode: int = 0o100600
    done: list[Done] = field(default_factory=list)
    synced: int = 0  # how many of them are durable

    def content(self, rng: random.Random | None, keep: float, *, torn: bool = True) -> bytes:
        """What a power failure leaves. Without `rng` nothing is lost; `keep` is the share of writes, or of pages where a write may be
        `torn`, that are not."""
        content, rest = bytearray(self.data or b""), self.done[self.synced :]
        for one in self.done[: self.synced]:
            _apply(content, one)
        lengths = len(rest) if rng is None else rng.randint(0, len(rest)) if rng.random() < keep else 0
        lost: set[int] = set()  # pages: what follows a write that was lost is lost as well
        for at, one in enumerate(rest):
            if one.kind == TRUNCATE:
                if at >= lengths:
                    break  # what is behind a change of length is not without it
                _apply(content, one)
                continue
            for piece in _by_page(one) if torn else [one]:
                pages = range(piece.offset // PAGE, (piece.offset + max(1, len(piece.data)) - 1) // PAGE + 1)
                kept = rng is None or one.durable or (lost.isdisjoint(pages) and rng.random() < keep)
                if kept:
                    _apply(content, piece)
                else:
                    lost.update(pages)
        return bytes(content)


class LossyDisk:
    """The folder `root`, whose last state that is known to be on the disk is the one it has now; run processes with `environment`."""

    def __init__(self, library: Path, root: Path, log: Path, *, whole: str = "") -> None:
        self._whole = whole
        self._library, self._root, self._log = library, root.resolve(), log
        self.lost = 0  # pages and names, in all: a disk that loses nothing tests nothing
        self.begin()

    def begin(self) -> None:
        """What is there now is durable."""
        self._log.unlink(missing_ok=True)
        self._before, self._inodes = _tree(self._root)

    def environment(self, deaf: str = "") -> Mapping[str, str]:
        """For the process; syncs of files whose path has `deaf` in it do nothing."""
        shim = {"LD_PRELOAD": str(self._library), "LOSSY_ROOT": str(self._root), "LOSSY_LOG": str(self._log)}
        return {**shim, "LOSSY_DEAF": deaf} if deaf else shim

    def fail(self, rng: random.Random) -> None:
        """The power fails, the process being dead: the folder is as the disk has it, and begins anew from there."""
        self.write(self.after(rng), self._root)
        self.begin()

    @property
    def records(self) -> int:
        """How much was written down: between any two of them the power can fail."""
        return sum(1 for _ in records(self._log))

    def said(self, cut: int) -> bytes:
        """What the process had said on standard output by then."""
        return b"".join(data for kind, *_, data in itertools.islice(records(self._log), cut) if kind == SAID)

    def after(self, rng: random.Random | None, cut: int | None = None) -> dict[str, File | bytes]:
        """Of each path its bytes, or the folder that it is; see `fail`. Without `rng` nothing is lost. The power fails behind so many
        records (default: behind all)."""
        names = self._replayed(cut)
        keep = rng.choice([0.0, 0.5, 0.9]) if rng else 1.0
        kept = len(names) if rng is None else rng.randint(0, len(names)) if rng.random() < keep else 0
        tree = dict(self._before)
        for at, one in enumerate(names):
            if one.durable or at < kept:
                _name(tree, one)
            else:
                self.lost += 1
        whole: dict[str, File | bytes] = {}
        for path, file in tree.items():
            whole[path] = file if file.data is None else file.content(rng, keep, torn=Path(path).name != self._whole)
            self.lost += whole[path] != (file if file.data is None else file.content(None, 1.0))
        return whole

    def _replayed(self, cut: int | None) -> list[Done]:
        """What was done to names; what was done to files is with the files, instead of what was there."""
        files, live, names = dict(self._inodes), dict(self._before), []
        for file in files.values():
            file.done, file.synced = [], 0
        begun: dict[tuple[int, int], int] = {}
        for kind, durable, inode, offset, path, data in itertools.islice(records(self._log), cut):
            if kind in _NAMES:
                file = File(None if kind == MAKE_FOLDER else b"", offset) if kind in (CREATE, MAKE_FOLDER) else None
                if file is not None:
                    files[inode] = file
                names.append(Done(kind, path=path, data=data, file=file))
                _name(live, names[-1])
                continue
            file = files.get(inode)
            if file is None:
                continue
            if kind == SYNC_BEGINS:
                begun[inode, offset] = len(names) if file.data is None else len(file.done)
            elif kind == SYNCED and file.data is None:
                folder = next((at for at, one in live.items() if one is file), None)
                for one in names[: begun.pop((inode, offset))]:
                    one.durable = one.durable or folder in map(_parent, (one.path, one.data.decode()))
            elif kind == SYNCED:
                file.synced = max(file.synced, begun.pop((inode, offset)))
            else:
                file.done.append(Done(kind, offset, data, durable=bool(durable)))
        return names

    def write(self, tree: Mapping[str, File | bytes], root: Path) -> None:
        """Put a folder into the place of `root`, or of what is there."""
        modes = {path: file.mode for path, file in self._before.items()}
        shutil.rmtree(root, ignore_errors=True)
        for path, content in sorted(tree.items()):
            there = root / Path(path).relative_to(self._root)
            if isinstance(content, File):
                there.mkdir(mode=content.mode & 0o777)
            elif there.parent.is_dir():  # else its folder was lost
                there.write_bytes(content)
                there.chmod(modes.get(path, 0o600) & 0o777)


def records(log: Path) -> Iterator[tuple[int, int, int, int, str, bytes]]:
    """Kind, durable, inode, offset, path and bytes of each record that is whole; the kill may have cut the last one off."""
    held, at = log.read_bytes() if log.exists() else b"", 0
    while at + _HEAD.size <= len(held):
        kind, durable, inode, offset, path, length = _HEAD.unpack_from(held, at)
        at += _HEAD.size
        if at + path + length <= len(held):
            yield kind, durable, inode, offset, held[at : at + path].decode(), held[at + path : at + path + length]
        at += path + length


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _tree(root: Path) -> tuple[dict[str, File], dict[int, File]]:
    """Files and folders by path, and by inode."""
    named, numbered = {}, {}
    for path in (root, *root.rglob("*")):
        if path.is_dir() or path.is_file():
            status = path.stat()
            file = numbered.get(status.st_ino) or File(None if path.is_dir() else path.read_bytes(), status.st_mode)
            named[str(path)] = numbered[status.st_ino] = file
    return named, numbered


def _name(tree: dict[str, File], one: Done) -> None:
    """Do to the names what was done. What needs a name that was lost is lost with it."""
    if one.file is not None:
        tree[one.path] = one.file
    elif one.kind in (UNLINK, REMOVE_FOLDER):
        tree.pop(one.path, None)
    elif one.kind == LINK and one.path in tree:
        tree[one.data.decode()] = tree[one.path]
    elif one.kind == RENAME:
        for path in [path for path in tree if path == one.path or path.startswith(one.path + "/")]:
            tree[one.data.decode() + path[len(one.path) :]] = tree.pop(path)


def _apply(content: bytearray, one: Done) -> None:
    if one.kind == TRUNCATE:
        del content[one.offset :]
        content.extend(bytes(one.offset - len(content)))
        return
    if one.kind == PUNCH:
        length = min(int(one.data), len(content) - one.offset)
        content[one.offset : one.offset + length] = bytes(max(0, length))
        return
    content.extend(bytes(max(0, one.offset - len(content))))
    content[one.offset : one.offset + len(one.data)] = one.data


def _by_page(one: Done) -> Iterator[Done]:
    """What was written to each page."""
    if one.kind == PUNCH:
        yield one
        return
    at, end = one.offset, one.offset + len(one.data)
    while at < end:
        upto = min(end, (at // PAGE + 1) * PAGE)
        yield Done(WRITE, at, one.data[at - one.offset : upto - one.offset])
        at = upto
