"""What the names of a query stand for: its aliases, and behind them the paths of interfaces and the properties of relationships."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from twinwright import units
from twinwright.storage.layout import LANES, ColumnType, Lane
from twinwright.twins.query.catalogue import Catalogue, Kind, Place, nearest
from twinwright.twins.query.forms import Forms, Parameters
from twinwright.twins.query.projection import Shape
from twinwright.twins.query.tree import Node, Query

_RELATIONSHIP_FIELDS = ("$relationshipId", "$sourceId", "$targetId", "$relationshipName", "$etag")
_TWIN_FIELDS = ("$dtId", "$metadata", "$etag", "$lanes")
METADATA = ("lastUpdateTime", "sourceTime", "source", "quality", "unit", "ageSeconds")
_SQL_TYPES: dict[Kind, str] = {"number": "DOUBLE", "boolean": "BOOLEAN", "text": "VARCHAR", "object": "VARCHAR", "array": "VARCHAR"}


@dataclass(slots=True)
class Twins:
    """An alias of twins: `aK` in SQL. `models` None: of any interface."""

    alias: str
    sql: str
    models: frozenset[int] | None = None
    numbers: tuple[str, ...] = ()


@dataclass(slots=True)
class Edge:
    """An alias of relationships: `eK` in SQL; `names` of those it can be."""

    alias: str
    sql: str
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for: an alias, and the steps behind it."""

    owner: Twins | Edge
    steps: tuple[str, ...]


