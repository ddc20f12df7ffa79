"""Which connectors there are: every entry point in `twinwright.connectors`, ours by the same route as anybody's."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from twinwright.documents import Spec
from twinwright.errors import MissingExtraError, NotFoundError, UsageError
from twinwright.telemetry.connector import Source

GROUP: Final = "twinwright.connectors"
_METHODS: Final = ("open", "poll", "committed", "close")


def load_connectors(found: Iterable[EntryPoint] | None = None) -> Mapping[str, type[Source]]:
    """Connectors by name, each imported when it is first asked for: one whose extra is missing does not stop the others.

    Asking raises MissingExtraError for a built-in whose extra is not installed, UsageError for a plug-in that can't be
    imported or is not a source. Raises UsageError at once where two packages use one name. `found` is for tests.
    """
    by_name: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP) if found is None else found:
        other = by_name.get(point.name)
        if other is not None and other.value != point.value:
            raise UsageError(
                f"two packages bring a connector '{point.name}': {other.value} and {point.value}", remedy="Uninstall one of them"
            )
        by_name[point.name] = point
    return _Connectors(by_name)


def find_connector(name: str, connectors: Mapping[str, type[Source]]) -> type[Source]:
    """The connector of that name. Raises NotFoundError naming the nearest, and what `load_connectors` says of asking."""
    if name not in connectors:
        near = get_close_matches(name, connectors, 1)
        remedy = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(sorted(connectors)) or 'none'}"
        raise NotFoundError(f"there is no connector '{name}'", remedy=remedy)
    return connectors[name]


class _Connectors(Mapping[str, type[Source]]):
    def __init__(self, points: Mapping[str, EntryPoint]) -> None:
        self._points = points
        self._loaded: dict[str, type[Source]] = {}

    def __getitem__(self, name: str) -> type[Source]:
        if name not in self._loaded:
            self._loaded[name] = _load(self._points[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._points

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._points))

    def __len__(self) -> int:
        return len(self._points)


def _load(point: EntryPoint) -> type[Source]:
    where = f"connector '{point.name}' ({point.value})"
    try:
        loaded: object = point.load()
    except ModuleNotFoundError as error:
        if point.module.startswith("twinwright."):  # a built-in's extra has the connector's name
            raise MissingExtraError(point.name, f"the connector '{point.name}'") from error
        raise UsageError(f"the module '{error.name}' is missing", where=where, remedy="Install what the plug-in depends on") from error
    except (ImportError, AttributeError) as error:
        raise UsageError(f"it can't be imported: {error}", where=where, remedy="Reinstall or mend the plug-in") from error
    missing = [name for name in _METHODS if not callable(getattr(loaded, name, None))]
    missing += [name for name in ("Settings", "Binding") if not _is_spec(getattr(loaded, name, None))]
    if not inspect.isclass(loaded) or missing:
        said = f"it lacks {', '.join(missing)}" if missing else "it is not a class"
        raise UsageError(f"not a source of telemetry: {said}", where=where, remedy="See twinwright.telemetry.connector.Source")
    return cast(type[Source], loaded)


def _is_spec(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Spec)
