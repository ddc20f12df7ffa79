"""YAML as plain data, built from the events of libyaml: a tree of nodes with their marks took five times as long and four times the memory.

Tags, merge keys and what else a document by hand does not need are refused; aliases count where they are used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import yaml

MAX_DEPTH: Final = 64
MAX_NODES: Final = 2_000_000

_Location = tuple[str | int, ...]
_TAG: Final = "tag:yaml.org,2002:"
_SCALARS: Final = frozenset(f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "str", "value"))
_NO_TAG: Final = (None, "!")
_MEANS_MORE: Final = frozenset(yaml.CSafeLoader.yaml_implicit_resolvers)  # first characters of plain words that may be no text
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(\.[0-9]{1,30})?")  # most of them, in every version of YAML
_REMEMBERED: Final = 10_000  # plain words of which the tag is known
_Event = Any  # of yaml.events


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not read, at a place."""

    message: str
    remedy: str
    code: str
    line: int
    location: _Location


class _TooLargeError(Exception):
    """Nothing more is read."""


class YamlReader:
    """Reads a text once. `lines`: where to note the line of each place, if that is wanted."""

    def __init__(self, text: str, lines: dict[_Location, int] | None = None) -> None:
        self.faults: list[Fault] = []
        self._text, self._lines = text, lines
        self._take: Callable[[], _Event]
        self._again = False  # what is built comes from an anchor
        self._anchors: dict[str, tuple[list[_Event], int]] = {}  # the events of its node, from one on
        self._tags: dict[str, str] = {}
        self._names: dict[str, str] = {}  # keys, each kept once
        self._nodes = 0
        self._constructor: Any = yaml.constructor.SafeConstructor()

    def read(self) -> Any:
        """What the text says; of an empty one {}. With `faults` it means nothing. Raises yaml.YAMLError, ValueError."""
        self._loader: Any = yaml.CSafeLoader(self._text)
        self._take = self._loader.get_event
        self._take()
        first: _Event = self._take()
        if type(first) is yaml.StreamEndEvent:
            return {}
        try:
            data = self._build(self._take(), (), 0)
        except _TooLargeError:
            return None
        self._take()
        another: _Event = self._take()
        if type(another) is not yaml.StreamEndEvent:
            began, again = first.start_mark, another.start_mark
            raise yaml.composer.ComposerError("expected a single document in the stream", began, "but found another document", again)
        return data

    def _fault(self, event: _Event, location: _Location, message: str, remedy: str, code: str) -> None:
        """The first, and keys that are given twice."""
        if not self.faults or code == "duplicate_key":
            self.faults.append(Fault(message, remedy, code, event.start_mark.line + 1, location))

    def _too_large(self, event: _Event, location: _Location, what: str) -> _TooLargeError:
        self._fault(event, location, what, "Make the document flatter or split it", "too_large")
        return _TooLargeError()

    def _build(self, event: _Event, location: _Location, depth: int) -> Any:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            what = f"more than {MAX_NODES} values (aliases count where they are used)"
            raise self._too_large(event, location, f"nested deeper than {MAX_DEPTH}" if depth > MAX_DEPTH else what)
        kind = type(event)
        if kind is yaml.AliasEvent:
            return self._built_again(*self._anchored(event), location, depth)
        if event.anchor is not None and not self._again:
            return self._built_again(self._kept(event, location), 0, location, depth)
        if self._lines is not None:
            self._lines[location] = event.start_mark.line + 1
        if kind is yaml.ScalarEvent:
            return self._scalar(event, location)
        return self._mapping(location, depth) if kind is yaml.MappingStartEvent else self._sequence(location, depth)

    def _sequence(self, location: _Location, depth: int) -> list[Any]:
        result: list[Any] = []
        take = self._take
        while type(event := take()) is not yaml.SequenceEndEvent:
            result.append(self._build(event, (*location, len(result)), depth + 1))
        return result

    def _mapping(self, location: _Location, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        take, names = self._take, self._names
        while type(event := take()) is not yaml.MappingEndEvent:
            key = self._key(event, location)
            if key is None:
                self._kept(take(), location)
                continue
            name = names.setdefault(key.value, key.value)
            here = (*location, name)
            if name in result:
                self._fault(key, here, f"'{name}' is given twice", "Keep one of them", "duplicate_key")
                self._kept(take(), location)
                continue
            result[name] = self._build(take(), here, depth + 1)
            if self._lines is not None:
                self._lines[here] = key.start_mark.line + 1
        return result

    def _key(self, event: _Event, location: _Location) -> _Event | None:
        """The scalar that a key is; None where it is none that is read."""
        kind = type(event)
        if kind is yaml.ScalarEvent and event.tag is None and event.anchor is None and event.value != "<<":
            return event
        if kind is yaml.AliasEvent:
            events, at = self._anchored(event)
            event = events[at]
        elif event.anchor is not None or type(event) is not yaml.ScalarEvent:
            self._kept(event, location)
        if type(event) is not yaml.ScalarEvent or _merges(event):
            self._fault(event, location, "a key must be plain text", "Write the key as text; merge keys are not read", "bad_key")
            return None
        return event

    # --- scalars -----------------------------------------------------------------------------------------------------

    def _scalar(self, event: _Event, location: _Location) -> Any:
        value, tag = event.value, event.tag
        if tag in _NO_TAG:
            if not event.implicit[0] or (value and value[0] not in _MEANS_MORE):
                return value
            number = _NUMBER.fullmatch(value)
            if number is not None:
                return int(value) if number[1] is None else float(value)
            tag = self._tag(event)
        if tag == f"{_TAG}str" or tag == f"{_TAG}timestamp":
            return value  # times stay text: one parser (clock.from_iso) reads them all
        if tag not in _SCALARS:
            self._fault(event, location, f"the tag {tag} is not read here", "Remove the tag", "bad_tag")
            return None
        constructors = self._constructor.yaml_constructors
        try:
            return constructors.get(tag, constructors[None])(self._constructor, yaml.ScalarNode(tag, value, event.start_mark))
        except (ValueError, LookupError, yaml.YAMLError):
            what = f"'{value}' can't be read as {tag.rsplit(':', 1)[-1]}"
            self._fault(event, location, what, "Quote it to make it text", "bad_scalar")
            return None

    def _tag(self, event: _Event) -> str:
        """Of a plain word."""
        tag = self._tags.get(event.value)
        if tag is None:
            tag = str(self._loader.resolve(yaml.ScalarNode, event.value, event.implicit))
            if len(self._tags) < _REMEMBERED:
                self._tags[event.value] = tag
        return tag

    # --- anchors -----------------------------------------------------------------------------------------------------

    def _anchored(self, alias: _Event) -> tuple[list[_Event], int]:
        """The events of what an alias stands for begin at one of these."""
        if alias.anchor not in self._anchors:
            raise yaml.composer.ComposerError(None, None, "found undefined alias", alias.start_mark)
        return self._anchors[alias.anchor]

    def _kept(self, first: _Event, location: _Location) -> list[_Event]:
        """All events of a node that begins with one, its anchors noted in the order in which they come."""
        kept, depth = [first], 0
        while True:
            event = kept[-1]
            if not self._again:
                self._note(event, kept)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth == 0:
                return kept
            if depth > MAX_DEPTH or len(kept) > 2 * MAX_NODES:
                what = f"more than {MAX_NODES} values"
                raise self._too_large(event, location, f"nested deeper than {MAX_DEPTH}" if depth > MAX_DEPTH else what)
            kept.append(self._take())

    def _note(self, event: _Event, kept: list[_Event]) -> None:
        if type(event) is yaml.AliasEvent:
            self._anchored(event)
        elif getattr(event, "anchor", None) is not None:
            if event.anchor in self._anchors:
                events, at = self._anchors[event.anchor]
                told = ("found duplicate anchor; first occurrence", events[at].start_mark, "second occurrence", event.start_mark)
                raise yaml.composer.ComposerError(*told)
            self._anchors[event.anchor] = kept, len(kept) - 1

    def _built_again(self, events: list[_Event], at: int, location: _Location, depth: int) -> Any:
        take, again = self._take, self._again
        left: Iterable[_Event] = (events[place] for place in range(at + 1, len(events)))
        self._take, self._again = iter(left).__next__, True
        self._nodes -= 1  # it is counted as what it stands for
        try:
            return self._build(events[at], location, depth)
        finally:
            self._take, self._again = take, again


def _merges(key: _Event) -> bool:
    return key.tag == f"{_TAG}merge" or (key.tag in _NO_TAG and key.implicit[0] and key.value == "<<")
