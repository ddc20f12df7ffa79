"""What a contract makes of decoded rows: readings in columns, and for each refused row the reason.

Reasons are decided in a fixed order (time, twin, then observations in the contract's order), so that a row which is wrong in
two ways is counted the same however it arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.compiled import inlined
from twinwright.storage.layout import MASK_BITS, ReadingColumn
from twinwright.telemetry.admitted import Admitted
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.contract_spec import CorrectionSpec, ObservationSpec
from twinwright.telemetry.decode import Column, Decoded
from twinwright.telemetry.derivation import PLAIN, Derivation
from twinwright.telemetry.derive import derived
from twinwright.telemetry.event_time import EPOCH_FORMATS
from twinwright.telemetry.packed import captures_of
from twinwright.telemetry.payloads import Payload, Reason
from twinwright.telemetry.timestamps import parse_iso, parse_pattern
from twinwright.twins.cells import words_of
from twinwright.twins.registry import TwinRegistry

_MIN_MICROS, _MAX_MICROS = -62_135_596_800_000_000, 253_402_300_800_000_000  # the years 1 to 9999: what can be written again


@dataclass(frozen=True, slots=True)
class Readings:
    """Accepted rows in columns, all of one length. `row` is the decoded row; `present` and `bad` are (mask words, rows).

    `words` are the `words_of` the values, where they are at hand.
    """

    row: NDArray[np.int64]
    twin: NDArray[np.int32]
    time: NDArray[np.int64]
    correction: NDArray[np.int64]
    present: NDArray[np.int64]
    bad: NDArray[np.int64]
    values: tuple[pa.Array, ...]
    words: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: NDArray[np.int64]) -> Readings:
        """Some of the rows, in the order given."""
        chosen = pa.array(index)
        return Readings(
            self.row[index],
            self.twin[index],
            self.time[index],
            self.correction[index],
            self.present[:, index],
            self.bad[:, index],
            tuple(values.take(chosen) for values in self.values),
            None if self.words is None else self.words[:, index],
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """One row that the contract refuses, with the reason and what exactly was wrong."""

    row: int
    reason: Reason
    detail: str


class _Refusals:
    """The first reason of each row, with a description, or what gives one for a row, per (reason, place)."""

    def __init__(self, count: int) -> None:
        self.code = np.zeros(count, np.int16)
        self.kinds: list[tuple[Reason, str | Callable[[int], str]]] = []

    def add(self, where: NDArray[np.bool_], reason: Reason, detail: str | Callable[[int], str]) -> None:
        fresh = where & (self.code == 0)
        if fresh.any():
            self.kinds.append((reason, detail))
            self.code[fresh] = len(self.kinds)

    def listed(self) -> list[Refused]:
        refused = []
        for row in np.flatnonzero(self.code):
            reason, detail = self.kinds[self.code[row] - 1]
            refused.append(Refused(int(row), reason, detail if isinstance(detail, str) else detail(int(row))))
        return refused


def evaluate(
    contract: Contract, decoded: Decoded, payloads: Sequence[Payload], registry: TwinRegistry, received_at: int
) -> tuple[Readings, list[Refused]]:
    """Times, twins, values and their quality. `received_at` (microseconds) is what `skew` is measured against."""
    refusals = _Refusals(decoded.count)
    time = _event_time(contract, decoded, received_at, refusals)
    twin = _twin_numbers(contract, decoded, payloads, registry, time, refusals)
    correction = _correction(contract, decoded, refusals)
    masks = (len(contract.columns) + MASK_BITS - 1) // MASK_BITS
    present, bad = np.zeros((masks, decoded.count), np.int64), np.zeros((masks, decoded.count), np.int64)
    words, values = np.empty((len(contract.columns), decoded.count), np.uint64), []
    for j, (observation, column, domain) in enumerate(zip(contract.spec.observations, contract.columns, contract.admitted, strict=True)):
        derivation = contract.derivations[j]
        if derivation is None:
            given = decoded.columns[observation.field or ""]
        else:
            given = derived(derivation, observation.field, column.type, decoded)
        bit = np.int64(1 << (j % MASK_BITS))
        plain = _all_good(observation, column, domain, given, words[j])
        if plain is not None:
            values.append(plain)
            present[j // MASK_BITS] |= bit
            continue
        value, is_there, is_bad = _observe(observation, column, domain, derivation or PLAIN, given, refusals)
        values.append(value)
        words[j] = words_of([value])
        present[j // MASK_BITS] |= np.where(is_there, bit, np.int64(0))
        if is_bad is not None:
            bad[j // MASK_BITS] |= np.where(is_bad, bit, np.int64(0))
    refusals.add(np.asarray((present == 0).all(axis=0), np.bool_), "missing_field", "none of the contract's fields is there")
    readings = Readings(np.arange(decoded.count), twin, time, correction, present, bad, tuple(values), words)
    if not refusals.kinds:
        return readings, []
    return readings.take(np.flatnonzero(refusals.code == 0)), refusals.listed()


def _event_time(contract: Contract, decoded: Decoded, received_at: int, refusals: _Refusals) -> NDArray[np.int64]:
    spec = contract.spec.time
    column = decoded.columns[spec.field]
    refusals.add(_missing(column), "missing_field", f"the time field '{spec.field}' is missing")
    if column.wrong is not None:
        refusals.add(column.wrong, "bad_time", f"the time field '{spec.field}' has the wrong type")
    if spec.format in EPOCH_FORMATS:
        scaled = np.round(column.values.fill_null(0.0).to_numpy() * EPOCH_FORMATS[spec.format])
        good: NDArray[np.bool_] = np.asarray(np.isfinite(scaled) & (np.abs(scaled) <= _MAX_MICROS))
        time = np.where(good, scaled, 0).astype(np.int64)
    elif spec.format == "iso8601":
        time, good = parse_iso(column.array, spec.zone)
    else:
        time, good = parse_pattern(column.values, spec.format, spec.zone)
    refusals.add(
        np.logical_not(good & (time >= _MIN_MICROS) & (time < _MAX_MICROS)),
        "bad_time",
        f"'{spec.field}' is not a time in the format {spec.format}" + ("" if spec.zone else " with a zone"),
    )
    ahead: NDArray[np.bool_] = np.asarray(time > received_at + contract.skew)
    refusals.add(ahead, "future_time", f"'{spec.field}' is further ahead than the skew {contract.spec.skew}")
    return time


def _missing(column: Column) -> NDArray[np.bool_]:
    missing = column.values.is_null().to_numpy() if column.nulls else np.zeros(len(column.array), np.bool_)
    return missing if column.wrong is None else missing & ~column.wrong


def _twin_numbers(
    contract: Contract,
    decoded: Decoded,
    payloads: Sequence[Payload],
    registry: TwinRegistry,
    time: NDArray[np.int64],
    refusals: _Refusals,
) -> NDArray[np.int32]:
    template = contract.template
    captured = {name for name in template.names if name not in decoded.columns}
    for name in template.names:
        if name in decoded.columns:
            column = decoded.columns[name]
            refusals.add(_missing(column), "missing_field", f"the field '{name}' of the twin's id is missing")
            if column.wrong is not None:
                refusals.add(column.wrong, "bad_type", f"the field '{name}' of the twin's id is not a text or number")
    ids = _identities(template.texts, template.names, captured, decoded, payloads)
    paths = [column.path for column in contract.columns]
    numbers = registry.numbers(ids, time, contract.name, paths)
    refusals.add(numbers < 0, "unknown_twin", lambda row: registry.why_unknown(ids[row].as_py(), paths))
    return numbers


def _identities(
    texts: tuple[str, ...], names: tuple[str, ...], captured: set[str], decoded: Decoded, payloads: Sequence[Payload]
) -> pa.Array:
    """The twin's id of each row. Where a batch's captures are all alike they are one literal."""
    captures, which = captures_of(payloads) if captured else ((), np.empty(0, np.int32))
    alike = all(one == captures[0] for one in captures)
    pieces: list[Column | str] = []
    for index, text in enumerate(texts):
        pieces.append(text)
        if index < len(names):
            name = names[index]
            if name not in captured:
                pieces.append(decoded.columns[name])
            elif alike:
                pieces.append(captures[0].get(name, "") if captures else "")
            else:
                distinct = pl.Series([one.get(name, "") for one in captures], dtype=pl.String)
                pieces.append(Column(distinct.gather(which[decoded.owner])))
    pieces = [piece for piece in pieces if not isinstance(piece, str) or piece]
    if len(pieces) == 1 and isinstance(pieces[0], Column):
        return pieces[0].array
    expressions = [pl.lit(piece) if isinstance(piece, str) else piece.values for piece in pieces]
    if all(isinstance(piece, str) for piece in pieces):
        return pa.array(["".join(str(piece) for piece in pieces)] * decoded.count, pa.large_string())
    return pl.select(pl.concat_str(expressions)).to_series().to_arrow()


def _correction(contract: Contract, decoded: Decoded, refusals: _Refusals) -> NDArray[np.int64]:
    spec = contract.spec.correction
    if not isinstance(spec, CorrectionSpec):
        return np.zeros(decoded.count, np.int64)
    column = decoded.columns[spec.field]
    if column.wrong is not None:
        refusals.add(column.wrong, "bad_type", f"the correction '{spec.field}' is not a whole number")
    return column.values.fill_null(0).to_numpy().astype(np.int64)


def _all_good(
    spec: ObservationSpec, declared: ReadingColumn, domain: Admitted | None, column: Column, words: NDArray[np.uint64]
) -> pa.Array | None:
    """The values of a column of numbers, looked at once, where all are there, finite and in range: what `_observe` would give. They lie in
    `words`."""
    if declared.type != "DOUBLE" or domain is not None or spec.map or column.wrong is not None:
        return None
    if column.nulls or not pa.types.is_float64(column.array.type):
        return None
    given = column.array.to_numpy()
    low, high = spec.range or (-np.inf, np.inf)
    values = words.view(np.float64)
    return pa.array(values) if _within(given, float(low), float(high), values) else None


@inlined
def _within(given: Any, low: Any, high: Any, values: Any) -> bool:
    good = True
    for i in range(len(given)):
        value = given[i] + 0.0  # one zero, not two
        values[i] = value
        good &= low <= value <= high and value - value == 0.0
    return good


def _observe(
    spec: ObservationSpec, declared: ReadingColumn, domain: Admitted | None, derivation: Derivation, column: Column, refusals: _Refusals
) -> tuple[pa.Array, NDArray[np.bool_], NDArray[np.bool_] | None]:
    """The values (null where missing or bad), which rows say something, and which of these are bad (None: none)."""
    column = _mapped(spec, declared, column) if spec.map else column
    origin, called = derivation.source or spec.origin, derivation.called or _called(declared, domain, spec)
    there = np.ones(len(column.values), np.bool_) if column.values.null_count() == 0 else column.values.is_not_null().to_numpy()
    bad = _mismatched(declared, domain, column, there)
    if spec.required:
        refusals.add(
            ~there if column.wrong is None else ~there & ~column.wrong, "missing_field", f"the required field '{origin}' is missing"
        )
        if bad is not None:
            refusals.add(bad, "bad_type", f"the required field '{origin}' is not {called}")
    outside = _outside(spec, declared, column, there)
    if outside is not None and (spec.required or spec.reject):
        low, high = spec.range or (0.0, 0.0)
        refusals.add(outside, "out_of_range", f"'{origin}' is outside [{low:g}, {high:g}] {declared.unit or ''}".rstrip())
    if outside is not None:
        bad = outside if bad is None else bad | outside
    said = there if column.wrong is None else there | column.wrong
    return _stored(declared, column.values, there, bad), said, bad


def _mapped(spec: ObservationSpec, declared: ReadingColumn, column: Column) -> Column:
    mapping: Mapping[str, object] = spec.map or {}
    dtype = {"DOUBLE": pl.Float64, "BIGINT": pl.Int64, "BOOLEAN": pl.Boolean, "VARCHAR": pl.String}[declared.type]
    values = column.values.replace_strict(mapping, default=None, return_dtype=dtype)
    if values.null_count() > column.values.null_count():  # 1.0 is the number 1: so columns hold whole numbers that lack some
        whole = column.values.str.replace(r"^(-?[0-9]+)\.0+$", "$1")
        values = values.fill_null(whole.replace_strict(mapping, default=None, return_dtype=dtype))
    unknown = (column.values.is_not_null() & values.is_null()).to_numpy()
    wrong = unknown if column.wrong is None else unknown | column.wrong
    return Column(values, wrong if wrong.any() else None)


def _mismatched(declared: ReadingColumn, domain: Admitted | None, column: Column, there: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Rows of the wrong type, not finite, or not admitted by the property."""
    bad = column.wrong
    foreign = None if domain is None else domain.foreign(column.values, there)
    if foreign is not None:
        bad = foreign if bad is None else bad | foreign
    if declared.type == "DOUBLE":
        finite = np.isfinite(column.values.to_numpy())  # null becomes NaN
        if not finite.all():
            odd = there & ~finite
            if odd.any():
                bad = odd if bad is None else bad | odd
    return bad