class Scope:
    """The aliases of one query, in order of appearance."""

    def __init__(self, query: Query, catalogue: Catalogue, shape: Shape, parameters: Parameters) -> None:
        self.query, self.catalogue, self.shape, self.parameters = query, catalogue, shape, parameters
        self.twins: dict[str, Twins] = {}
        self.edges: dict[str, Edge] = {}
        self.lanes: set[Lane] = set()
        self.narrowed: dict[str, frozenset[int]] = {}
        self.named: dict[str, int] = {}  # the interface as which the twins of an alias are asked for

    # --- aliases -----------------------------------------------------------------------------------------------------

    def add_twins(self, alias: str, at: int, models: frozenset[int] | None = None) -> Twins:
        """A new alias, or one that is there already: then what it can be is narrowed."""
        if alias in self.edges:
            self.query.fail(at, f"'{alias}' stands for relationships already", "Choose another name")
        held = self.twins.get(alias)
        if held is None:
            held = self.twins[alias] = Twins(alias, f"a{len(self.twins)}", models)
        elif models is not None:
            held.models = models if held.models is None else held.models & models
        return held

    def add_edge(self, alias: str | None, names: list[str], at: int) -> Edge:
        name = alias if alias is not None else f"[{len(self.edges)}]"
        if name in self.edges or name in self.twins:
            self.query.fail(at, f"'{name}' stands for something already", "Choose another name")
        self.edges[name] = Edge(name, f"e{len(self.edges)}", names)
        return self.edges[name]

    def find(self, node: Node) -> Found:
        """What a name stands for; without an alias it is a property of the only collection there is. Raises QueryError."""
        steps: tuple[str, ...] = node.value
        owner = self.twins.get(steps[0]) or self.edges.get(steps[0])
        if owner is not None:
            return Found(owner, steps[1:])
        named: list[Twins | Edge] = [*self.twins.values(), *self.edges.values()]
        if len(named) == 1:
            return Found(named[0], steps)
        known = [one.alias for one in named if one.alias[0] not in "(["]
        remedy = nearest(steps[0], known, otherwise="begin with one of")
        if any(steps[0] == one.name for one in self.query.joins):
            remedy = f"Give the relationship a name of its own: JOIN ... RELATED X.{steps[0]} R"
        raise self.query.error(node.at, f"there is no '{steps[0]}' in this query", remedy)

    def is_known(self, steps: tuple[str, ...]) -> bool:
        """Whether something in the graph of this query is called so."""
        if steps[0] in self.twins or steps[0] in self.edges or steps[0].startswith("$"):
            return True
        if len(self.twins) == 1 and not self.edges:
            return bool(self.catalogue.places(steps))
        return not self.twins and bool(self.catalogue.relationship_places(self.catalogue.relationship_names, steps))

    def require_metadata(self, node: Node, owner: Twins, steps: tuple[str, ...]) -> None:
        """Raises QueryError for metadata of what no twin has: those of a component lie in it."""
        at = steps.index("$metadata")
        component, rest = steps[:at], steps[at + 1 :]
        wanted = set(self.models_of(owner))
        places = [place for place in self.catalogue.places(component) if place.model in wanted] if component else []
        if component and not places:
            self._misspelt(node, owner, component, wanted)
        if component and all(place.kind != "component" for place in places):
            remedy = "Write " + ".".join([*component[:-1], "$metadata", component[-1]])
            self.query.fail(node.at, f"'{component[-1]}' holds no metadata", remedy)
        own = () if component else ("$model", "$lastUpdateTime")
        if rest and rest[0] not in own:
            name = (*component, rest[0])
            if not any(place.model in wanted and place.kind != "component" for place in self.catalogue.places(name)):
                known = [*own, *self.catalogue.names(component, sorted(wanted))]
                self.query.fail(node.at, f"there are no metadata of '{rest[0]}'", nearest(rest[0], known))
            if len(rest) > 1 and (rest[1] not in METADATA or len(rest) > 2):
                self.query.fail(node.at, f"metadata have no '{'.'.join(rest[1:])}'", nearest(rest[1], METADATA))

    def models_of(self, owner: Twins) -> Iterable[int]:
        chosen = owner.models
        if owner.alias in self.narrowed:
            chosen = self.narrowed[owner.alias] if chosen is None else chosen & self.narrowed[owner.alias]
        return range(len(self.catalogue.models)) if chosen is None else chosen

    # --- values ------------------------------------------------------------------------------------------------------

    def forms(self, node: Node) -> Forms:
        """The SQL of a name. Raises QueryError with the nearest that there is."""
        found = self.find(node)
        if isinstance(found.owner, Edge):
            return self._of_edge(node, found.owner, found.steps)
        return self._of_twin(node, found.owner, found.steps)

    def _of_twin(self, node: Node, owner: Twins, steps: tuple[str, ...]) -> Forms:
        if not steps:
            return Forms({"object": "NULL"}, always="TRUE", names=(owner.sql,))
        if steps == ("$dtId",):
            return Forms({"text": f"{owner.sql}.id"}, names=(owner.sql,))
        if steps == ("$metadata", "$model"):
            return Forms({"text": f"(SELECT id FROM models WHERE models.m = {owner.sql}.m)"}, names=(owner.sql,))
        lane: Lane = "observed"
        if steps[0] == "$lanes":
            lane, steps = self._lane(node, steps)
        elif steps[0].startswith("$"):
            self._no_field(node, steps)
        self.lanes.add(lane)
        wanted = set(self.models_of(owner))
        places = [place for place in self.catalogue.places(steps) if place.model in wanted]
        if not places:
            self._misspelt(node, owner, steps, wanted)
        return self._of_places(owner, lane, steps, places)

    def _lane(self, node: Node, steps: tuple[str, ...]) -> tuple[Lane, tuple[str, ...]]:
        if len(steps) < 3 or steps[1] not in LANES:
            remedy = nearest(steps[1], LANES) if len(steps) > 1 else "Write $lanes.desired.temperature"
            self.query.fail(node.at, f"there is no lane '{steps[1]}'" if len(steps) > 1 else "a lane without a name", remedy)
        return steps[1], steps[2:]

    def _no_field(self, node: Node, steps: tuple[str, ...]) -> None:
        shown = ".".join(steps)
        if steps[0] in ("$metadata", "$etag"):
            remedy = "Compare $metadata.$model or a property; what else the metadata say can be selected"
            self.query.fail(node.at, f"'{shown}' can't be computed with", remedy)
        self.query.fail(node.at, f"twins have no '{steps[0]}'", nearest(steps[0], _TWIN_FIELDS))

    def _misspelt(self, node: Node, owner: Twins, steps: tuple[str, ...], wanted: set[int]) -> None:
        for depth, step in enumerate(steps):
            known = self.catalogue.names(steps[:depth], sorted(wanted))
            if depth == 0 and step not in known and self.catalogue.relationship(step, frozenset(wanted)):
                remedy = f"Write JOIN X RELATED {owner.alias}.{step} R, and R for the relationship, X for where it leads"
                self.query.fail(node.at, f"'{step}' is a relationship", remedy)
            if step not in known:
                beside = [one.alias for one in self.twins.values()] if depth == 0 and node.value[0] == step else []
                where = f"'{'.'.join(steps[:depth])}' has" if depth else "no interface here has" if not wanted else "these twins have"
                what = f"{where} no '{step}'" if wanted else f"no twin can be '{owner.alias}'"
                self.query.fail(node.at, what, nearest(step, [*known, *(one for one in beside if one[0] != "(")]))
        self.query.fail(node.at, f"nothing is called '{'.'.join(steps)}'", "Name a property of the interface")

    def _of_places(self, owner: Twins, lane: Lane, steps: tuple[str, ...], places: list[Place]) -> Forms:
        sql: dict[Kind, str] = {}
        kinds: dict[Kind, list[Place]] = {}
        for place in places:
            kinds.setdefault(place.kind, []).append(place)
        for kind, mine in kinds.items():
            if kind != "component":
                sql[kind] = self._column(owner, lane, kind, mine, several=len(kinds) > 1)
        measured: dict[str | None, set[int]] = {}
        if "number" in kinds:
            told = self.catalogue.told_in(steps, kinds["number"], self.named.get(owner.alias))
            sql["number"] = self._told(owner, sql["number"], kinds["number"], told)
            for place in kinds["number"]:
                measured.setdefault(told[place.model], set()).add(place.model)
        always = f"({owner.sql}.m IN ({_listed({p.model for p in kinds['component']})}))" if "component" in kinds else ""
        if always:
            sql["object"] = sql.get("object", "NULL::VARCHAR")
        one = len(measured) == 1
        found = tuple((unit, None if one else frozenset(models)) for unit, models in measured.items())
        return Forms(sql, found, f"{owner.sql}.m", always=always, names=(owner.sql,))

    def _told(self, owner: Twins, sql: str, places: list[Place], told: Mapping[int, str | None]) -> str:
        """Numbers in the units in which they are told, where those are not of the twins' own interfaces."""
        others: dict[tuple[str | None, str | None], set[int]] = {}
        for place in places:
            if place.unit != told[place.model]:
                others.setdefault((place.unit, told[place.model]), set()).add(place.model)
        cases = [
            f"WHEN {owner.sql}.m IN ({_listed(models)}) THEN {units.converter(own, unit).sql(f'({sql})::DOUBLE')}"
            for (own, unit), models in others.items()
        ]
        return f"(CASE {' '.join(cases)} ELSE {sql} END)" if cases else sql

    def _column(self, owner: Twins, lane: Lane, kind: Kind, places: list[Place], *, several: bool) -> str:
        parts = []
        for path, inside, text, whole in dict.fromkeys((p.path, p.inside, p.text, p.whole) for p in places):
            types: tuple[ColumnType, ...] = ("VARCHAR",) if text else ("BOOLEAN",) if kind == "boolean" else ("DOUBLE", "BIGINT")
            for type_ in types:
                name = self.shape.columns.get((lane, path, type_))
                if name is not None:
                    parts.append(self._inside(f"{owner.sql}.{name}", kind, inside, text, whole))
        if not parts:
            return f"NULL::{_SQL_TYPES[kind]}"
        joined = parts[0] if len(parts) == 1 else f"coalesce({', '.join(parts)})"
        if not several:
            return joined
        return f"(CASE WHEN {owner.sql}.m IN ({_listed({p.model for p in places})}) THEN {joined} END)"

    def _inside(self, column: str, kind: Kind, inside: tuple[str, ...], text: bool, whole: bool) -> str:
        """What a column holds at a place of its JSON."""
        if not inside:
            return f"TRY_CAST({column} AS HUGEINT)" if text and kind == "number" else column
        pointer = self.parameters.bind("".join("/" + step.replace("~", "~0").replace("/", "~1") for step in inside))
        found = f"TRY(json_extract_string({column}, {pointer}))"
        type_ = "BIGINT" if whole else {"number": "DOUBLE", "boolean": "BOOLEAN"}.get(kind)
        return found if type_ is None else f"TRY_CAST({found} AS {type_})"

    def _of_edge(self, node: Node, owner: Edge, steps: tuple[str, ...]) -> Forms:
        fields = {
            "$relationshipId": f"{owner.sql}.id",
            "$sourceId": f"(SELECT id FROM twins WHERE twins.n = {owner.sql}.s)",
            "$targetId": f"(SELECT id FROM twins WHERE twins.n = {owner.sql}.t)",
            "$relationshipName": f"(SELECT id FROM edge_names WHERE edge_names.name = {owner.sql}.name)",
        }
        if not steps:
            return Forms({"object": "NULL"}, always="TRUE", names=(owner.sql,))
        if len(steps) == 1 and steps[0] in fields:
            return Forms({"text": fields[steps[0]]}, names=(owner.sql,))
        places = self.catalogue.relationship_places(owner.names, steps)
        if steps == ("$etag",):
            self.query.fail(node.at, "'$etag' can't be computed with", "It can be selected")
        if not places:
            known = [*_RELATIONSHIP_FIELDS, *self.catalogue.relationship_properties(owner.names)]
            if steps[0].startswith("$"):
                known = list(_RELATIONSHIP_FIELDS)
            self.query.fail(node.at, f"these relationships have no '{'.'.join(steps)}'", nearest(steps[0], known))
        sql: dict[Kind, str] = {}
        for kind in dict.fromkeys(place.kind for place in places):
            mine = [place for place in places if place.kind == kind]
            sql[kind] = self._inside(f"{owner.sql}.props", kind, steps, True, all(place.whole for place in mine))
        measured: dict[str | None, set[int]] = {}
        for place in places:
            if place.kind == "number":
                measured.setdefault(place.unit, set()).add(self._declaration(place))
        one = len(measured) == 1
        found = tuple((unit, None if one else frozenset(which)) for unit, which in measured.items())
        which = f"((SELECT m FROM twins WHERE twins.n = {owner.sql}.s)::BIGINT * {len(self.shape.names)} + {owner.sql}.name)"
        return Forms(sql, found, which, names=(owner.sql,))

    def _declaration(self, place: Place) -> int:
        """Which relationship of which interface has a property: in one number. One that no twin has yet is none of them."""
        name = self.shape.names.get(place.path)
        return -1 if name is None else place.model * len(self.shape.names) + name


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(str(number) for number in sorted(numbers))
