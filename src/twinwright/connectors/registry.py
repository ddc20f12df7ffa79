"""Which connectors and sinks there are: every entry point in `twinwright.connectors` and `twinwright.sinks`, ours by the same route as
anybody's."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint
from typing import Any, Generic, TypeVar, cast

from twinwright.connectors.sink import Sink
from twinwright.documents import Spec
from twinwright.errors import MissingExtraError, NotFoundError, UsageError
from twinwright.plugins import installed
from twinwright.telemetry.connector import Source

_T = TypeVar("_T")


def load_connectors(found: Iterable[EntryPoint] | None = None) -> Mapping[str, type[Source]]:
    """Connectors by name, each imported when it is first asked for: one whose extra is missing does not stop the others.

    Asking raises MissingExtraError for a built-in whose extra is not installed, UsageError for a plug-in that can't be
    imported or is not a source. Raises UsageError at once where two packages use one name. `found` is for tests.
    """
    return _Plugins(
        "connector", ("open", "poll", "committed", "close"), ("Settings", "Binding"), "twinwright.telemetry.connector.Source", found
    )


def load_sinks(found: Iterable[EntryPoint] | None = None) -> Mapping[str, type[Sink]]:
    """Sinks by name; the same as `load_connectors`."""
    return _Plugins("sink", ("open", "write", "close"), ("Settings",), "twinwright.connectors.sink.Sink", found)


def find_sink(name: str, sinks: Mapping[str, type[Sink]]) -> type[Sink]:
    """The sink of that name. Raises as `find_connector` does."""
    return _find("sink", name, sinks)


def find_connector(name: str, connectors: Mapping[str, type[Source]]) -> type[Source]:
    """The connector of that name. Raises NotFoundError naming the nearest, and what `load_connectors` says of asking."""
    return _find("connector", name, connectors)


def _find(what: str, name: str, known: Mapping[str, type[_T]]) -> type[_T]:
    if name not in known:
        near = get_close_matches(name, known, 1)
        remedy = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(sorted(known)) or 'none'}"
        raise NotFoundError(f"there is no {what} '{name}'", remedy=remedy)
    return known[name]


class _Plugins(Mapping[str, type[_T]], Generic[_T]):
    """`what` they are, with the `methods` and `specs` that a class needs to be one, as its `protocol` says."""

    def __init__(
        self, what: str, methods: tuple[str, ...], specs: tuple[str, ...], protocol: str, found: Iterable[EntryPoint] | None
    ) -> None:
        self._what, self._methods, self._specs, self._protocol = what, methods, specs, protocol
        self._points: dict[str, EntryPoint] = {}
        self._loaded: dict[str, type[_T]] = {}
        for point in installed(f"twinwright.{what}s") if found is None else found:
            other = self._points.get(point.name)
            if other is not None and other.value != point.value:
                raise UsageError(
                    f"two packages bring a {what} '{point.name}': {other.value} and {point.value}", remedy="Uninstall one of them"
                )
            self._points[point.name] = point

    def __getitem__(self, name: str) -> type[_T]:
        if name not in self._loaded:
            self._loaded[name] = self._load(self._points[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._points

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._points))

    def __len__(self) -> int:
        return len(self._points)

    def _load(self, point: EntryPoint) -> type[_T]:
        where = f"{self._what} '{point.name}' ({point.value})"
        try:
            loaded: Any = point.load()
        except ModuleNotFoundError as error:
            if point.module.startswith("twinwright."):  # a built-in's extra has the connector's name
                raise MissingExtraError(point.name, f"the {self._what} '{point.name}'") from error
            raise UsageError(f"the module '{error.name}' is missing", where=where, remedy="Install what the plug-in depends on") from error
        except (ImportError, AttributeError) as error:
            raise UsageError(f"it can't be imported: {error}", where=where, remedy="Reinstall or mend the plug-in") from error
        missing = [name for name in self._methods if not callable(getattr(loaded, name, None))]
        missing += [name for name in self._specs if not _is_spec(getattr(loaded, name, None))]
        if not inspect.isclass(loaded) or missing:
            said = f"it lacks {', '.join(missing)}" if missing else "it is not a class"
            kind = "a source of telemetry" if self._what == "connector" else "a sink"
            raise UsageError(f"not {kind}: {said}", where=where, remedy=f"See {self._protocol}")
        return cast(type[_T], loaded)


def _is_spec(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Spec)
