"""From what a range of commits touched to the records that have to be written: spans, outputs, and where they differ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
import pyarrow as pa

from twinwright.clock import HOUR
from twinwright.derived import evaluate
from twinwright.derived.binding import Binding
from twinwright.derived.definition import Definition, Input
from twinwright.derived.intervals import EVER, SPANS, Density, Piece, aligned, begun_by, clusters, disjoint, inside, pieces
from twinwright.derived.reader import Reader, frame
from twinwright.derived.remains import WHOLE, Remains
from twinwright.governance.principals import Principal
from twinwright.storage.layout import Selection
from twinwright.storage.protocol import REMOVED, VALUE_SCHEMA, Store

MOST_READINGS = 1_000_000  # of one read; more are read in pieces
_LONG = 30 * 24 * HOUR  # what held for longer than this is not looked for among roll-ups
_VALUE = ("kind", "num", "int", "txt", "unit", "type")  # what makes one record say the same as another


@dataclass(frozen=True, slots=True)
class Deriver:
    """Derives as known at one commit."""

    store: Store
    principal: Principal
    density: Density
    known_at: int
    stored_as: Callable[[str], Collection[str]] = lambda path: (path,)  # the paths under which what versions of an interface call so may be
    remains: Remains = WHOLE

    def touched(self, binding: Binding, touched: pl.DataFrame) -> pl.DataFrame:
        """The spans in which the definition may say otherwise because of what was touched (TOUCHED_SCHEMA)."""
        spans = [self._touched_by(one, binding, touched) for one in binding.definition.inputs]
        return disjoint(aligned(pl.concat(spans), binding.definition.every))

    def all_of(self, binding: Binding) -> pl.DataFrame:
        """Spans of everything, because of the commit it is known at."""
        owners = pl.DataFrame({"owner": binding.owners})
        return owners.select("owner", lo=pl.lit(-EVER, pl.Int64), hi=pl.lit(EVER, pl.Int64), commit=pl.lit(self.known_at, pl.Int64))

    def _touched_by(self, one: Input, binding: Binding, touched: pl.DataFrame) -> pl.DataFrame:
        stored = self.stored_as(one.path)
        tables = [t.number for t in self.store.reading_tables(self.principal) if any(column.path in stored for column in t.columns)]
        mine = (
            touched.filter((pl.col("lane") == one.lane) & (pl.col("path").is_in(list(stored)) | pl.col("table").is_in(tables)))
            .select(pl.col("twin").alias("member"), "time", "commit")
            .join(binding.members[one.name], on="member", how="inner")
        )
        if one.every is not None:
            begin = pl.col("time") // one.every * one.every
            return mine.select("owner", lo=begin, hi=begin + one.every, commit="commit").unique()
        points = mine.select("member", "time", lo="time", hi=pl.col("time") + 1).unique()
        reader = self._reader(one)
        ends = [reader.following(cluster, one.path) for cluster in clusters(points)]
        if not ends:
            return pl.DataFrame(schema=SPANS)
        return mine.join(pl.concat(ends), on=["member", "time"], how="inner").select("owner", lo="time", hi="hi", commit="commit")

    def _reader(self, one: Input) -> Reader:
        return Reader(self.store, self.principal, one.lane, self.known_at)

    # --- what has to be written ----------------------------------------------------------------------------------------

    def changes(self, binding: Binding, spans: pl.DataFrame) -> Iterator[pa.Table]:
        """For each piece of some spans the records that differ from what is current: VALUE_SCHEMA. Where raw values of an input are gone
        what was derived stays: of what is left it would be another."""
        spans = begun_by(spans, self.remains.floors(binding, spans))
        for piece in pieces(spans, binding.definition.every, self.density, MOST_READINGS):
            values = {one.name: self._values(one, binding, piece) for one in binding.definition.inputs}
            told = replace(piece, spans=begun_by(piece.spans, self.remains.held_from(binding, piece, values, self._rolled_up)))
            if len(told.spans):
                yield self._differences(binding.definition, told, self.outputs(binding, told, values))

    def _rolled_up(self, members: list[int], path: str, before: int) -> set[int]:
        found = (self.store.rollups(self.principal, members, stored, before - _LONG, before) for stored in sorted(self.stored_as(path)))
        return {twin for rows in found for twin in rows["twin"].unique().to_pylist()}

    def outputs(self, binding: Binding, piece: Piece, values: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        """What the definition says in the spans of a piece, of the values of its inputs there: `evaluate.OUTPUT`."""
        pairs = {one.name: binding.read_from(one, piece.spans) for one in binding.definition.inputs}
        operands = {
            one.name: evaluate.windows(values[one.name], pairs[one.name], one) for one in binding.definition.inputs if one.every is not None
        }
        begun = operands.values() or [
            found.filter(pl.col("time") >= piece.lo).join(pairs[name], on="member", how="inner") for name, found in values.items()
        ]
        times = pl.concat([one.select("owner", "time") for one in begun]).unique()
        times = inside(times, piece.spans).sort("owner", "time")
        for one in binding.definition.inputs:
            if one.every is None:
                operands[one.name] = evaluate.held(values[one.name], pairs[one.name], times, one)
        return evaluate.outputs(binding, times, operands)

    def _values(self, one: Input, binding: Binding, piece: Piece) -> pl.DataFrame:
        members = binding.read_from(one, piece.spans)["member"].unique().sort().to_list()
        reader = self._reader(one)
        records = reader.records(members, (one.path,), piece.start, piece.end)
        if one.every is None:
            records = pl.concat([reader.before(members, (one.path,), piece.start), records])
        return evaluate.values_of(records, one)

    def _differences(self, definition: Definition, piece: Piece, outputs: pl.DataFrame) -> pa.Table:
        owners = tuple(piece.spans["owner"].unique().sort())
        selection = Selection(owners, (definition.path,), "derived", piece.start, piece.end, source=definition.name)
        current = inside(frame(self.store.history(self.principal, selection)).drop("commit").rename({"twin": "owner"}), piece.spans)
        current = current.rename({"owner": "twin"})
        new = outputs.with_columns(unit=pl.lit(definition.unit, pl.String), type=pl.lit(definition.type, pl.String))
        beside = new.join(current.select("twin", "time", *_VALUE), on=["twin", "time"], how="left", suffix="_now", maintain_order="left")
        same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_now")) for name in _VALUE)
        gone = current.filter(pl.col("kind") != REMOVED).join(new, on=["twin", "time"], how="anti").sort("twin", "time")
        written = [beside.filter(~same).with_columns(path=pl.lit(definition.path)), _removed(gone)]
        return _records(written, definition.name, definition.spec.revision)

    def withdrawn(self, name: str, kept: Definition | None, owners: Sequence[int], revision: int) -> Iterator[pa.Table]:
        """`removed` for what a source derived and does no longer: all but what `kept` writes to `owners`."""
        everything = pl.DataFrame({"owner": [0], "lo": [-EVER], "hi": [EVER], "commit": [0]}, schema=SPANS)
        for piece in pieces(everything, None, self.density, MOST_READINGS):
            selection = Selection(lane="derived", start=piece.start, end=piece.end, source=name)
            rows = frame(self.store.history(self.principal, selection)).filter(pl.col("kind") != REMOVED)
            if kept is not None:
                mine = pl.DataFrame({"twin": owners}, schema={"twin": pl.Int32}).with_columns(path=pl.lit(kept.path))
                rows = rows.join(mine, on=["twin", "path"], how="anti", maintain_order="left")
            yield _records([_removed(rows.with_columns(commit=pl.lit(self.known_at, pl.Int64)))], name, revision)


def _removed(rows: pl.DataFrame) -> pl.DataFrame:
    nothing = {"num": pl.lit(None, pl.Float64), "int": pl.lit(None, pl.Int64), "txt": pl.lit(None, pl.String)}
    return rows.with_columns(kind=pl.lit(REMOVED, pl.Int8), **nothing)


def _records(parts: Sequence[pl.DataFrame], name: str, revision: int) -> pa.Table:
    said = {"source": pl.lit(name), "correction": pl.col("commit"), "revision": pl.lit(revision, pl.Int32), "lane": pl.lit("derived")}
    ordered = [part.with_columns(**said).select(VALUE_SCHEMA.names) for part in parts]
    return pl.concat(ordered, how="vertical").to_arrow().cast(VALUE_SCHEMA)
