"""Values and conditions of a query to a tree, by recursive descent, and the cursor over tokens that clauses share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from twinwright.errors import QueryError
from twinwright.twins.query.lexer import CLAUSES, Token, tokens
from twinwright.twins.query.tree import Node

MAX_DEPTH = 40
MAX_NODES = 1_500

FUNCTIONS = frozenset(
    [
        "IS_OF_MODEL",
        "IS_DEFINED",
        "IS_NULL",
        "IS_BOOL",
        "IS_NUMBER",
        "IS_STRING",
        "IS_OBJECT",
        "IS_PRIMITIVE",
        "STARTSWITH",
        "ENDSWITH",
        "CONTAINS",
        "ARRAY_CONTAINS",
        "COUNT",
        "AVG",
        "SUM",
        "MIN",
        "MAX",
        "HISTORY",
    ]
)
# What other languages have in the place of ours, and what to write instead.
FOREIGN = {
    "DISTINCT": "Group by it instead: SELECT T.a FROM DIGITALTWINS T GROUP BY T.a",
    "LIKE": "Write STARTSWITH(a, 'b'), ENDSWITH(a, 'b') or CONTAINS(a, 'b')",
    "BETWEEN": "Write a >= 1 AND a <= 2",
    "IS": "Write IS_NULL(a), or NOT IS_NULL(a)",
    "LIMIT": "Write SELECT TOP(n)",
    "OFFSET": "Go on with the continuation token of a page",
    "UNION": "Ask twice, or write OR",
    "LEFT": "A row needs its relationships: ask for twins without them apart",
    "==": "Write =",
    "|": "Write OR",
    "[": "Elements of arrays are found by ARRAY_CONTAINS(a, 'b')",
}
_COMPARISONS = ("=", "!=", "<>", "<", "<=", ">", ">=")
T = TypeVar("T")


class Expressions:
    """Reads them from the tokens of `text`; every error says where."""

    def __init__(self, text: str) -> None:
        self._text, self._tokens, self._next = text, tokens(text), 0
        self._nodes = self._depth = 0

    # --- tokens ------------------------------------------------------------------------------------------------------

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _ahead(self, by: int = 1) -> Token:
        return self._tokens[min(self._next + by, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._token
        if token.kind != "end":
            self._next += 1
        return token

    def _word(self, *words: str) -> Token | None:
        return self._take() if self._token.is_word(*words) else None

    def _sign(self, *signs: str) -> Token | None:
        return self._take() if self._token.kind == "sign" and self._token.text in signs else None

    def _error(self, what: str, remedy: str, at: int | None = None) -> QueryError:
        return QueryError(what, text=self._text, position=self._token.at if at is None else at, remedy=remedy)

    def _hint(self, remedy: str) -> str:
        """What to do about the next token, or about one that was taken for a name: where it is known from elsewhere that, else `remedy`."""
        if self._token.kind in ("name", "sign") and self._token.text.upper() in FOREIGN:
            return FOREIGN[self._token.text.upper()]
        before = self._tokens[self._next - 1] if self._next else self._token
        behind_dot = self._next > 1 and self._tokens[self._next - 2].text == "."
        return FOREIGN.get(before.text.upper(), remedy) if before.kind == "name" and not behind_dot else remedy

    def _fail(self, what: str, remedy: str, at: int | None = None) -> NoReturn:
        raise self._error(what, remedy, at)

    def _found(self) -> str:
        return "the query ends" if self._token.kind == "end" else f"'{self._token.text[:40]}' stands"

    def _expect_word(self, word: str, after: str) -> Token:
        return self._word(word) or self._fail(f"{self._found()} where {word} is expected", self._hint(f"Write {word} after {after}"))

    def _expect_sign(self, sign: str, what: str) -> Token:
        return self._sign(sign) or self._fail(f"{self._found()} where '{sign}' is expected", f"Write '{sign}' {what}")

    def _many(self, one: Callable[[], T]) -> list[T]:
        found = [one()]
        while self._sign(","):
            found.append(one())
            if len(found) > MAX_NODES:
                self._fail("a list that long", f"At most {MAX_NODES} are read")
        return found

    def _name(self, after: str) -> str:
        token = self._token
        if token.kind == "quoted" or (token.kind == "name" and token.text.upper() not in CLAUSES):
            return self._take().text
        remedy = f"Write a name after {after}" if after else "Write a name; one that is a keyword stands in [[double brackets]]"
        raise self._error(f"{self._found()} where a name is expected", self._hint(remedy))

    # --- expressions -------------------------------------------------------------------------------------------------

    def _made(self, op: str, at: int, args: tuple[Node, ...] = (), value: Any = None, unit: str | None = None) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._fail(f"more than {MAX_NODES} parts", "Ask in smaller queries", at)
        return Node(op, at, args, value, unit)

    def _nested(self, read: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"nested deeper than {MAX_DEPTH}", "Write it flatter")
        node = read()
        self._depth -= 1
        return node

    def _condition(self) -> Node:
        return self._chain("or", ("OR",), lambda: self._chain("and", ("AND",), self._negation))

    def _chain(self, op: str, words: tuple[str, ...], read: Callable[[], Node]) -> Node:
        at, parts = self._token.at, [read()]
        while self._word(*words):
            parts.append(read())
        return parts[0] if len(parts) == 1 else self._made(op, at, tuple(parts))

    def _negation(self) -> Node:
        at = self._token.at
        if self._word("NOT"):
            return self._made("not", at, (self._nested(self._negation),))
        return self._comparison()

    def _comparison(self) -> Node:
        left = self._sum()
        at = self._token.at
        if sign := self._sign(*_COMPARISONS):
            return self._made("compare", at, (left, self._sum()), "!=" if sign.text == "<>" else sign.text)
        negated = self._token.is_word("NOT") and self._ahead().is_word("IN")
        if negated:
            self._take()
        if word := self._word("IN", "NIN"):
            return self._made("nin" if negated or word.text.upper() == "NIN" else "in", at, (left, *self._set()))
        return left

    def _set(self) -> list[Node]:
        close = {"[": "]", "(": ")"}
        opened = self._sign("[", "(") or self._fail(f"{self._found()} where a list is expected", "Write it in brackets: IN ['a', 'b']")
        if self._token.text == close[opened.text]:
            self._fail("an empty list", "Write at least one value: nothing is IN an empty list, and everything NIN it")
        values = self._many(self._primary)
        self._expect_sign(close[opened.text], "after the last value")
        return values

    def _sum(self) -> Node:
        left = self._product()
        while sign := self._sign("+", "-"):
            left = self._grown(sign, left, self._product())
        return left

    def _product(self) -> Node:
        left = self._signed()
        while sign := self._sign("*", "/"):
            left = self._grown(sign, left, self._signed())
        return left

    def _grown(self, sign: Token, left: Node, right: Node) -> Node:
        node, depth = left, 0  # a chain is as deep as it is long
        while node.op in ("+", "-", "*", "/") and (depth := depth + 1):
            node = node.args[0]
        if depth > MAX_DEPTH:
            self._fail(f"a chain of more than {MAX_DEPTH} operators", "Put parts of it in parentheses", sign.at)
        return self._made(sign.text, sign.at, (left, right))

    def _signed(self) -> Node:
        at = self._token.at
        if self._sign("+"):
            return self._nested(self._signed)
        if self._sign("-"):
            inner = self._nested(self._signed)
            if inner.op == "literal" and isinstance(inner.value, int | float) and not isinstance(inner.value, bool):
                return Node("literal", at, (), -inner.value, inner.unit)
            return self._made("neg", at, (inner,))
        node = self._primary()
        if self._token.is_word("IN") and self._ahead().is_word("UNIT"):
            self._next += 2
            if self._token.kind != "text":
                self._fail(f"{self._found()} where a unit is expected", "Write it in quotes: IN UNIT 'degF'")
            return self._made("unit", at, (node,), self._take().text)
        return node

    def _primary(self) -> Node:
        token = self._token
        if token.kind == "sign" and token.text in ("+", "-", "("):
            if token.text != "(":
                return self._signed()
            self._take()
            node = self._nested(self._condition)
            self._expect_sign(")", "to close the parenthesis")
            return node
        if token.kind == "number":
            return self._number(self._take())
        if token.kind == "text":
            return self._made("literal", token.at, (), self._take().text)
        if token.is_word("TRUE", "FALSE", "NULL") and self._ahead().text != ".":
            return self._made("literal", token.at, (), {"TRUE": True, "FALSE": False, "NULL": None}[self._take().text.upper()])
        if token.kind == "name" and self._ahead().kind == "sign" and self._ahead().text == "(":
            return self._call()
        return self._reference()

    def _number(self, token: Token) -> Node:
        value: int | float = int(token.text) if token.text.isdecimal() and len(token.text) < 19 else float(token.text)
        if value in (float("inf"), float("-inf")):
            self._fail("a number that no double holds", "Write a smaller one", token.at)
        return self._made("literal", token.at, (), value, token.unit)

    def _call(self) -> Node:
        token = self._take()
        name = token.text.upper()
        if name not in FUNCTIONS:
            from difflib import get_close_matches

            near = get_close_matches(name, sorted(FUNCTIONS), 1)
            remedy = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(FUNCTIONS))}"
            self._fail(f"there is no function '{token.text[:60]}'", remedy, token.at)
        self._expect_sign("(", "after the function")
        closed = self._token.kind == "sign" and self._token.text == ")"
        star = name == "COUNT" and self._sign("*")
        args = [] if closed or star else self._many(lambda: self._nested(self._condition))
        self._expect_sign(")", "after the last argument")
        return self._made("call", token.at, tuple(args), name)

    def _reference(self) -> Node:
        at = self._token.at
        steps = [self._name("")]
        while True:
            if self._sign("."):
                steps.append(self._step())
            elif self._token.kind == "quoted":  # T.labels[[some key]]
                steps.append(self._take().text)
            else:
                break
            if len(steps) > MAX_DEPTH:
                self._fail(f"a name of more than {MAX_DEPTH} steps", "There is none so deep", at)
        return self._made("ref", at, (), tuple(steps))

    def _step(self) -> str:
        """A name behind a dot: no keyword is looked for there."""
        if self._token.kind in ("name", "quoted"):
            return self._take().text
        raise self._error(
            f"{self._found()} where a name is expected", "Write a name after the dot; a strange one stands in [[double brackets]]"
        )
