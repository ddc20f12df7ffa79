"""A small ontology with every kind of value, and graphs over it as plain documents and as a projection of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from twinwright import schema
from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.storage.layout import Relationship
from twinwright.twins.graph.conditions import etag_of
from twinwright.twins.query import QueryService
from twinwright.twins.query.catalogue import Catalogue
from twinwright.twins.query.projection import EDGE_SCHEMA, TWIN_SCHEMA, VALUE_FIELDS, Projection, Shape

BASE, SPECIAL, OTHER, MOTOR = (f"dtmi:test:{name};1" for name in ("Base", "Special", "Other", "Motor"))
MODELS = (BASE, SPECIAL, OTHER)


def _property(name: str, of: Any, semantic: str | None = None, unit: str | None = None) -> dict[str, Any]:
    more = {"unit": unit} if unit else {}
    return {"@type": ["Property", semantic] if semantic else "Property", "name": name, "schema": of, **more}


def _interface(dtmi: str, *contents: dict[str, Any], **more: Any) -> dict[str, Any]:
    contexts = ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"]
    return {"@context": contexts, "@id": dtmi, "@type": "Interface", "contents": list(contents), **more}


def _feeds(unit: str) -> dict[str, Any]:
    own = [_property("weight", "double"), _property("note", "string"), _property("open", "boolean")]
    return {"@type": "Relationship", "name": "feeds", "properties": [*own, _property("length", "double", "Length", unit)]}


_INFO = {
    "@type": "Object",
    "fields": [
        {"name": "a", "schema": "integer"},
        {"name": "b", "schema": {"@type": "Object", "fields": [{"name": "c", "schema": "string"}]}},
    ],
}
_LABELS = {"@type": "Map", "mapKey": {"name": "key", "schema": "string"}, "mapValue": {"name": "value", "schema": "double"}}
ONTOLOGY = schema.load(
    [
        _interface(MOTOR, _property("speed", "double", "AngularVelocity", "revolutionPerMinute"), _property("maker", "string")),
        _interface(
            BASE,
            _property("name", "string"),
            _property("on", "boolean"),
            _property("temp", "double", "Temperature", "degreeCelsius"),
            _property("count", "integer"),
            _property("tags", {"@type": "Array", "elementSchema": "string"}),
            _property("info", _INFO),
            _property("labels", _LABELS),
            {"@type": "Component", "name": "motor", "schema": MOTOR},
            _feeds("metre"),
            {"@type": "Relationship", "name": "contains", "target": BASE},
        ),
        _interface(SPECIAL, _property("extra", "double"), extends=BASE),
        _interface(
            OTHER,
            _property("name", "integer"),
            _property("temp", "double", "Temperature", "degreeFahrenheit"),
            _property("order", "string"),
            _feeds("centimetre"),
        ),
    ]
)
CATALOGUE = Catalogue(ONTOLOGY)
_STORED = {"on": "BOOLEAN", "count": "BIGINT", "tags": "JSON", "info": "JSON", "labels": "JSON"}

Document = dict[str, Any]


class Graph:
    """Twins and relationships as documents: the whole truth for the naive evaluator."""

    def __init__(self, twins: Sequence[Document], edges: Sequence[Document]) -> None:
        self.twins = list(twins)
        self.edges = [{**edge, "$etag": etag_of(_version(edge, at))} for at, edge in enumerate(edges)]
        self.by_id = {twin["$dtId"]: twin for twin in self.twins}

    def __repr__(self) -> str:
        return f"Graph({self.twins!r}, {self.edges!r})"


def _version(edge: Document, at: int) -> Relationship:
    names = ("$sourceId", "$relationshipId", "$relationshipName", "$targetId")
    return Relationship(*(edge[name] for name in names), changed_at=at, commit=1)


class Fixed:
    """A projection of a graph that does not change, where the platform has one in step with the commit log. `turned`: loaded the other way
    round, so that what lies where is another."""

    catalogue = CATALOGUE

    def __init__(self, graph: Graph, projection: Projection | None = None, *, turned: bool = False) -> None:
        self.projection = projection or Projection(CATALOGUE, memory="300MB")
        numbers = {twin["$dtId"]: 3 * index + 1 for index, twin in enumerate(graph.twins)}
        twins = [{"n": numbers[t["$dtId"]], "id": t["$dtId"], "m": CATALOGUE.numbers[t["$metadata"]["$model"]]} for t in graph.twins]
        names = ["feeds", "contains"] if turned else ["contains", "feeds"]
        edges = [
            {
                "s": numbers[e["$sourceId"]],
                "t": numbers[e["$targetId"]],
                "name": names.index(e["$relationshipName"]),
                "id": e["$relationshipId"],
                "props": json.dumps({key: value for key, value in e.items() if key[0] != "$"}),
            }
            | {"changed_at": at, "commit": 1}
            for at, e in enumerate(graph.edges)
        ]
        if turned:
            twins, edges = twins[::-1], edges[::-1]
        self.projection.load_graph(pa.Table.from_pylist(twins, schema=TWIN_SCHEMA), pa.Table.from_pylist(edges, schema=EDGE_SCHEMA), names)
        values = [row for twin in graph.twins for row in _values(twin, numbers[twin["$dtId"]])]
        types = (pa.int32(), pa.string(), pa.string(), pa.float64(), pa.int64(), pa.string(), pa.string())
        self.projection.put("observed", pa.Table.from_pylist(values, schema=pa.schema(list(zip(VALUE_FIELDS, types, strict=True)))), None)

    @property
    def shape(self) -> Shape:
        return self.projection.shape

    @contextmanager
    def read(
        self, principal: Any, lanes: Collection[str], as_of: Any, known_at: Any
    ) -> Iterator[tuple[Projection, Shape, duckdb.DuckDBPyConnection]]:
        reader = self.projection.reader()
        try:
            yield self.projection, self.shape, reader
        finally:
            reader.close()


def _values(twin: Document, number: int, prefix: str = "") -> Iterator[dict[str, Any]]:
    other = twin.get("$metadata", {}).get("$model") == OTHER
    for name, value in twin.items():
        if name[0] == "$":
            continue
        if name == "motor":
            yield from _values(value, number, "motor/")
            continue
        row: dict[str, Any] = dict.fromkeys(VALUE_FIELDS)
        stored = _STORED.get(name) or ("VARCHAR" if isinstance(value, str) else "BIGINT" if other and name == "name" else "DOUBLE")
        unit = {"temp": "degF" if other else "degC", "speed": "rpm"}.get(name)
        row |= {"twin": number, "path": prefix + name, "type": "VARCHAR" if stored == "JSON" else stored, "unit": unit}
        row[{"DOUBLE": "num", "BIGINT": "int", "BOOLEAN": "int"}.get(stored, "txt")] = json.dumps(value) if stored == "JSON" else value
        if stored == "BOOLEAN":
            row["int"] = int(value)
        yield row


def service(graph: Graph, fixed: Fixed | None = None) -> QueryService:
    """Queries over a graph. HISTORY is not for it: there is no store behind."""

    def documents(ids: list[str], as_of: Any, known_at: Any) -> Mapping[str, Document]:
        return {id: graph.by_id[id] for id in ids}

    return QueryService(None, fixed or Fixed(graph), documents)


def ask(queries: QueryService, text: str, **options: Any) -> list[Document]:
    """The rows of one page."""
    return queries.query(LOCAL_ADMIN, text, now=0, commit_of=int, **options).value
