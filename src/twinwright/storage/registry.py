"""Which engines a store can be kept in: every entry point in `twinwright.stores`, ours by the same route as anybody's."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Final, Protocol, cast

from twinwright.clock import Clock
from twinwright.documents import Document, Problems, Spec
from twinwright.errors import MissingExtraError, NotFoundError, UsageError, WorkspaceError
from twinwright.plugins import installed
from twinwright.storage.protocol import Store

GROUP: Final = "twinwright.stores"


class Engine(Protocol):
    """What an entry point names: a class with its settings (the rest of `[store]`), which opens the store of a workspace.

    One that several processes can write to has `join` too: the same, beside whoever has opened it.
    """

    Settings: type[Spec]

    def open(self, settings: Any, folder: Path, clock: Clock) -> Store:
        """`folder` is the workspace's private one. Raises StoreError."""
        ...


def find_engine(name: str, found: Iterable[EntryPoint] | None = None) -> Engine:
    """The engine of that name. `found` is for tests.

    Raises NotFoundError naming the nearest, MissingExtraError for a built-in whose extra is not installed, UsageError for a plug-in that
    can't be imported or is not an engine.
    """
    points = {point.name: point for point in (installed(GROUP) if found is None else found)}
    if name not in points:
        near = get_close_matches(name, points, 1)
        remedy = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(sorted(points)) or 'none'}"
        raise NotFoundError(f"there is no store engine '{name}'", where="store.engine", remedy=remedy)
    point = points[name]
    where = f"store engine '{name}' ({point.value})"
    try:
        engine: object = point.load()
    except ModuleNotFoundError as error:
        if point.module.startswith("twinwright."):  # a built-in's extra has the engine's name
            raise MissingExtraError(name, f"the store engine '{name}'") from error
        raise UsageError(f"the module '{error.name}' is missing", where=where, remedy="Install what the plug-in depends on") from error
    except (ImportError, AttributeError) as error:
        raise UsageError(f"it can't be imported: {error}", where=where, remedy="Reinstall or mend the plug-in") from error
    settings = getattr(engine, "Settings", None)
    if not callable(getattr(engine, "open", None)) or not (inspect.isclass(settings) and issubclass(settings, Spec)):
        raise UsageError("it lacks `open` or `Settings`", where=where, remedy="See twinwright.storage.registry.Engine")
    return cast(Engine, engine)


def open_store(engine: str, options: Mapping[str, Any], folder: Path, clock: Clock, *, beside: bool = False) -> Store:
    """The store of a workspace; `beside` whoever else has opened it, as a worker does.

    Raises what `find_engine` and the engine raise, WorkspaceError for options that it does not know, UsageError where `beside` can't be.
    """
    kind = find_engine(engine)
    join: Any = getattr(kind, "join", None)
    if beside and not callable(join):
        raise UsageError(
            f"a store of the engine '{engine}' is one process's",
            where="store.engine",
            remedy='Workers need a store that is shared: set engine = "postgres" in [store]',
        )
    problems = Problems()
    settings = Document("twinwright.toml", dict(options), {(): 1}, ("store",)).parse(kind.Settings, problems)
    if settings is None:
        raise WorkspaceError(problems.items)
    return cast(Store, (join if beside else kind.open)(settings, folder, clock))
