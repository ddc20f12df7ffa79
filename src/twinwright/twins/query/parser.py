"""The clauses and patterns of a query to a tree, by recursive descent. Keywords are read in any case; every error says where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from twinwright.twins.query.expressions import Expressions
from twinwright.twins.query.lexer import RESERVED
from twinwright.twins.query.tree import Hop, Item, Join, Node, Query

MAX_JOINS = 10
MAX_HOPS = 10
MAX_TOP = 10_000_000
_CLAUSE_WORDS = ("JOIN", "RELATED", "MATCH", "WHERE", "GROUP", "HAVING", "ORDER", "KNOWN")


def parse(text: str) -> Query:
    """The tree of a query. Raises QueryError with the position of what can't be read."""
    return _Parser(text).query()


class _Parser(Expressions):
    _anonymous = 0  # twins of a pattern that have no name

    # --- clauses -----------------------------------------------------------------------------------------------------

    def query(self) -> Query:
        explain = self._word("EXPLAIN") is not None
        if not self._word("SELECT"):
            self._fail(f"{self._found()} where SELECT is expected", "A query is SELECT ... FROM DIGITALTWINS, or EXPLAIN before that")
        top = self._top()
        items = self._items()
        self._expect_word("FROM", "what is selected")
        kind = self._collection()
        found: dict[str, Any] = {"alias": self._alias()}
        while self._token.kind != "end":
            self._clause(found)
        return Query(self._text, kind, items=items, top=top, explain=explain, **found)

    def _top(self) -> int | None:
        if not self._word("TOP"):
            return None
        self._expect_sign("(", "and a number after TOP")
        number = self._whole("after TOP(", MAX_TOP)
        self._expect_sign(")", "after the number")
        return number

    def _whole(self, where: str, most: int) -> int:
        token = self._token
        if token.kind != "number" or not token.text.isdecimal() or token.unit or len(token.text) > 12 or int(token.text) > most:
            self._fail(f"{self._found()} where a whole number is expected", f"Write one from 0 to {most} {where}")
        return int(self._take().text)

    def _items(self) -> tuple[Item, ...] | None:
        if self._token.is_word("FROM"):
            if self._tokens[self._next - 1].text != ")":
                self._fail("nothing is selected", "Write *, or what to select")
            return None  # SELECT TOP(5) FROM ...
        if self._sign("*"):
            return None
        return tuple(self._many(self._item))

    def _item(self) -> Item:
        at = self._token.at
        node = self._sum()
        return Item(node, self._name("AS") if self._word("AS") else None, at)

    def _collection(self) -> Literal["twins", "relationships"]:
        if self._word("DIGITALTWINS"):
            return "twins"
        if self._word("RELATIONSHIPS"):
            return "relationships"
        raise self._error(f"{self._found()} where a collection is expected", "Write DIGITALTWINS or RELATIONSHIPS after FROM")

    def _alias(self) -> str | None:
        if self._token.is_word("AS") and not self._ahead().is_word("OF"):
            self._take()
            return self._name("AS")
        if self._token.kind == "quoted" or (self._token.kind == "name" and self._token.text.upper() not in RESERVED):
            return self._name("")
        return None

    def _clause(self, found: dict[str, Any]) -> None:
        at = self._token.at
        if self._word("JOIN"):
            joins = (*found.get("joins", ()), self._join())
            if len(joins) > MAX_JOINS:
                self._fail(f"more than {MAX_JOINS} JOINs", "Ask in two steps", at)
            found["joins"] = joins
            self._in_order(found, "JOIN", at, "where", "group_by", "having", "order_by")
            return
        for words, field, read in self._clauses():
            if self._token.is_word(words[0]) and (len(words) == 1 or self._ahead().is_word(words[1])):
                name = " ".join(words)
                if field in found or (field == "hops" and "nodes" in found):
                    self._fail(f"{name} stands twice", "Write it once", at)
                self._next += len(words)
                if field == "hops":
                    found["hops"], found["nodes"] = self._match()
                    self._in_order(found, name, at, "where", "group_by", "having", "order_by")
                else:
                    found[field] = read()
                    order = ("where", "group_by", "having", "order_by")
                    later = order[order.index(field) + 1 :] if field in order else ()
                    self._in_order(found, name, at, *later)
                return
        self._fail(f"{self._found()} where a clause is expected", self._hint(self._nearest_clause()))

    def _nearest_clause(self) -> str:
        """For who misspelt one: it may be taken as a name by now."""
        from difflib import get_close_matches

        before = self._tokens[self._next - 1]
        for token in (self._token, before):
            near = get_close_matches(token.text.upper(), _CLAUSE_WORDS, 1, 0.7) if token.kind == "name" else []
            if near and near[0] != token.text.upper():
                return f"Did you mean {near[0]} where '{token.text[:40]}' stands?"
        return "Use JOIN, MATCH, WHERE, GROUP BY, HAVING, ORDER BY, AS OF, KNOWN AT"

    def _in_order(self, found: dict[str, Any], name: str, at: int, *later: str) -> None:
        for field in later:
            if field in found:
                self._fail(f"{name} stands behind {field.replace('_', ' ').upper()}", "Move it before", at)

    def _clauses(self) -> list[tuple[tuple[str, ...], str, Callable[[], Any]]]:
        return [
            (("MATCH",), "hops", lambda: None),
            (("WHERE",), "where", self._condition),
            (("GROUP", "BY"), "group_by", lambda: tuple(self._many(self._sum))),
            (("HAVING",), "having", self._condition),
            (("ORDER", "BY"), "order_by", lambda: tuple(self._many(self._ordered))),
            (("AS", "OF"), "as_of", lambda: self._literal_text("AS OF")),
            (("KNOWN", "AT"), "known_at", lambda: self._literal_text("KNOWN AT")),
        ]

    def _literal_text(self, after: str) -> str:
        if self._token.kind == "number" and after == "KNOWN AT":
            return str(self._whole("after KNOWN AT", 10**12 - 1))
        if self._token.kind != "text":
            self._fail(f"{self._found()} where a time is expected", f"Write it in quotes: {after} '2026-03-01T08:00:00Z'")
        return self._take().text

    def _ordered(self) -> tuple[Node, bool]:
        node = self._sum()
        descending = self._word("DESC") is not None
        if not descending:
            self._word("ASC")
        return node, descending

    def _join(self) -> Join:
        at = self._token.at
        target = self._name("JOIN")
        self._expect_word("RELATED", "the name of the joined twins")
        source_at = self._token.at
        source = self._name("RELATED")
        self._expect_sign(".", "and the relationship's name after the twins that it leads from")
        name_at = self._token.at
        name = self._step()
        return Join(target, source, name, self._alias(), at, source_at, name_at)

    # --- patterns ----------------------------------------------------------------------------------------------------

    def _match(self) -> tuple[tuple[Hop, ...], tuple[tuple[str, int], ...]]:
        hops: list[Hop] = []
        nodes: list[tuple[str, int]] = []
        for _ in iter(lambda: self._sign(",") if nodes else True, None):
            nodes.append(self._node())
            while self._token.kind == "sign" and self._token.text in ("-", "<"):
                hops.append(self._hop(nodes))
                if len(hops) > MAX_JOINS:
                    self._fail(f"a pattern of more than {MAX_JOINS} steps", "Ask in two")
        return tuple(hops), tuple(nodes)

    def _node(self) -> tuple[str, int]:
        self._expect_sign("(", "around the name of twins in a pattern")
        at = self._token.at
        name = self._nameless() if self._token.text == ")" and self._token.kind == "sign" else self._name("(")
        self._expect_sign(")", "around the name of twins in a pattern")
        return name, at

    def _nameless(self) -> str:
        self._anonymous += 1
        return f"({self._anonymous})"

    def _hop(self, nodes: list[tuple[str, int]]) -> Hop:
        at, source = self._token.at, nodes[-1][0]
        left = self._sign("<") is not None
        self._expect_sign("-", "before the brackets of a relationship")
        self._expect_sign("[", "before what the relationship is like")
        names, relationship, fewest, most = self._relationship()
        self._expect_sign("]", "after what the relationship is like")
        self._expect_sign("-", "after the brackets of a relationship")
        right = self._sign(">") is not None
        if left and right:
            self._fail("an arrow with two heads", "Leave out one, or both for any direction", at)
        nodes.append(self._node())
        return Hop(source, nodes[-1][0], "in" if left else "out" if right else "any", names, relationship, fewest, most, at)

    def _relationship(self) -> tuple[tuple[tuple[str, int], ...], str | None, int, int]:
        at, relationship = self._token.at, None
        names: list[tuple[str, int]] = []
        if self._token.kind in ("name", "quoted"):
            first = (self._name("["), at)
            following = self._token.text if self._token.kind == "sign" else ""
            if following in ("|", "*"):  # a variable can't stand there: it is the first of some names
                names = [first, *self._further_names()]
            else:
                relationship = first[0]
        if not names and self._sign(":"):
            names = [(self._name(":"), self._tokens[self._next - 1].at), *self._further_names()]
        fewest, most = self._hops()
        if relationship is not None and (fewest, most) != (1, 1):
            self._fail("a variable for more than one relationship", "Leave out the variable, or the number of hops", at)
        return tuple(names), relationship, fewest, most

    def _further_names(self) -> list[tuple[str, int]]:
        found = []
        while self._sign("|"):
            self._sign(":")
            found.append((self._name("|"), self._tokens[self._next - 1].at))
        return found

    def _hops(self) -> tuple[int, int]:
        """The start of a range is not in it, as in Azure Digital Twins: `*1..3` are two or three relationships."""
        at = self._token.at
        if not self._sign("*"):
            return 1, 1
        first = None if self._token.text == ".." else self._whole("after *", MAX_HOPS)
        last = self._whole("after ..", MAX_HOPS) if self._sign("..") else None
        fewest, most = (first, first) if last is None else ((first or 0) + 1, last)
        if fewest is None or most is None or fewest < 1 or fewest > most:
            self._fail(
                "a number of hops that can't be", "Write *2 for exactly two, *1..3 for more than one and up to three, *..3 for up to", at
            )
        return fewest, most
