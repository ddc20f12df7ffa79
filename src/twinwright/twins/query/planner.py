"""A parsed query to a plan: its pattern, its conditions, and the columns of its answer. Nothing is read here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from twinwright.storage.layout import Lane
from twinwright.twins.query.catalogue import Catalogue, Kind
from twinwright.twins.query.conditions import AGGREGATES, Compiler, Window
from twinwright.twins.query.forms import Forms, Parameters
from twinwright.twins.query.pattern import Pattern, pattern_of, relations_of
from twinwright.twins.query.projection import Shape
from twinwright.twins.query.scope import Edge, Scope, Twins
from twinwright.twins.query.tree import Item, Node, Query, conjuncts, walk

MOST_ITEMS = 100


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the answer: a value (`kinds` of the columns of SQL that hold it, from `first` on), or a document.

    `steps` lead to a part of the document; `unit` is that of numbers, where they all have one, and `mixed` says that they have several.
    """

    name: str
    what: Literal["value", "twin", "edge"]
    first: int
    kinds: tuple[Kind, ...] = ()
    steps: tuple[str, ...] = ()
    unit: str | None = None
    mixed: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the conditions that must all hold: SQL, and the relations that it reads."""

    sql: str
    names: frozenset[str]
    node: Node


@dataclass(slots=True)
class Plan:
    """What to do for a query. `anchors` are the ids that an alias is fixed to, by its name in SQL."""

    query: Query
    scope: Scope
    pattern: Pattern
    parameters: Parameters
    conditions: list[Condition]
    anchors: dict[str, list[tuple[tuple[str, ...], Condition]]]
    columns: list[Column]
    selected: list[str]
    used: set[str]
    windows: list[Window]
    groups: list[str] = field(default_factory=list)
    order: list[tuple[str, bool]] = field(default_factory=list)  # (SQL, whether it descends)
    aggregated: bool = False
    having: list[str] = field(default_factory=list)
    whole: bool = False  # the answer is one document a row

    @property
    def lanes(self) -> set[Lane]:
        return self.scope.lanes

    def of_alone(self, twins: Twins) -> list[Condition]:
        """The conditions on one alias by itself, as they are known without history."""
        return [one for one in self.conditions if one.names == {twins.sql}]

    def sql(self, *, limit: int, after: Sequence[Any] | None, settled: set[str]) -> str:
        """The statement: a row is what is selected and, behind it, its place in the order of all. `after` is the place of a row: those
        that come behind it. Anchors of what is in `settled` are conditions on numbers already."""
        done = {id(one) for sql, found in self.anchors.items() if sql in settled for _, one in found}
        conditions = [one for one in self.conditions if id(one) not in done]
        used = self.used.union(*(one.names for one in conditions))
        relations = relations_of(self.pattern, used)
        selected = [relations.keys[part[1:-1]] if part[0] == "{" else part for part in self.selected]
        sources = " CROSS JOIN ".join(relations.sources)
        for window in self.windows:
            sources += f" LEFT JOIN given_{window.sql} AS {window.sql} ON {window.sql}.n = {relations.keys[window.twins.alias]}"
        texts = [*relations.conditions, *(one.sql for one in conditions)]
        where = f" WHERE {' AND '.join(texts)}" if texts else ""
        group = f" GROUP BY {', '.join(self.groups)}" if self.groups else ""
        having = f" HAVING {' AND '.join(self.having)}" if self.having else ""
        order = [*self.order, *((text, False) for text in (self.groups if self.aggregated else relations.order))]
        columns = [*(f"{text} AS c{at}" for at, text in enumerate(selected)), *(f"{text} AS o{at}" for at, (text, _) in enumerate(order))]
        ordered = ", ".join(f"o{at} {'DESC' if descending else 'ASC'} NULLS LAST" for at, (_, descending) in enumerate(order))
        rows = f"SELECT {', '.join(columns)} FROM {sources}{where}{group}{having}"
        behind = "" if after is None else f" WHERE {self._behind(after, [descending for _, descending in order])}"
        return f"SELECT * FROM ({rows}){behind}{' ORDER BY ' if ordered else ''}{ordered} LIMIT {limit}"

    def _behind(self, place: Sequence[Any], descending: Sequence[bool]) -> str:
        """Whether a row comes behind a place. Raises QueryError for a place in another order."""
        if len(place) != len(descending):
            self.query.fail(0, "it goes on at a row of another order", "Ask the query again from the start")
        texts, same = [], ""
        for at, (value, falls) in enumerate(zip(place, descending, strict=True)):
            if value is None:  # nothing comes behind what is missing
                same += f"o{at} IS NULL AND "
                continue
            bound = self.parameters.bind(value)
            texts.append(f"({same}(o{at} {'<' if falls else '>'} {bound} OR o{at} IS NULL))")
            same += f"o{at} = {bound} AND "
        return f"({' OR '.join(texts) or 'FALSE'})"


def plan(query: Query, catalogue: Catalogue, shape: Shape) -> Plan:
    """Resolve a query. Raises QueryError, with the nearest right name for one that is not there."""
    parameters = Parameters()
    scope = Scope(query, catalogue, shape, parameters)
    pattern = pattern_of(query, scope)
    compiler = Compiler(scope)
    wanted = conjuncts(query.where)
    for node in wanted:
        if any(part.op == "call" and part.value in AGGREGATES for part in walk(node)):
            query.fail(node.at, "an aggregate in a condition", "WHERE looks at rows before they are aggregated")
        if node.op == "call" and node.value == "IS_OF_MODEL":
            twins, dtmi, exact = compiler.of_model(node)
            scope.named.setdefault(twins.alias, catalogue.numbers[dtmi])
            models = catalogue.subtypes(dtmi, exact=exact)
            scope.narrowed[twins.alias] = scope.narrowed.get(twins.alias, models) & models
        if node.op == "compare" and node.value == "=":
            _name_model(node.args, scope)
    conditions = []
    for node in wanted:
        sql = compiler.condition(node)
        conditions.append(Condition(sql, frozenset(compiler.forms(node).names), node))
    return _Selecting(query, scope, pattern, compiler, conditions).plan()


def _name_model(args: Sequence[Node], scope: Scope) -> None:
    """`T.$metadata.$model = 'dtmi:...'`, either way round."""
    for one, other in (args, args[::-1]):
        if one.op == "ref" and tuple(one.value[-2:]) == ("$metadata", "$model") and other.op == "literal":
            found = scope.find(one)
            if isinstance(found.owner, Twins) and other.value in scope.catalogue.numbers:
                scope.named.setdefault(found.owner.alias, scope.catalogue.numbers[other.value])


class _Selecting:
    """The columns of the answer, and how it is grouped and ordered."""

    def __init__(self, query: Query, scope: Scope, pattern: Pattern, compiler: Compiler, conditions: list[Condition]) -> None:
        self.query, self.scope, self.pattern, self.compiler, self.conditions = query, scope, pattern, compiler, conditions
        self.selected: list[str] = []
        self.columns: list[Column] = []
        self.used: set[str] = set()

    def plan(self) -> Plan:
        query = self.query
        items = self._items()
        aggregated = bool(query.group_by) or any(_aggregates(item.node) for item in items)
        named = {self._name(item): item.node for item in items if item.name is not None or _is_named(item.node)}
        grouped = [self._by_name(node, named) for node in query.group_by]
        groups = [text for node in grouped for text in self._group(node)]
        shapes = {self._same(node) for node in grouped}
        for item in items:
            if aggregated and not _aggregates(item.node) and self._same(item.node) not in shapes:
                query.fail(item.at, "neither aggregated nor grouped by", "Put it into GROUP BY, or an aggregate around it")
            self._column(item, aggregated=aggregated)
        ordered = [(_named(node, named), descending) for node, descending in query.order_by]
        order = [text for node, descending in ordered for text in self._ordered(node, descending, aggregated, shapes)]
        aggregates = {name: node for name, node in named.items() if _aggregates(node)}
        having = [self._having(_named(node, aggregates), aggregated=aggregated) for node in conjuncts(query.having)]
        made = Plan(
            query,
            self.scope,
            self.pattern,
            self.scope.parameters,
            self.conditions,
            self._anchors(),
            self.columns,
            self.selected,
            self.used,
            list(self.compiler.windows.values()),
            groups,
            order,
            aggregated,
            having,
        )
        made.whole = query.items is None and len(items) == 1 and len(self.columns) == 1
        return made

    def _items(self) -> list[Item]:
        query = self.query
        if query.items is not None:
            if len(query.items) > MOST_ITEMS:
                query.fail(query.items[MOST_ITEMS].at, f"more than {MOST_ITEMS} columns", "Select whole twins")
            return list(query.items)
        named = [one for one in (*self.scope.twins, *self.scope.edges) if one[0] not in "(["]
        if not named:
            query.fail(0, "nothing of the pattern has a name", "Name what is to be selected: MATCH (A)-[]->(B)")
        return [Item(Node("ref", 0, (), (one,)), None, 0) for one in named]

    def _by_name(self, node: Node, named: Mapping[str, Node]) -> Node:
        """A column of the answer that is called by its name, where nothing in the graph is called so."""
        if node.op != "ref" or len(node.value) != 1 or node.value[0] not in named or _aggregates(named[node.value[0]]):
            return node
        return node if self.scope.is_known(node.value) else named[node.value[0]]

    def _same(self, node: Node) -> Any:
        """What a node says, wherever it stands, and whether or not it names the only collection there is."""
        if node.op == "ref":
            found = self.scope.find(node)
            return "ref", found.owner.sql, found.steps
        return node.op, node.value, node.unit, tuple(map(self._same, node.args))

    def _name(self, item: Item) -> str:
        if item.name is not None:
            return item.name
        node = item.node.args[0] if item.node.op == "unit" else item.node
        if _is_named(node):
            return str(node.value[-1] if node.op == "ref" else node.value)
        raise self.query.error(item.at, "a value without a name", "Name it with AS")

    def _column(self, item: Item, *, aggregated: bool) -> None:
        name, node = self._name(item), item.node
        if any(column.name == name for column in self.columns):
            self.query.fail(item.at, f"two columns are called '{name}'", "Name one of them with AS")
        if node.op == "ref" and not aggregated and self._document(node, name):
            return
        forms = self.compiler.forms(node)
        if forms.always and not aggregated:
            self.query.fail(item.at, f"'{name}' can't be selected", "Select the twin, or one of its properties")
        self.used.update(forms.names)
        kinds = tuple(forms.sql)
        unit = self._unit(forms)
        mixed = unit is None and any(one is not None for one, _ in forms.units)
        self.columns.append(Column(name, "value", len(self.selected), kinds, unit=unit, mixed=mixed))
        self.selected += self._texts(forms)

    def _unit(self, forms: Forms) -> str | None:
        """In which numbers are selected; None: each in its own."""
        return forms.unit if all(one == forms.units[0][0] for one, _ in forms.units) else None

    def _texts(self, forms: Forms) -> list[str]:
        unit = self._unit(forms)
        return [forms.number(unit) if kind == "number" and unit is not None else sql for kind, sql in forms.sql.items()] or ["NULL"]

    def _document(self, node: Node, name: str) -> bool:
        """Whether it is a document, or a part of one that only the document has."""
        found = self.scope.find(node)
        if isinstance(found.owner, Edge):
            if found.steps not in ((), ("$etag",)):
                return False
            self.used.add(found.owner.sql)
            owner = found.owner.sql
            self.columns.append(Column(name, "edge", len(self.selected), steps=found.steps))
            ends = [f"(SELECT id FROM twins WHERE twins.n = {owner}.{end})" for end in ("s", "t")]
            self.selected += [f"{owner}.id", *ends, f"(SELECT id FROM edge_names n WHERE n.name = {owner}.name)", f"{owner}.props"]
            self.selected += [f"{owner}.changed_at", f"{owner}.commit"]
            return True
        steps = found.steps
        part = steps in (("$etag",), ("$lastUpdateTime",)) or ("$metadata" in steps and steps != ("$metadata", "$model"))
        if "$metadata" in steps:
            self.scope.require_metadata(node, found.owner, steps)
        if steps and not part and steps[0][0] != "$":
            places = self.scope.catalogue.places(steps)
            part = any(place.kind == "component" for place in places)
        if steps and not part:
            return False
        self.columns.append(Column(name, "twin", len(self.selected), steps=steps))
        self.selected.append("{" + found.owner.alias + "}")
        return True

    def _group(self, node: Node) -> list[str]:
        forms = self.compiler.forms(node)
        if forms.aggregated or (forms.always and len(forms.sql) == 1):
            self.query.fail(node.at, "it can't be grouped by", "Group by a property")
        self.used.update(forms.names)
        return self._texts(forms)

    def _ordered(self, node: Node, descending: bool, aggregated: bool, shapes: set[Any]) -> list[tuple[str, bool]]:
        if aggregated and not _aggregates(node) and self._same(node) not in shapes:
            self.query.fail(node.at, "neither aggregated nor grouped by", "Order by a column of the answer")
        if _aggregates(node) and not aggregated:
            self.query.fail(node.at, "an aggregate where nothing is aggregated", "Select it as well")
        forms = self.compiler.forms(node)
        if forms.always:
            self.query.fail(node.at, "it has no order", "Order by a property")
        self.used.update(forms.names)
        number = forms.number(forms.unit) if "number" in forms.sql else ""
        texts = [number if kind == "number" else sql for kind, sql in forms.sql.items() if kind not in ("object", "array")]
        if not texts:
            self.query.fail(node.at, "it has no order", "Order by a number or text")
        return [(text, descending) for text in texts]

    def _having(self, node: Node, *, aggregated: bool) -> str:
        """A condition on groups, of aggregates."""
        if not aggregated:
            self.query.fail(node.at, "HAVING where nothing is aggregated", "Write it as WHERE, or GROUP BY something")
        plain = next(_outside(node), None)
        if plain is not None:
            self.query.fail(plain.at, f"'{plain.value[-1]}' is not aggregated", "WHERE has conditions on what is grouped by")
        forms = self.compiler.forms(node)
        self.used.update(forms.names)
        return self.compiler.condition(node)

    def _anchors(self) -> dict[str, list[tuple[tuple[str, ...], Condition]]]:
        found: dict[str, list[tuple[tuple[str, ...], Condition]]] = {}
        for condition in self.conditions:
            node = condition.node
            if not (node.op == "in" or (node.op == "compare" and node.value == "=")):
                continue
            for one, others in ((node.args[0], node.args[1:]), (node.args[-1], node.args[:-1])):
                if one.op == "ref" and one.value[-1] == "$dtId" and all(o.op == "literal" and isinstance(o.value, str) for o in others):
                    owner = self.scope.find(one)
                    if isinstance(owner.owner, Twins) and owner.steps == ("$dtId",):
                        found.setdefault(owner.owner.sql, []).append((tuple(str(o.value) for o in others), condition))
                        break
        return found


def _aggregates(node: Node) -> bool:
    return any(part.op == "call" and part.value in AGGREGATES for part in walk(node))


def _named(node: Node, items: Mapping[str, Node]) -> Node:
    """With names of columns replaced by what they stand for."""
    if node.op == "ref" and len(node.value) == 1 and node.value[0] in items:
        return items[node.value[0]]
    return replace(node, args=tuple(_named(part, items) for part in node.args))


def _outside(node: Node) -> Iterator[Node]:
    """The names that stand in no aggregate."""
    if node.op == "ref":
        yield node
    elif not (node.op == "call" and node.value in AGGREGATES):
        for part in node.args:
            yield from _outside(part)


def _is_named(node: Node) -> bool:
    """Whether a column of it has a name without AS."""
    inner = node.args[0] if node.op == "unit" else node
    return inner.op in ("ref", "call")
