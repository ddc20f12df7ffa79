"""The answers of runs that share a child, as bytes: each is told whole before the next run begins.

An answer is its length (8 bytes, little-endian) and its body: MessagePack, or, where it is nothing but two tables and what they cost, as
most are, a head of fixed size and the numbers as they lie in memory. Answers of one shape that follow each other are read as one table.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from twinwright.errors import UsageError
from twinwright.simulation import plain_data

_TABLES: Final = 0xC1  # which no MessagePack begins with
_HEAD: Final = struct.Struct("<QB7xIIIIddd")  # length, what it is, rows, outputs, states, nothing, then as in `_COSTS`
_COSTS: Final = ("seconds", "cpu_seconds", "peak_memory")
_SHAPE: Final = 32  # bytes of the head that answers of one shape have in common
_DOUBLE: Final = np.dtype("<f8")
_NAMES: Final = frozenset({"outputs", "states", "events", "warnings", "log", *_COSTS})


def framed(answer: Mapping[str, Any]) -> bytes:
    """An answer of `worker.run_batch` as it is told. Raises UsageError for what is not plain data."""
    outputs: Any = answer.get("outputs")
    states: Any = answer.get("states")
    if answer.keys() == _NAMES and not (answer["events"] or answer["warnings"] or answer["log"]) and _are_tables(outputs, states):
        rows, length = len(outputs), _HEAD.size - 8 + outputs.nbytes + states.nbytes
        head = _HEAD.pack(length, _TABLES, rows, outputs.shape[1], states.shape[1], 0, *(answer[name] for name in _COSTS))
        return b"".join((head, outputs.data, states.data))
    body = plain_data.encode(answer)
    return len(body).to_bytes(8, "little") + body


def _are_tables(outputs: Any, states: Any) -> bool:
    return _is_table(outputs) and _is_table(states) and len(outputs) == len(states) and outputs.nbytes > 0


def _is_table(one: Any) -> bool:
    return isinstance(one, np.ndarray) and one.ndim == 2 and one.dtype == _DOUBLE and one.flags.c_contiguous


def told(body: memoryview) -> Iterator[Any]:
    """The answers that were told whole, each as `worker.run_batch` had it. Raises UsageError at one that can't be read."""
    for _, answers in told_until(body):
        yield from answers


def told_until(body: memoryview) -> Iterator[tuple[int, list[Any]]]:
    """As `told`, some answers at a time, each time with where they end."""
    at = 0
    while at + 8 <= len(body) and (end := at + 8 + int.from_bytes(body[at : at + 8], "little")) <= len(body):
        if end > at + 8 and body[at + 8] == _TABLES:
            tables = _together(body, at, end - at)
            at += (end - at) * len(tables)
            yield at, tables
        else:
            answer = plain_data.decode(body[at + 8 : end])
            at = end
            yield at, [answer]


def _together(body: memoryview, at: int, size: int) -> list[dict[str, Any]]:
    """This answer, and those behind it that have its shape."""
    bytes_of: NDArray[np.uint8] = np.frombuffer(body, np.uint8, (len(body) - at) // size * size, at).reshape(-1, size)
    same = (bytes_of[:, :_SHAPE] == bytes_of[0, :_SHAPE]).all(axis=1)
    count = len(same) if same.all() else int(np.argmin(same))
    _, _, rows, outputs, states, *_ = _HEAD.unpack(body[at : at + _HEAD.size]) if size >= _HEAD.size else (0,) * 8
    if size != _HEAD.size + 8 * rows * (outputs + states):
        raise UsageError("an answer has not the size that it says", remedy="Nothing but this platform may write it")
    costs = np.ascontiguousarray(bytes_of[:count, _SHAPE : _HEAD.size]).view(_DOUBLE).tolist()
    values = np.ascontiguousarray(bytes_of[:count, _HEAD.size :]).view(_DOUBLE)
    first = np.ascontiguousarray(values[:, : rows * outputs]).reshape(count, rows, outputs)
    second = np.ascontiguousarray(values[:, rows * outputs :]).reshape(count, rows, states)
    nothing: list[Any] = []
    return [
        {
            "outputs": a,
            "states": b,
            "events": nothing,
            "warnings": nothing,
            "log": "",
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "peak_memory": peak_memory,
        }
        for a, b, (seconds, cpu_seconds, peak_memory) in zip(first, second, costs, strict=True)
    ]
