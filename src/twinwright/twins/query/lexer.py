"""The text of a query to tokens that know where they stood."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from twinwright.errors import QueryError
from twinwright.expressions.syntax import UNIT

MAX_LENGTH = 8_000

# Words that end what stands before them: no unit, no alias and no property is called so without [[double brackets]].
_CLAUSES = ("FROM", "WHERE", "JOIN", "RELATED", "MATCH", "GROUP", "HAVING", "ORDER", "BY")
CLAUSES = frozenset([*_CLAUSES, "AS", "KNOWN", "ASC", "DESC", "AND", "OR", "NOT", "IN", "NIN"])
RESERVED = CLAUSES | frozenset(["SELECT", "TOP", "TRUE", "FALSE", "NULL"])

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>(?:\d+\.(?!\.)\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)
    |(?P<quoted>\[\[[^\]]*\]\])
    |(?P<name>[^\W\d][\w$]*|\$[\w$]*)
    |(?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
    |(?P<sign>\.\.|==|<=|>=|!=|<>|[-+*/=<>()\[\],.:|])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\(.)|(''|\"\")", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Token:
    """`kind`: number, name, quoted (a name in [[ ]]), text, sign or end. `unit` stands behind a number, up to `end`."""

    kind: str
    text: str
    at: int
    unit: str | None = None

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these words, in whatever case."""
        return self.kind == "name" and self.text.upper() in words


def tokens(text: str) -> list[Token]:
    """Raises QueryError at what is no token."""
    if len(text) > MAX_LENGTH:
        raise QueryError(f"a query of {len(text)} characters", text=text[:60], position=0, remedy=f"At most {MAX_LENGTH} are read")
    if "\0" in text:
        raise QueryError("a NUL character", text=text, position=text.index("\0"), remedy="Leave it out")
    return list(_read(text))


def _read(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            what = "a quote is opened and not closed" if text[at] in "'\"" else f"'{text[at]}' is no part of a query"
            remedies = {"'": "Close it", '"': "Close it", "!": "Write NOT", "&": "Write AND", "%": "Remove it: there is no remainder"}
            raise QueryError(what, text=text, position=at, remedy=remedies.get(text[at], "Remove it, or put text in quotes"))
        kind, start, at = match.lastgroup, at, match.end()
        if kind == "space":
            continue
        if kind == "number":
            found = UNIT.match(text, at)
            unit = found["unit"] if found is not None and found["unit"].upper() not in RESERVED else None
            if unit is not None and found is not None:
                at = found.end()
            yield Token(kind, match[kind], start, unit)
        elif kind == "quoted":
            yield Token(kind, match[kind][2:-2], start)
        elif kind == "text":
            yield Token(kind, _ESCAPE.sub(_unescaped, match[kind][1:-1]), start)
        else:
            yield Token(kind, match[kind], start)
    yield Token("end", "", len(text))


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        character = chr(int(match[1], 16))
        return "\ufffd" if "\ud800" <= character <= "\udfff" or character == "\0" else character
    return _ESCAPED.get(match[2], match[2]) if match[2] else match[3][0]
