"""Queries answered: the projection kept in step with the commit log, plans carried out within limits, pages, documents."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import duckdb
import msgspec
import numpy as np
import pyarrow as pa

from twinwright.clock import from_iso
from twinwright.errors import ContinuationError, QueryTimeoutError, TooLargeError, UsageError
from twinwright.governance.principals import Principal
from twinwright.storage.layout import Relationship
from twinwright.storage.protocol import Store
from twinwright.twins.documents import relationship_document
from twinwright.twins.graph.measured import measured as measured_twin
from twinwright.twins.graph.measured import measured_relationship
from twinwright.twins.query.adjacency import Adjacency, Ints
from twinwright.twins.query.kept import Graphs
from twinwright.twins.query.parser import parse
from twinwright.twins.query.pattern import MOST_LISTED, walk_from_anchors
from twinwright.twins.query.planner import Column, Plan, plan
from twinwright.twins.query.projection import Projection
from twinwright.twins.query.scope import Twins
from twinwright.twins.query.tree import Query
from twinwright.twins.query.windows import window_table

SECONDS: Final = 30.0
MOST_ROWS: Final = 100_000
_FEW: Final = 20_000  # twins of whom history is read one by one rather than all
Documents = Callable[[list[str], int | None, int | None], Mapping[str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A page: `value` are its rows, `continuation` asks for the next (None: there is none), `charge` is what it took in milliseconds.
    `columns` are the names that a row may have, none where each is a document, and `units` those of numbers by column."""

    value: list[dict[str, Any]]
    continuation: str | None
    charge: float
    columns: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)


class _Seen(NamedTuple):
    """A graph, and its relationships as the reader sees them: the graph may go on meanwhile."""

    graph: Projection
    adjacency: Adjacency


