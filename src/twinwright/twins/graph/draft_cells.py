"""What a draft knows of one lifetime: what is committed and, over it, what the draft adds; seen as any version of its interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinwright.twins.documents import Cell, winners
from twinwright.twins.evolution import Evolution


@dataclass(slots=True)
class _View:
    """The winners by path, of which the first `taken` values of the draft are part."""

    cells: dict[str, Cell]
    taken: int = 0


class LifeCells:
    """`known` is what is committed, as it is stored; nothing is seen as a version before it is asked for."""

    __slots__ = ("_evolution", "_known", "_newest", "_number", "_put", "_views")

    def __init__(self, number: int, known: Sequence[Cell], evolution: Evolution) -> None:
        self._number, self._known, self._evolution = number, known, evolution
        self._put: list[Cell] = []
        self._views: dict[str, _View] = {}
        self._newest: dict[str, int] = {}  # by stored path
        for cell in known:
            self._note(cell)

    def _note(self, cell: Cell) -> None:
        path, time = cell["path"], int(cell["time"])
        self._newest[path] = max(time, self._newest.get(path, time))

    def put(self, cell: Cell) -> None:
        """A value that the draft adds."""
        self._put.append(cell)
        self._note(cell)

    def winners(self, interface: str) -> Mapping[str, Cell]:
        """The winner of each path (law 2) as an interface has them: that of the lifetime, or another version of it."""
        version = self._version(interface)
        view = self._views.get(version)
        if view is None:
            known = self._as_version(version, self._known)
            view = self._views[version] = _View({path: cell for (_, path), cell in winners(known).items()})
        for cell in self._as_version(version, self._put[view.taken :]):
            held = view.cells.get(cell["path"])
            if held is None or (cell["time"], cell["source"]) >= (held["time"], held["source"]):
                view.cells[cell["path"]] = cell
        view.taken = len(self._put)
        return view.cells

    def told(self, interface: str, cell: Cell) -> Sequence[Cell]:
        """What a value, were it stored, would be to readers of an interface."""
        return self._as_version(self._version(interface), [cell])

    def newest(self, interface: str, path: str) -> int | None:
        """The newest event time of what tells, in any version, the same as a path of one."""
        names = self._evolution.lineages.met(interface, path) if self._version(interface) else (path,)
        return max((self._newest[name] for name in names if name in self._newest), default=None)

    @property
    def last(self) -> int:
        """The newest event time of all."""
        return max(self._newest.values(), default=0)

    def _version(self, interface: str) -> str:
        """The interface where there are other versions of it; without, what is stored is what is seen."""
        lineages = self._evolution.lineages
        return interface if lineages.active and len(lineages.versions(interface)) > 1 else ""

    def _as_version(self, version: str, cells: Sequence[Cell]) -> Sequence[Cell]:
        return self._evolution.seen_as({self._number: version}).cells(cells) if version and cells else cells
