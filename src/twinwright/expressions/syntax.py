"""Text to a tree that remembers where each part of it stood."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from twinwright.errors import ExpressionError

Kind = Literal["number", "boolean", "text"]
MAX_LENGTH = 2_000
MAX_DEPTH = 40
MAX_NODES = 300  # a chain of operators is half as deep: it is walked by recursion
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")

_KEYWORDS = frozenset({"and", "or", "not", "if", "then", "else", "in", "true", "false"})
_EXPONENT = r"[+-]?\d{1,2}(?:\.\d{1,6})?|\([+-]?\d{1,2}(?:[./]\d{1,6})?\)"
_UNIT_NAME = (
    r"(?:[^\W\d]|[°%µμΩÅΔ$])[\w°µμΩÅΔ$]*"
    rf"(?:(?:\*\*|\^)(?:{_EXPONENT})|[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{{1,2}})?"
)
_UNIT_GROUP = rf"(?:{_UNIT_NAME}|\({_UNIT_NAME}(?:[*/·]{_UNIT_NAME})*\))"
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>(?:\^+|@)?[^\W\d]\w*(?:\.\w+)*)|`(?P<quoted>[^`]+)`"
    r"""|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"|(?P<sign>\*\*|<=|>=|==|!=|[-+*/<>(),]))"
)
UNIT = re.compile(rf"\s*(?P<unit>1/{_UNIT_GROUP}(?:[*/·]{_UNIT_GROUP})*|{_UNIT_GROUP}(?:[*/·]{_UNIT_GROUP})*)")
_MISTAKEN: Mapping[str, str] = {
    "=": "Write == to compare",
    "&": "Write `and`",
    "|": "Write `or`",
    "!": "Write `not`, or != to compare",
    "^": "Write ** for powers",
    "%": "Write mod(a, b) for a remainder; a percentage is a number with its unit: 5 %",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression.

    `op` is an operator, `name()` for a function, `name` or `literal` (with `value` and `unit`), `if`, `in`, `neg`, or `compare` with the
    signs between its operands in `value`.
    """

    op: str
    at: int  # where in the text it stands, from 0
    args: tuple[Node, ...] = ()
    value: float | bool | str | None = None
    unit: str | None = None


def tree_of(text: str) -> Node:
    """What a text says. Raises ExpressionError with the position of what can't be read."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"{len(text)} characters", text=text[:60], position=0, remedy=f"At most {MAX_LENGTH} are read")
    parser = _Parser(text)
    root = parser.condition(0)
    parser.expect_end()
    return root


def nodes_of(node: Node) -> Iterator[Node]:
    """A part and all that it is made of, in order of appearance."""
    yield node
    for child in node.args:
        yield from nodes_of(child)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # number, name, text, sign, keyword, end
    text: str
    at: int
    unit: str | None = None


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._skipped = len(text) - len(text.lstrip())
        self._tokens = list(self._read())
        self._next = 0
        self._nodes = 0

    # --- tokens ------------------------------------------------------------------------------------------------------

    def _read(self) -> Iterator[_Token]:
        at, end = 0, len(self._text.rstrip())
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None or match.lastgroup is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                self._refuse(at)
            kind, start = match.lastgroup, match.start(match.lastgroup)
            text, at = match[kind], match.end()
            if kind == "number":
                unit = UNIT.match(self._text, at)
                if unit is not None and unit["unit"] not in _KEYWORDS:
                    at = unit.end()
                yield _Token("number", text, start, unit["unit"] if unit is not None and unit["unit"] not in _KEYWORDS else None)
            elif kind == "name" and text in _KEYWORDS:
                yield _Token("keyword", text, start)
            else:
                yield _Token("name" if kind == "quoted" else kind, text, start)
        yield _Token("end", "", end)

    def _refuse(self, at: int) -> NoReturn:
        sign = self._text[at]
        if sign in "\"'`":
            self._fail(at, "a quote is opened and not closed", "Close it")
        self._fail(at, f"'{sign}' is not part of an expression", _MISTAKEN.get(sign, "Write names, numbers with units, and operators"))

    def _fail(self, at: int, what: str, remedy: str) -> NoReturn:
        raise self._error(at, what, remedy)

    def _error(self, at: int, what: str, remedy: str) -> ExpressionError:
        return ExpressionError(what, text=self._text.strip(), position=max(0, at - self._skipped), remedy=remedy)

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> _Token | None:
        token = self._token
        if token.kind in ("sign", "keyword") and token.text in texts:
            self._next += 1
            return token
        return None

    def _expect(self, text: str, after: str) -> None:
        if self._take(text) is None:
            self._fail(self._token.at, f"'{text}' is expected {after}, not {self._shown()}", f"Write '{text}' here")

    def _shown(self) -> str:
        return f"'{self._token.text}'" if self._token.kind != "end" else "the end"

    def expect_end(self) -> None:
        """Raises ExpressionError where something is left over."""
        if self._token.kind != "end":
            self._fail(self._token.at, f"an operator is expected, not {self._shown()}", "Join the parts with an operator such as + or and")

    def _node(self, op: str, at: int, *args: Node, value: float | bool | str | None = None, unit: str | None = None) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._fail(at, f"more than {MAX_NODES} parts", "Split the expression")
        return Node(op, max(0, at - self._skipped), args, value, unit)

    # --- grammar, from what binds least to what binds most -----------------------------------------------------------

    def condition(self, depth: int) -> Node:
        """`if a then b else c`, or what binds tighter."""
        if depth > MAX_DEPTH:
            self._fail(self._token.at, f"nested deeper than {MAX_DEPTH}", "Split the expression")
        begin = self._take("if")
        if begin is None:
            return self._either(depth)
        condition = self.condition(depth + 1)
        self._expect("then", "after the condition of `if`")
        then = self.condition(depth + 1)
        self._expect("else", "after what `then` gives: there is always a value")
        return self._node("if", begin.at, condition, then, self.condition(depth + 1))

    def _either(self, depth: int) -> Node:
        return self._left("or", depth, self._both)

    def _both(self, depth: int) -> Node:
        return self._left("and", depth, self._negation)

    def _left(self, sign: str, depth: int, tighter: Callable[[int], Node]) -> Node:
        node = tighter(depth)
        while (token := self._take(sign)) is not None:
            node = self._node(sign, token.at, node, tighter(depth))
        return node

    def _negation(self, depth: int) -> Node:
        token = self._take("not")
        if token is None:
            return self._comparison(depth)
        self._deeper(depth, token)
        return self._node("not", token.at, self._negation(depth + 1))

    def _deeper(self, depth: int, token: _Token) -> None:
        if depth >= MAX_DEPTH:
            self._fail(token.at, f"nested deeper than {MAX_DEPTH}", "Split the expression")

    def _comparison(self, depth: int) -> Node:
        operands, signs = [self._sum(depth)], []
        at = self._token.at
        while (token := self._take(*COMPARISONS)) is not None:
            signs.append(token.text)
            operands.append(self._sum(depth))
        if signs:
            return self._node("compare", at, *operands, value=" ".join(signs))
        token = self._take("in")
        if token is None:
            return operands[0]
        self._expect("(", "after `in`")
        operands.append(self._sum(depth + 1))
        while self._take(",") is not None:
            operands.append(self._sum(depth + 1))
        self._expect(")", "after the values of `in`")
        return self._node("in", token.at, *operands)

    def _sum(self, depth: int) -> Node:
        node = self._product(depth)
        while (token := self._take("+", "-")) is not None:
            node = self._node(token.text, token.at, node, self._product(depth))
        return node

    def _product(self, depth: int) -> Node:
        node = self._signed(depth)
        while (token := self._take("*", "/")) is not None:
            node = self._node(token.text, token.at, node, self._signed(depth))
        return node

    def _signed(self, depth: int) -> Node:
        token = self._take("-", "+")
        if token is None:
            return self._power(depth)
        self._deeper(depth, token)
        inner = self._signed(depth + 1)
        if token.text == "+":
            return inner
        if inner.op == "literal" and isinstance(inner.value, float):  # -20 degC is a point of the scale, not the opposite of one
            return Node("literal", max(0, token.at - self._skipped), (), -inner.value, inner.unit)
        return self._node("neg", token.at, inner)

    def _power(self, depth: int) -> Node:
        base = self._primary(depth)
        token = self._take("**")
        if token is None:
            return base
        self._deeper(depth, token)
        return self._node("**", token.at, base, self._signed(depth + 1))

    def _primary(self, depth: int) -> Node:
        token = self._token
        self._next += token.kind != "end"
        if token.kind == "number":
            number = float(token.text)
            if not math.isfinite(number):
                self._fail(token.at, f"'{token.text}' is too large a number", "Write a number below 1.8e308")
            return self._node("literal", token.at, value=number, unit=token.unit)
        if token.kind == "text":
            return self._node("literal", token.at, value=re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL))
        if token.kind == "keyword" and token.text in ("true", "false"):
            return self._node("literal", token.at, value=token.text == "true")
        if token.kind == "name":
            quoted = self._text[token.at - 1 : token.at] == "`"
            if not quoted and self._take("(") is not None:
                return self._call(token, depth)
            return self._node("name", token.at, value=token.text)
        if token.kind == "sign" and token.text == "(":
            inner = self.condition(depth + 1)
            self._expect(")", "to close '('")
            return inner
        self._next -= token.kind != "end"
        raise self._error(token.at, f"a name or a number is expected, not {self._shown()}", "Write a value here")

    def _call(self, token: _Token, depth: int) -> Node:
        arguments: list[Node] = []
        if self._take(")") is None:
            while True:
                arguments.append(self.condition(depth + 1))
                if self._take(",") is None:
                    break
            self._expect(")", f"after the arguments of {token.text}")
        return self._node(f"{token.text}()", token.at, *arguments)
