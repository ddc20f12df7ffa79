"""Topic templates: `plant/{twin}/telemetry` says what to subscribe to and which names a topic's levels give.

Levels and wildcards are those of MQTT (MQTT 5.0, section 4.7): `+` is one level, `#` all the rest, and neither begins to
match a topic that starts with `$`. A capture `{name}` takes one level, or the part of it that plain text leaves
(`pump-{unit}`); `{name...}` takes all the rest. A shared subscription (`$share/group/plant/{twin}`, MQTT 5.0, section 4.8.2) gets
a part of the messages of the filter behind its group, under their own topics.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from twinwright.errors import InvalidError, Problem

MAX_TOPIC_BYTES: Final = 65_535

_SHARE: Final = "$share"
_SHARE_LEVELS: Final = 2  # `$share` and the group
_WILD: Final = ("+", "#", "{")
_CAPTURE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\.\.\.)?\}")


@dataclass(frozen=True, slots=True)
class TopicTemplate:
    """A checked template: `filter` to subscribe to, `names` of its captures in order. Build it with `parse`."""

    text: str
    filter: str
    names: tuple[str, ...]
    _pattern: re.Pattern[str] = field(repr=False)
    _begins: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> TopicTemplate:
        """Raises InvalidError with every problem of the template."""
        problems = check_template(text)
        if problems:
            raise InvalidError(problems)
        levels = text.split("/")
        own = levels[_SHARE_LEVELS:] if levels[0] == _SHARE else levels
        names = tuple(match[1] for match in _CAPTURE.finditer(text))
        return cls(text, "/".join(_filter_level(level) for level in levels), names, _compile(own), own[0][:1])

    def match(self, topic: str) -> dict[str, str] | None:
        """The captures of a topic; None where the template does not cover it. A level that is empty gives an empty capture."""
        if topic.startswith("$") and self._begins in _WILD:
            return None
        found = self._pattern.fullmatch(topic)
        return None if found is None else {name: found[name] or "" for name in self.names}


def check_template(text: str) -> list[Problem]:
    """Everything wrong with a template; empty if it can be used."""
    problems: list[Problem] = []

    def wrong(message: str, remedy: str) -> None:
        problems.append(Problem(f"{message} in the topic '{text}'", remedy, code="bad_topic"))

    if not text or len(text.encode("utf-8", "surrogatepass")) > MAX_TOPIC_BYTES or "\0" in text:
        wrong(f"1 to {MAX_TOPIC_BYTES} bytes without NUL are expected", "Write a topic such as plant/{twin}/telemetry")
        return problems
    names = [match[1] for match in _CAPTURE.finditer(text)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        wrong(f"the capture {{{name}}} is given twice", "Give each capture a name of its own")
    levels = text.split("/")
    if levels[0] == _SHARE and (len(levels) <= _SHARE_LEVELS or not levels[1] or set(levels[1]) & set("+#{}")):
        wrong("a shared subscription without a group, or without a topic,", "Write $share/GROUP/TOPIC, the group in plain text")
    for index, level in enumerate(levels):
        for message, remedy in _level_problems(level, last=index == len(levels) - 1):
            wrong(message, remedy)
    return problems


def widest(filters: Iterable[str]) -> list[str]:
    """The filters that no other one covers, sorted. A broker may deliver once for each subscription that matches (MQTT 5.0,
    section 3.3.4), and what it sends twice would be counted as duplicate.
    """
    distinct = sorted(set(filters))
    return [one for one in distinct if not any(other != one and covers(other, one) for other in distinct)]


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic of the filter `narrow` is one of `wide`."""
    if narrow.startswith("$") and wide[:1] in ("+", "#"):
        return False
    wide_levels, narrow_levels = wide.split("/"), narrow.split("/")
    for index, level in enumerate(wide_levels):
        if level == "#":
            return True
        if index >= len(narrow_levels) or narrow_levels[index] == "#" or level not in ("+", narrow_levels[index]):
            return False
    return len(wide_levels) == len(narrow_levels)


def _level_problems(level: str, *, last: bool) -> list[tuple[str, str]]:
    captures = list(_CAPTURE.finditer(level))
    plain = _CAPTURE.sub("", level)
    found: list[tuple[str, str]] = []
    if "{" in plain or "}" in plain:
        found.append(
            (f"a brace that is not a capture ('{level}')", "Write captures as {name}: letters, digits and _, not beginning with a digit")
        )
    if len(captures) > 1:
        found.append((f"more than one capture in one level ('{level}')", "Use one capture for each level"))
    if any(match[2] for match in captures):
        if plain:
            found.append((f"a capture of the rest beside other text ('{level}')", "Give {name...} a level of its own"))
        if not last:
            found.append((f"a capture of the rest before the end ('{level}')", "Put {name...} last"))
    if "#" in plain and (level != "#" or not last):
        found.append((f"'#' that is not the last level ('{level}')", "Put # last, alone in its level"))
    if "+" in plain and level != "+":
        found.append((f"'+' beside other text ('{level}')", "Give + a level of its own, or use a capture"))
    return found


def _filter_level(level: str) -> str:
    match = _CAPTURE.search(level)
    if match is None:
        return level
    return "#" if match[2] else "+"


def _compile(levels: list[str]) -> re.Pattern[str]:
    parts: list[str] = []
    for index, level in enumerate(levels):
        slash = "/" if index else ""
        match = _CAPTURE.search(level)
        if level == "#" or (match is not None and match[2]):
            rest = f"(?P<{match[1]}>.*)" if match is not None else ".*"
            parts.append(f"(?:/{rest})?" if index else rest)  # `a/#` covers the parent `a` too
        elif level == "+":
            parts.append(f"{slash}[^/]*")
        elif match is not None:
            before, after = level[: match.start()], level[match.end() :]
            parts.append(f"{slash}{re.escape(before)}(?P<{match[1]}>[^/]*){re.escape(after)}")
        else:
            parts.append(slash + re.escape(level))
    return re.compile("".join(parts), re.DOTALL)
