"""One micro-batch on its way: decoded and evaluated without touching any state, so that it can overlap the commit before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.observability.logs import get_logger
from twinwright.storage.layout import DeadLetter, ReadingTable
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.decode import Decoded, Decoder, Undecodable, concatenate, empty
from twinwright.telemetry.decode_csv import CsvDecoder
from twinwright.telemetry.decode_events import CloudEventsDecoder
from twinwright.telemetry.decode_json import JsonDecoder
from twinwright.telemetry.decode_lines import LineProtocolDecoder
from twinwright.telemetry.decode_matching import MatchingDecoder
from twinwright.telemetry.decode_nested import NestedDecoder
from twinwright.telemetry.decode_tables import TableDecoder
from twinwright.telemetry.evaluate import Readings, Refused, evaluate
from twinwright.telemetry.packed import lengths_of
from twinwright.telemetry.payloads import MAX_PAYLOAD_BYTES, Payload
from twinwright.twins.registry import TwinRegistry

_log = get_logger("telemetry")
_DETAIL_LIMIT = 500
MAX_UNDECODABLE = 10_000  # letters of one payload; what is beyond them shares one
_POISONED = (
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    RecursionError,
    ArithmeticError,
    IndexError,
    AttributeError,
    MemoryError,
    pa.ArrowException,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,  # no Exception: it would end the thread
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a contract made of payloads; nothing of it is known to anyone yet."""

    contract: Contract
    payloads: Sequence[Payload]
    decoded: Decoded
    readings: Readings
    refused: tuple[Refused, ...]

    @property
    def received(self) -> int:
        """Readings in all: rows, and each undecodable element as one."""
        return self.decoded.count + len(self.decoded.undecodable)

    def payload_of(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Which payload each decoded row came from."""
        return self.decoded.owner[rows]

    def dead_letters(self, place: Callable[[int, bytes], str]) -> tuple[list[DeadLetter], list[int]]:
        """The refused, whole, and the payload each came from; `place` says where a part of a payload was read."""
        letters, owners = [], []
        for bad in self.decoded.undecodable:
            letters.append(self._letter(bad.reason, bad.detail, bad.raw, bad.payload, place))
            owners.append(bad.payload)
        for refused in self.refused:
            payload = int(self.decoded.owner[refused.row])
            letters.append(self._letter(refused.reason, refused.detail, self._raw(refused.row, payload), payload, place))
            owners.append(payload)
        return letters, owners

    def _raw(self, row: int, payload: int) -> bytes:
        """A row as it came; where it can't be taken out of its payload, all of that: it must not fail its neighbours."""
        try:
            return self.decoded.raw(row)
        except _POISONED as error:
            _log.warning("a row can't be told apart", contract=self.contract.name, error=repr(error)[:_DETAIL_LIMIT])
            return self.payloads[payload].body

    def _letter(self, reason: str, detail: str, raw: bytes, payload: int, place: Callable[[int, bytes], str]) -> DeadLetter:
        contract, captures = self.contract, self.payloads[payload].captures
        detail = detail[:_DETAIL_LIMIT]
        return DeadLetter(contract.name, contract.source, contract.revision, reason, detail, raw, captures, place(payload, raw))


def decoder_of(contract: Contract) -> Decoder:
    """What reads the payloads of a contract, and keeps of them what is the contract's."""
    decoder = _decoder_of_format(contract)
    return decoder if contract.matching is None else MatchingDecoder(decoder, contract.matching)


def _decoder_of_format(contract: Contract) -> Decoder:
    spec = contract.spec
    if spec.format == "json" and contract.is_nested:
        return NestedDecoder(contract.fields, contract.levels)
    if spec.format == "json":
        return JsonDecoder(contract.fields)
    if spec.format == "csv":
        return CsvDecoder(contract.fields, spec.delimiter)
    if spec.format == "cloudevents":
        return CloudEventsDecoder(contract.fields)
    if spec.format == "line-protocol":
        return LineProtocolDecoder(contract.fields, spec.precision)
    return TableDecoder(contract.fields, spec.format)


def prepare(
    contract: Contract,
    decoder: Decoder,
    payloads: Sequence[Payload],
    registry: TwinRegistry,
    received_at: int,
    *,
    largest: int | None = None,
) -> Prepared:
    """Decode and evaluate. A payload that makes either fail is refused whole and by itself; its neighbours go on.

    `largest`: no payload has more bytes than this, where it is known without looking at each.
    """

    def attempt(tried: Sequence[Payload], refused: Sequence[Undecodable]) -> Prepared:
        decoded = _bounded(_around(contract, decoder, tried, refused))
        readings, rejected = evaluate(contract, decoded, tried, registry, received_at)
        return Prepared(contract, tried, decoded, readings, tuple(rejected))

    def failing(first: int, last: int) -> list[Undecodable]:
        part = payloads[first:last]
        try:
            attempt(part, _too_large(part))
        except _POISONED as error:
            if len(part) > 1:
                middle = (first + last) // 2
                return failing(first, middle) + failing(middle, last)
            _log.warning("evaluation failed", contract=contract.name, error=repr(error)[:_DETAIL_LIMIT])
            return [Undecodable(first, part[0].body, f"the evaluation failed: {error!r}")]
        return []

    large = _too_large(payloads) if largest is None or largest > MAX_PAYLOAD_BYTES else []
    try:
        return attempt(payloads, large)
    except _POISONED:
        return attempt(payloads, [*large, *failing(0, len(payloads))])


def _too_large(payloads: Sequence[Payload]) -> list[Undecodable]:
    """Payloads past the limit: refused whole and unread."""
    lengths = lengths_of(payloads)
    return [
        Undecodable(index, payloads[index].body, f"{lengths[index]} bytes, at most {MAX_PAYLOAD_BYTES} are read", "too_large")
        for index in np.flatnonzero(lengths > MAX_PAYLOAD_BYTES).tolist()
    ]


def _around(contract: Contract, decoder: Decoder, payloads: Sequence[Payload], refused: Sequence[Undecodable]) -> Decoded:
    """All payloads decoded but those that are refused already."""
    if not refused:
        return _contained(contract, decoder, payloads)
    left = np.setdiff1d(np.arange(len(payloads)), [bad.payload for bad in refused])
    decoded = _contained(contract, decoder, [payloads[index] for index in left]) if len(left) else empty(contract.fields)
    undecodable = [replace(bad, payload=int(left[bad.payload])) for bad in decoded.undecodable]
    owner = left[decoded.owner].astype(np.int32) if decoded.count else decoded.owner
    return replace(decoded, owner=owner, undecodable=(*undecodable, *refused), joined=None)  # what was joined is not all


def _bounded(decoded: Decoded) -> Decoded:
    """At most `MAX_UNDECODABLE` letters of a payload for themselves: a file of another format is not worth a letter a line."""
    if len(decoded.undecodable) <= MAX_UNDECODABLE:
        return decoded
    of_payload: dict[int, list[Undecodable]] = {}
    for bad in decoded.undecodable:
        of_payload.setdefault(bad.payload, []).append(bad)
    undecodable: list[Undecodable] = []
    for payload, elements in of_payload.items():
        undecodable += elements[:MAX_UNDECODABLE]
        if rest := elements[MAX_UNDECODABLE:]:
            detail = f"{len(rest)} more elements of this payload, counted as one reading; the first: {rest[0].detail}"
            undecodable.append(Undecodable(payload, _together([bad.raw for bad in rest]), detail, rest[0].reason))
    return replace(decoded, undecodable=tuple(undecodable))


def _together(raws: Sequence[bytes]) -> bytes:
    """Elements as one payload that decodes on its own: lines of JSON, or of CSV under the header that they share."""
    header, newline, _ = raws[0].partition(b"\n")
    if newline and all(raw.startswith(header + newline) for raw in raws):
        return header + newline + b"".join(raw[len(header) + 1 :] for raw in raws)
    return b"\n".join(raws)


def _contained(contract: Contract, decoder: Decoder, payloads: Sequence[Payload]) -> Decoded:
    try:
        return decoder.decode(payloads)
    except _POISONED as error:
        if len(payloads) > 1:
            halves = (payloads[: len(payloads) // 2], payloads[len(payloads) // 2 :])
            first, second = (_contained(contract, decoder, half) for half in halves)
            return concatenate([first, _shifted(second, len(halves[0]))], contract.fields)
        _log.warning("decoder failed", contract=contract.name, error=repr(error)[:_DETAIL_LIMIT])
        return empty(contract.fields, [Undecodable(0, payloads[0].body, f"the decoder failed: {error!r}")])


def _shifted(decoded: Decoded, by: int) -> Decoded:
    undecodable = tuple(replace(bad, payload=bad.payload + by) for bad in decoded.undecodable)
    return Decoded(decoded.count, decoded.columns, decoded.owner + np.int32(by), decoded.raw, undecodable)


def rows_of(table: ReadingTable, readings: Readings, commit: int, origins: NDArray[np.int64], marks: NDArray[np.int8]) -> pa.Table:
    """Readings as rows of their table."""
    count = len(readings)
    arrays = [
        pa.array(np.full(count, commit, np.int64)),
        pa.array(origins),
        pa.array(readings.twin),
        pa.array(readings.time),
        pa.array(readings.correction),
        pa.array(marks),
        *(pa.array(readings.bad[m]) for m in range(table.masks)),
        *readings.values,
    ]
    return pa.table(arrays, names=table.names)
