"""PostgreSQL's binary form of rows: what is packed comes back, and what is not whole rows is refused, never misread."""

import struct

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright.storage import postgres_copy
from twinwright.storage.postgres_copy import _HEADER, escaped, packed, pieces, unescaped, unpacked

SCHEMA = pa.schema(
    [("w", pa.int64()), ("k", pa.int8()), ("n", pa.int32()), ("x", pa.float64()), ("b", pa.bool_()), ("t", pa.string()), ("d", pa.binary())]
)
texts = st.text(st.characters(codec="utf-8"), max_size=6) | st.text("\x00\x0101", max_size=6)
rows = st.lists(
    st.tuples(
        *(
            st.none() | strategy
            for strategy in (
                st.integers(-(2**63), 2**63 - 1),
                st.integers(-128, 127),
                st.integers(-(2**31), 2**31 - 1),
                st.floats(),
                st.booleans(),
                texts,
                st.binary(max_size=6),
            )
        )
    ),
    max_size=20,
)


def table(rows):
    return pa.table([pa.array([row[j] for row in rows], field.type) for j, field in enumerate(SCHEMA)], schema=SCHEMA)


@settings(deadline=None)
@given(rows, rows, st.integers(0, 20))
def test_what_is_packed_comes_back(first, second, start):
    given = pa.concat_tables([table(first), table(second)]).slice(start)  # chunks and an offset, as they come
    found = unpacked([packed(given).tobytes()], SCHEMA)
    assert found.schema == SCHEMA
    assert repr(found.to_pylist()) == repr(given.to_pylist())


def test_the_form_is_that_of_the_manual():
    data = packed(pa.table({"a": pa.array([1, None], pa.int32()), "t": ["é", ""]})).tobytes()
    first = struct.pack(">hii", 2, 4, 1) + struct.pack(">i", 2) + "é".encode()
    assert data == b"PGCOPY\n\xff\r\n\0" + bytes(8) + first + struct.pack(">hii", 2, -1, 0) + b"\xff\xff"


@settings(deadline=None)
@given(rows.filter(bool), st.data())
def test_what_ends_too_early_or_is_something_else_is_refused_and_no_row_is_made_up(given, data):
    whole = packed(table(given)).tobytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    try:
        found = unpacked([whole[:cut]], SCHEMA)
    except ValueError:
        return
    assert repr(found.to_pylist()) == repr(given[: len(found)] and table(given).slice(0, len(found)).to_pylist())


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_rows_are_refused(junk):
    with pytest.raises(ValueError, match="binary form"):
        unpacked([junk], SCHEMA)
    try:
        unpacked([b"PGCOPY\n\xff\r\n\0" + bytes(8) + junk], pa.schema([("d", pa.binary()), ("e", pa.binary())]))
    except ValueError as error:
        assert "fields" in str(error)


@given(st.text("\x00\x01\x0201é", max_size=8), st.text("\x00\x01\x0201é", max_size=8))
def test_escaped_text_has_no_nul_and_keeps_order_and_prefixes(one, other):
    assert "\x00" not in escaped(one)
    assert unescaped(escaped(one)) == one
    assert (escaped(one).encode() < escaped(other).encode()) == (one.encode() < other.encode())
    assert escaped(one).startswith(escaped(other)) == one.startswith(other)


fixed = st.lists(
    st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-128, 127), st.integers(-(2**31), 2**31 - 1), st.floats(), st.booleans()),
    min_size=1,
    max_size=20,
)


@settings(deadline=None)
@given(fixed)
def test_rows_of_numbers_without_gaps_are_packed_as_those_with_some_are(rows):
    """There is a shorter way for them; a column of texts takes it away."""
    wide = pa.table([pa.array([row[j] for row in rows], SCHEMA.field(j).type) for j in range(5)], names=SCHEMA.names[:5])
    alone = packed(wide).tobytes()
    beside = packed(wide.append_column("t", pa.array(["x"] * len(rows)))).tobytes()
    row = (len(alone) - len(_HEADER) - 2) // len(rows)
    cut = [beside[at + 2 : at + row] for at in range(len(_HEADER), len(beside) - 2, row + 5)]
    assert [alone[at + 2 : at + row] for at in range(len(_HEADER), len(alone) - 2, row)] == cut
    assert str(unpacked([alone], wide.schema).to_pylist()) == str(wide.to_pylist())


@settings(deadline=None)
@given(rows, fixed, st.integers(1, 7))
def test_pieces_are_the_whole_however_many_there_are(texts, numbers, most):
    alike = pa.table([pa.array([row[j] for row in numbers], SCHEMA.field(j).type) for j in range(5)], names=SCHEMA.names[:5])
    for some in (table(texts), alike):
        whole = packed(some).tobytes()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(postgres_copy, "_ROWS", most)
            patched.setattr(postgres_copy, "_PIECE", most)
            assert b"".join(piece.tobytes() for piece in pieces(some)) == whole
