"""The folder of a workspace while a platform runs: what it says now, read again where its files have changed."""

from __future__ import annotations

import contextlib
from pathlib import Path

from twinwright.documents import Problems
from twinwright.errors import WorkspaceError
from twinwright.workspace.load import Workspace, read_workspace
from twinwright.workspace.settings import Settings, load_settings


class WatchedFolder:
    """Looks at the sizes and times of files whenever it is asked: nothing runs in between."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._workspace: Workspace | None = None
        self._loaded: frozenset[tuple[str, int, int]] = frozenset()
        self._settings: tuple[tuple[int, int] | None, Settings] | None = None  # with size and time of their file

    @property
    def workspace(self) -> Workspace:
        """The folder as it is now; scenarios that are not in order are left out. Raises WorkspaceError."""
        stamp = self._stamp()
        if self._workspace is None or stamp != self._loaded:
            self._workspace, self._loaded = read_workspace(self._folder), stamp
        return self._workspace

    def in_order(self) -> Workspace:
        """The folder, all of it. Raises WorkspaceError."""
        workspace = self.workspace
        if workspace.amiss:
            raise WorkspaceError(workspace.amiss)
        return workspace

    @property
    def settings(self) -> Settings:
        """What `twinwright.toml` says now, whatever other files of the folder are like: they are edited while the platform runs. Raises
        WorkspaceError."""
        try:
            stat = (self._folder / "twinwright.toml").stat()
            stamp: tuple[int, int] | None = (stat.st_size, stat.st_mtime_ns)
        except OSError:
            stamp = None
        held = self._settings
        if held is None or held[0] != stamp:
            problems = Problems()
            held = stamp, load_settings(self._folder, problems)[0]
            if problems:
                raise WorkspaceError(problems.items)
            self._settings = held
        return held[1]

    def _stamp(self) -> frozenset[tuple[str, int, int]]:
        """Name, size and time of every file that a workspace is read from."""
        parts = [path for path in self._folder.iterdir() if path.suffix in (".toml", ".yaml", ".yml", ".ndjson")]
        for part in ("schema", "contracts", "derived", "migrations", "models", "scenarios", "shadows"):
            parts += (self._folder / part).rglob("*")
        found = set()
        for path in parts:
            with contextlib.suppress(OSError):  # gone since it was listed
                stat = path.stat()
                found.add((str(path), stat.st_size, stat.st_mtime_ns))
        return frozenset(found)