class QueryService:
    """Answers queries over what is applied now. `documents` gives the documents of twins as of a time and known at a commit."""

    def __init__(self, store: Store, graphs: Graphs, documents: Documents, *, seconds: float = SECONDS) -> None:
        self._store, self._graphs, self._documents, self._seconds = store, graphs, documents, seconds

    def query(
        self,
        principal: Principal,
        text: str,
        *,
        now: int,
        commit_of: Callable[[str], int],
        continuation: str | None = None,
        most: int | None = None,
        version: str | None = None,
        measured: bool = False,
    ) -> Answer:
        """The next `most` rows (default: MOST_ROWS). `now` is the time in microseconds, `commit_of` reads what KNOWN AT says, `version` is
        that of an interface as which twins are shown here: pages of one answer are of one version. `measured`: who reads the rows converts
        numbers, so those in documents are quantities, and a column of them has one unit.

        Raises QueryError for a query that can't be read or carried out, QueryTimeoutError, ContinuationError, UsageError for a
        continuation of another version.
        """
        started = time.perf_counter()
        text, seen_rows, after = _continued(text, continuation, version)
        query = parse(text)
        most = MOST_ROWS if most is None else most
        as_of = self._time(query, query.as_of)
        known_at = None if query.known_at is None else self._commit(query, commit_of)
        with self._planned(principal, query, as_of, known_at) as (plan_, seen, reader), self._limited(query, reader):
            run = _Run(self._store, principal, plan_, seen.adjacency, reader, now if as_of is None else as_of, known_at)
            if query.explain:
                return Answer(run.explained(most), None, _spent(started))
            if measured:
                _require_one_unit(plan_)
            left = most if query.top is None else max(0, min(most, query.top - seen_rows))
            rows = run.rows(left + 1, after)
        more = len(rows) > left and (query.top is None or seen_rows + left < query.top)
        value = self._shown(plan_, rows[:left], as_of, known_at, seen.graph, measured=measured)
        columns = () if plan_.whole else tuple(column.name for column in plan_.columns)
        token = _token(query, seen_rows + left, rows[left - 1][len(plan_.selected) :], version) if more else None
        units = {column.name: column.unit for column in plan_.columns if column.unit is not None}
        return Answer(value, token, _spent(started), columns, units)

    def twin_ids(self, principal: Principal, text: str, *, now: int, most: int) -> list[str]:
        """The ids of the twins that a query selects, in its order, each once.

        Raises QueryError for one that selects anything but twins, or those of the past; TooLargeError for more than `most`.
        """
        query = parse(text)
        if query.explain or query.as_of is not None or query.known_at is not None:
            query.fail(0, "it is not about the twins there are now", "Leave out EXPLAIN, AS OF and KNOWN AT")
        with self._planned(principal, query, None, None) as (plan_, seen, reader), self._limited(query, reader):
            (column, *others) = plan_.columns
            if others or column.what != "twin" or column.steps:
                query.fail(0, "it does not select twins alone", "Write SELECT T, with the name that FROM or MATCH gives them")
            run = _Run(self._store, principal, plan_, seen.adjacency, reader, now, None)
            limit = most + 1 if query.top is None else min(query.top, most + 1)
            numbers = list(dict.fromkeys(row[column.first] for row in run.rows(limit)))
            if len(numbers) > most:
                raise TooLargeError(f"more than {most} twins", where="query", remedy="Select fewer of them at a time")
            ids = seen.graph.ids(numbers)
            return [ids[number] for number in numbers if number in ids]

    @contextmanager
    def _planned(
        self, principal: Principal, query: Query, as_of: int | None, known_at: int | None
    ) -> Iterator[tuple[Plan, _Seen, duckdb.DuckDBPyConnection]]:
        """A plan, made against a graph that has all lanes it asks for, and a reader of that graph."""
        first = plan(query, self._graphs.catalogue, self._graphs.shape)
        with self._graphs.read(principal, first.lanes, as_of, known_at) as (graph, shape, reader):
            yield plan(query, graph.catalogue, shape), _Seen(graph, shape.adjacency), reader

    def _time(self, query: Query, text: str | None) -> int | None:
        try:
            return None if text is None else from_iso(text, where="AS OF")
        except UsageError as error:
            query.fail(max(query.text.upper().rfind("AS OF"), 0), error.what, error.remedy or "Write it as 2026-03-01T08:00:00Z")

    def _commit(self, query: Query, commit_of: Callable[[str], int]) -> int:
        try:
            return commit_of(str(query.known_at))
        except UsageError as error:
            query.fail(max(query.text.upper().rfind("KNOWN AT"), 0), error.what, error.remedy or "Give a commit number or a time")

    @contextmanager
    def _limited(self, query: Query, reader: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Interrupted when its time is over; what the engine refuses is told as the query's fault."""
        timer = threading.Timer(self._seconds, reader.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        except duckdb.InterruptException:
            raise QueryTimeoutError(
                f"it took more than {self._seconds:g} s", text=query.text, position=0, remedy="Begin at fewer twins, or ask for less"
            ) from None
        except duckdb.OutOfMemoryException:
            query.fail(0, "it takes more memory than there is for queries", "Begin at fewer twins, or ask for less")
        except duckdb.Error as error:
            query.fail(0, f"it can't be computed: {str(error).splitlines()[0][:200]}", "Check numbers and units")
        finally:
            timer.cancel()

    # --- documents ---------------------------------------------------------------------------------------------------

    def _shown(
        self, plan_: Plan, rows: list[tuple[Any, ...]], as_of: int | None, known_at: int | None, graph: Projection, *, measured: bool
    ) -> list[dict[str, Any]]:
        wanted = sorted({row[c.first] for c in plan_.columns if c.what == "twin" for row in rows})
        documents: dict[int, dict[str, Any]] = {}
        if wanted:
            ids = graph.ids(wanted)
            found = self._documents(sorted(ids.values()), as_of, known_at)
            ontology = graph.catalogue.ontology
            documents = {number: measured_twin(found[id], ontology) if measured else found[id] for number, id in ids.items() if id in found}
        edges = _Edges(graph, sorted({row[c.first + 1] for c in plan_.columns if c.what == "edge" for row in rows}) if measured else [])
        shown = [{name: value for column in plan_.columns for name, value in _cell(column, row, documents, edges)} for row in rows]
        return [next(iter(row.values())) for row in shown if row] if plan_.whole else shown


def _require_one_unit(plan_: Plan) -> None:
    """Raises QueryError."""
    for column in plan_.columns:
        if column.mixed:
            what, remedy = f"the numbers of '{column.name}' are in several units", f"Write IN UNIT '...' AS {column.name}"
            plan_.query.fail(0, what, remedy)


class _Edges:
    """Documents of relationships; with numbers as quantities where they begin at one of `sources`."""

    def __init__(self, graph: Projection, sources: Sequence[str]) -> None:
        self._ontology, self._models = graph.catalogue.ontology, graph.interfaces_of(sources)

    def document(self, edge: Relationship) -> dict[str, Any]:
        shown, interface = relationship_document(edge), self._models.get(edge.source)
        declared = None if interface is None else self._ontology.relationships(interface).get(edge.name)
        return shown if declared is None else measured_relationship(shown, declared, self._ontology)


def _cell(column: Column, row: tuple[Any, ...], documents: Mapping[int, dict[str, Any]], edges: _Edges) -> Iterator[tuple[str, Any]]:
    """The column's name and value; nothing where the row has none."""
    if column.what == "twin":
        value = _part(documents.get(row[column.first]), column.steps)
    elif column.what == "edge":
        id, source, target, name, properties, changed_at, commit = row[column.first : column.first + 7]
        edge = Relationship(source, id, name, target, msgspec.json.decode(properties), changed_at=changed_at, commit=commit)
        value = _part(edges.document(edge), column.steps)
    else:
        value = None
        for kind, found in zip(column.kinds, row[column.first :], strict=False):
            if found is not None:
                value = _parsed(found) if kind in ("object", "array") else found
                break
    if value is not None:
        yield column.name, value


def _part(document: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        document = document.get(step) if isinstance(document, dict) else None
    return document


def _parsed(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


class _Run:
    """One plan over one graph."""

    def __init__(
        self,
        store: Store,
        principal: Principal,
        plan_: Plan,
        adjacency: Adjacency,
        reader: duckdb.DuckDBPyConnection,
        end: int,
        known_at: int | None,
    ) -> None:
        self._store, self._principal, self._plan, self._adjacency, self._reader = store, principal, plan_, adjacency, reader
        self._end, self._known_at = end, known_at

    def rows(self, limit: int, after: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        sql = self._statement(limit, after)
        return self._reader.execute(sql, self._bound(sql)).fetchall()

    def explained(self, limit: int) -> list[dict[str, Any]]:
        """What would be done: the SQL with its placeholders, what was walked, and the engine's plan of it."""
        sql = self._statement(limit, None)
        explained = self._reader.execute(f"EXPLAIN {sql}", self._bound(sql)).fetchall()
        walked = [{"from": one.a.alias, "to": one.b.alias, "met": len(one.met)} for one in self._plan.pattern.links if one.met is not None]
        return [{"sql": sql, "walked": walked, "windows": len(self._plan.windows), "plan": explained[0][1] if explained else ""}]

    def _bound(self, sql: str) -> dict[str, Any]:
        return {name: value for name, value in self._plan.parameters.values.items() if f"${name}" in _words(sql)}

    def _statement(self, limit: int, after: Sequence[Any] | None) -> str:
        pattern = self._plan.pattern
        self._settle_anchors()
        settled = {sql for sql, few in pattern.few.items() if len(few) <= MOST_LISTED}
        walk_from_anchors(pattern, self._adjacency, self._alone, self._every)
        tables = pattern.tables()
        for window in self._plan.windows:
            twins = pattern.few.get(window.twins.sql)
            twins = self._alone(window.twins) if twins is None else twins
            listed = None if twins is None or len(twins) > _FEW else twins.tolist()
            tables[window.sql] = window_table(self._store, self._principal, window, self._end, listed, self._known_at)
        for name, table in tables.items():
            self._reader.register(f"given_{name}", table)
        return self._plan.sql(limit=limit, after=after, settled=settled)

    def _settle_anchors(self) -> None:
        for sql, found in self._plan.anchors.items():
            for ids, _ in found:
                asked = f"SELECT n FROM ids WHERE id IN ({', '.join(f'$i{k}' for k in range(len(ids)))})"
                rows = self._reader.execute(asked, {f"i{k}": id for k, id in enumerate(ids)}).fetchall()
                numbers = np.array(sorted({row[0] for row in rows}), np.int32)
                held = self._plan.pattern.few.get(sql)
                self._plan.pattern.few[sql] = numbers if held is None else np.intersect1d(held, numbers)

    def _alone(self, twins: Twins) -> Ints | None:
        """The twins that fulfil the conditions on one alias by itself; None where there are none."""
        conditions = self._plan.of_alone(twins)
        if not conditions:
            return None
        sql = f"SELECT n FROM twins AS {twins.sql} WHERE {' AND '.join(one.sql for one in conditions)}"
        return self._numbers(sql)

    def _every(self) -> Ints:
        return self._numbers("SELECT n FROM twins")

    def _numbers(self, sql: str) -> Ints:
        found: pa.Table = self._reader.sql(sql, params=self._bound(sql)).to_arrow_table()
        return np.sort(np.asarray(found["n"].to_numpy(), np.int32))


def _words(sql: str) -> set[str]:
    return set(re.findall(r"\$p\d+", sql))


# --- pages -----------------------------------------------------------------------------------------------------------


def _token(query: Query, seen: int, after: Sequence[Any], version: str | None) -> str:
    """A page begins behind a row and not at a number, so that what comes or goes meanwhile moves nothing that was there all along."""
    return base64.urlsafe_b64encode(
        json.dumps({"query": query.text, "seen": seen, "after": after, "version": version}, default=float).encode()
    ).decode()


def _continued(text: str, continuation: str | None, version: str | None) -> tuple[str, int, Sequence[Any] | None]:
    """The query, how many rows of it were seen and the place of the last; a token says all, whatever the query beside it (as in Azure
    Digital Twins). Raises ContinuationError for one that is none, UsageError for one of another version."""
    if continuation is None:
        return text, 0, None
    try:
        token = json.loads(base64.urlsafe_b64decode(continuation.encode("ascii")))
        held, seen, after, of = token["query"], token["seen"], token["after"], token["version"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        held, seen, after, of = None, -1, [], None
    plain = isinstance(after, list) and all(one is None or isinstance(one, str | int | float) for one in after)
    if not isinstance(held, str) or type(seen) is not int or not 0 <= seen < 2**40 or not plain:
        raise ContinuationError("the continuation token is none", where="continuationToken", remedy="Ask the query again from the start")
    if of != version:
        raise UsageError("the page before was of another version", where="interface", remedy=f"Ask with {of or 'none'}, or from the start")
    return held, seen, after


def _spent(started: float) -> float:
    return round((time.perf_counter() - started) * 1_000, 3)
