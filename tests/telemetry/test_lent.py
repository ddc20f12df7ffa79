"""Memory is lent again when nobody looks into it any more, and not before."""

import gc

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from twinwright.telemetry.lent import LEAST, Lender

COUNT = LEAST // 8 + 5
VIEWS = {
    "itself": lambda array: array,
    "a slice": lambda array: array[10:20],
    "an array of its own kind": lambda array: array.view(np.ndarray)[3:],
    "bytes of it": lambda array: array.view(np.uint8),
    "a row": lambda array: array.reshape(1, -1)[0],
    "a buffer": lambda array: array.data.toreadonly(),
    "bytes by a buffer": lambda array: np.frombuffer(array.data, np.uint8),
    "Arrow": lambda array: pa.array(array)[5:],
    "Arrow's buffer": lambda array: pa.py_buffer(array),
    "Polars": lambda array: pl.from_arrow(pa.array(array)),
}


@pytest.mark.parametrize("look", VIEWS.values(), ids=VIEWS)
def test_memory_comes_back_when_nobody_looks_into_it(look):
    lender = Lender()
    array = lender.empty(COUNT, np.float64)
    array[:] = np.arange(COUNT)
    view, place = look(array), array.ctypes.data
    before = bytes(memoryview(view)) if isinstance(view, (memoryview, pa.Buffer)) else np.asarray(view).copy()
    del array
    gc.collect()
    assert lender.waiting == 0
    other = lender.empty(COUNT, np.float64)
    other[:] = -1.0
    assert other.ctypes.data != place
    after = bytes(memoryview(view)) if isinstance(view, (memoryview, pa.Buffer)) else np.asarray(view)
    assert np.array_equal(before, after) if isinstance(after, np.ndarray) else before == after
    del view, after
    gc.collect()
    assert lender.waiting >= COUNT * 8
    assert lender.empty((5, COUNT // 5), np.uint64).ctypes.data == place


def test_no_more_waits_than_is_allowed_and_nothing_when_it_is_forgotten():
    lender = Lender(most=5 * LEAST)
    arrays = [lender.empty(2 * LEAST, np.uint8) for _ in range(4)]
    places = [array.ctypes.data for array in arrays]
    while arrays:
        arrays.pop(0)
    assert lender.waiting == 4 * LEAST
    assert [lender.empty(2 * LEAST, np.uint8).ctypes.data for _ in range(2)] == [places[-1]] * 2  # it is back at once
    lender.forget()
    assert lender.waiting == 0


def test_small_arrays_are_not_lent():
    lender = Lender()
    assert lender.empty((2, 3), np.int64).shape == (2, 3)
    assert lender.empty(0, np.uint8).size == 0
    assert lender.waiting == 0