def _outside(spec: ObservationSpec, declared: ReadingColumn, column: Column, there: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    if spec.range is None or declared.type not in ("DOUBLE", "BIGINT"):
        return None
    values = column.values.fill_null(0).to_numpy()
    outside = there & ((values < spec.range[0]) | (values > spec.range[1]))
    if declared.type == "DOUBLE":
        outside &= np.isfinite(values)
    return outside if outside.any() else None


def _stored(declared: ReadingColumn, values: pl.Series, there: NDArray[np.bool_], bad: NDArray[np.bool_] | None) -> pa.Array:
    hidden = None if bad is None and there.all() else ~there if bad is None else ~there | bad
    if declared.type == "DOUBLE":
        return pa.array(values.fill_null(0.0).to_numpy() + 0.0, mask=hidden)  # + 0.0: one zero, not two
    if declared.type == "BIGINT":
        return pa.array(values.fill_null(0).to_numpy(), mask=hidden)
    if declared.type == "BOOLEAN":
        return pa.array(values.fill_null(False).to_numpy(), mask=hidden)
    if hidden is None:
        return values.to_arrow()
    return pl.select(pl.when(pl.Series(~hidden)).then(values)).to_series().to_arrow()


def _called(declared: ReadingColumn, domain: Admitted | None, spec: ObservationSpec) -> str:
    if spec.map:
        return f"one of {', '.join(list(spec.map)[:10])}"
    if domain is not None:
        return str(domain)
    return {"DOUBLE": "a finite number", "BIGINT": "a whole number", "BOOLEAN": "true or false", "VARCHAR": "text"}[declared.type]
