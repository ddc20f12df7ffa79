"""CSV, Parquet and Arrow payloads: cells as they are, empty ones missing, bad ones kept apart, each row able to stand alone."""

import csv
import io
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twinwright.telemetry.decode import concatenate
from twinwright.telemetry.decode_csv import CsvDecoder
from twinwright.telemetry.decode_tables import TableDecoder, write_table
from twinwright.telemetry.payloads import Payload

FIELDS = {"id": "scalar", "a": "number", "n": "integer", "on": "boolean", "s": "string"}


def cells(decoded):
    return [[decoded.columns[name].values[row] for name in FIELDS] for row in range(decoded.count)]


def wrong(decoded, name):
    mask = decoded.columns[name].wrong
    return [] if mask is None else mask.nonzero()[0].tolist()


def read(body, delimiter=",", fields=FIELDS):
    return CsvDecoder(fields, delimiter).decode([Payload(body)])


def test_cells_are_read_as_the_contract_wants_them():
    decoded = read(b"id,a,n,on,s,more\n7,1.5,2,true,x,?\nb,1e3,-4,0,,\n")
    assert cells(decoded) == [["7", 1.5, 2, True, "x"], ["b", 1000.0, -4, False, None]]
    assert decoded.undecodable == ()


@pytest.mark.parametrize(
    "body",
    [
        b"id,a\r\np,1\r\n",
        b"\xef\xbb\xbfid,a\np,1\n",
        b"id,a\np,1",
        b'"id","a"\n"p","1"\n',
        b"a,id\n1,p\n",
        b"id,a\np, 1 \n",
    ],
    ids=["crlf", "bom", "no last newline", "quoted", "other order", "spaces"],
)
def test_usual_ways_of_writing_mean_the_same(body):
    assert cells(read(body)) == [["p", 1.0, None, None, None]]


def test_an_empty_cell_is_missing_and_a_blank_one_is_wrong():
    decoded = read(b'id,a,s\n1,,""\n2,  ,  \n')
    assert cells(decoded) == [["1", None, None, None, None], ["2", None, None, None, "  "]]
    assert wrong(decoded, "a") == [1]


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("x", "a"),
        ("1,5", "a"),
        ("1.5", "n"),
        ("9223372036854775808", "n"),
        ("-9223372036854775809", "n"),
        ("1e300", "n"),
        ("inf", "n"),
        ("yes", "on"),
        ("2", "on"),
    ],
)
def test_a_cell_of_another_type_is_wrong(cell, name):
    decoded = read(f'id,{name}\np,"{cell}"\n'.encode())
    assert wrong(decoded, name) == [0]
    assert decoded.columns[name].values.to_list() == [None]


def test_a_record_that_is_not_utf8_is_refused_by_itself():
    decoded = read(b'id,s\n1,a\n2,b\xfc\r\n3,"c\nd\xff,e"\n4,"f\ng"\n\xfe,h')
    assert [(row[0], row[4]) for row in cells(decoded)] == [("1", "a"), ("4", "f\ng")]
    assert [bad.raw for bad in decoded.undecodable] == [b"id,s\n2,b\xfc\n", b'id,s\n3,"c\nd\xff,e"\n', b"id,s\n\xfe,h\n"]
    assert decoded.undecodable[0].detail == "not CSV: byte 0xfc is not UTF-8"
    assert read(b"id,\xfc\n1,2\n").count == 0  # whose column is it?


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text('ab"\n,', max_size=4), st.booleans()), max_size=8))
def test_records_that_are_utf8_come_out_whatever_is_beside_them(written):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([[number, f"x{text}", "\udcff" * bad] for number, (text, bad) in enumerate(written)])
    decoded = read(b"id,s,n\n" + out.getvalue().encode("utf-8", "surrogateescape"))
    good = [(str(number), f"x{text}") for number, (text, bad) in enumerate(written) if not bad]
    assert [(row[0], row[4]) for row in cells(decoded)] == good
    assert len(decoded.undecodable) == sum(bad for _, bad in written)


def test_rows_with_too_many_or_too_few_cells_are_refused_alone():
    decoded = read(b"id,a\n1,1\n2\n3,3,3\n4,4\n")
    assert [row[0] for row in cells(decoded)] == ["1", "4"]
    assert [bad.raw for bad in decoded.undecodable] == [b"id,a\n2\n", b"id,a\n3,3,3\n"]
    assert decoded.undecodable[0].detail == "1 cells in a row of 2"


@pytest.mark.parametrize(
    ("lines", "stray"),
    [
        (['1,"x', "2,y", "3,z"], [0]),
        (["1,x", '2,"y', "3,z"], [1]),
        (["1,x", "2,y", '3,"'], [2]),
        (['1,"x', '2,"y"', "3,z"], [0]),
        (['1,"x', "2,y", '3,"z'], [0, 2]),
        (['"1,x', '2,"y', '3,"z'], [0, 1, 2]),
        (['1,"x""', '2,"""y"""', "3,z"], [0]),
        (['1,"x"y', '2,y"z', '3,""'], []),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_quote_that_is_never_closed_refuses_its_line_and_no_other(lines, stray, end):
    decoded = read(("id,s\n" + end.join(lines)).encode())
    assert [bad.raw.decode() for bad in decoded.undecodable] == [f"id,s\n{lines[at]}\n" for at in stray]
    assert [row[0] for row in cells(decoded)] == [lines[at][0] for at in range(3) if at not in stray]
    alone = [read(f"id,s\n{line}{end}".encode()) for line in lines]  # however the lines are cut into payloads
    assert [row for one in alone for row in cells(one)] == cells(decoded)
    assert [bad.raw for one in alone for bad in one.undecodable] == [bad.raw for bad in decoded.undecodable]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_whatever_the_header_does(end):
    decoded = read(end.join(["id,a", "p,1", 'q,"2"', "r", ""]).encode())
    assert [row[:2] for row in cells(decoded)] == [["p", 1.0], ["q", 2.0]]
    assert [bad.raw for bad in decoded.undecodable] == [b"id,a\nr\n"]


def test_a_record_over_several_lines_is_refused_whole_where_a_later_quote_is_stray():
    decoded = read(b'id,s,a\n"1\n1","x,1\n2,"y\n""z",2\n')
    assert [bad.raw for bad in decoded.undecodable] == [b'id,s,a\n"1\n1","x,1\n']
    assert cells(decoded) == [["2", 2.0, None, None, 'y\n"z']]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["x", '"x"', '""', '"x""y"', 'x"y', '"x', '"x""y']), min_size=1, max_size=12))
def test_as_many_readings_are_counted_as_there_are_lines(texts):
    decoded = read("".join(["id,s\n", *(f"{at},{text}\n" for at, text in enumerate(texts))]).encode())
    stray = [at for at, text in enumerate(texts) if text in ('"x', '"x""y')]
    assert [int(bad.raw.split(b"\n")[1].split(b",")[0]) for bad in decoded.undecodable] == stray
    assert [int(row[0]) for row in cells(decoded)] == [at for at in range(len(texts)) if at not in stray]


@pytest.mark.parametrize(("cell", "value"), [("1.0", 1), (" -2.00 ", -2), ("1e3", 1000), ("5", 5), ("9223372036854775807", 2**63 - 1)])
def test_a_whole_number_may_be_written_with_a_point(cell, value):
    assert cells(read(f"id,n\np,{cell}\nq,7\n".encode())) == [["p", None, value, None, None], ["q", None, 7, None, None]]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the payload is empty"),
        (b" \n \n", "the payload is empty"),
        (b"id,a\n1,\xff\n", "not CSV"),
        (b"id,id\n1,2\n", "names a column twice"),
        (",".join(map(str, range(20_001))).encode() + b"\n", "more than 20000 columns"),
    ],
)
def test_what_is_no_table_is_refused_whole(body, detail):
    decoded = read(body)
    assert decoded.count == 0
    assert [detail in bad.detail for bad in decoded.undecodable] == [True]
    assert decoded.undecodable[0].raw == body


def test_a_header_alone_is_no_reading():
    assert (read(b"id,a\n").count, read(b"id,a\n").undecodable) == (0, ())


def test_several_payloads_keep_their_own_headers_and_delimiter():
    decoded = CsvDecoder(FIELDS, ";").decode([Payload(b"id;a\n1;2\n"), Payload(b"a;id\n3;4\nx\n"), Payload(b"id\n5\n")])
    assert [row[:2] for row in cells(decoded)] == [["1", 2.0], ["4", 3.0], ["5", None]]
    assert decoded.owner.tolist() == [0, 1, 2]
    assert [(bad.payload, bad.raw) for bad in decoded.undecodable] == [(1, b"a;id\nx\n")]


values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5) | st.sampled_from(
    ["1", ",", '"', "\n", "\r", "\r\n", "a\rb", ";"]
)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(st.lists(st.tuples(values, values), min_size=1, max_size=4))
@example([("a\rb", "x")])
@example([("", "")])
def test_any_text_comes_through_quoted_and_its_row_stands_alone(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([("id", "s"), *rows])
    decoded = read(out.getvalue().encode())
    assert decoded.undecodable == ()
    assert [(row[0] or "", row[4] or "") for row in cells(decoded)] == rows
    for row in range(decoded.count):
        again = read(decoded.raw(row))
        assert cells(again) == [cells(decoded)[row]]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    st.lists(
        st.sampled_from([b"id", b"a", b",", b"\n", b"\r", b'"', b"1", b" ", b"\xc3\xa9", b"\xff", b"\0", b"\xef\xbb\xbf", b"id,a\n"]),
        max_size=20,
    )
)
@example([b'"id', b"\n", b'x",a', b"\n", b"1,2", b"\n"])
@example([b"\n", b"id,a\n", b"1,2"])
def test_no_bytes_make_the_decoder_fail_or_lose_count(parts):
    body = b"".join(parts)
    good = Payload(b"id,a\np,1\n")
    decoded = CsvDecoder(FIELDS, ",").decode([good, Payload(body), good])
    assert [owner for owner in decoded.owner.tolist() if owner != 1] == [0, 2]
    assert all(bad.payload == 1 for bad in decoded.undecodable)


LINES = [
    b"p,1\n",
    b"q,2\r\n",
    b"p,x\n",
    b"1\n",
    b"1,2,3\n",
    b",\n",
    b"\xc3\xa9,1\n",
    b"\xff,1\n",
    b"\n",
    b"a\rb,1\n",
    b'"p",1\n',
    b"p,1",
    b" \n",
]
HEADERS = [*[b"id,a\n"] * 4, b"id,a\r\n", b"id,a\r", b"\xef\xbb\xbfid,a\n", b"a,id\n", b"id\n", b"id,id\n", b"\n", b""]
tables = st.builds(bytes.__add__, st.sampled_from(HEADERS), st.lists(st.sampled_from(LINES), max_size=4).map(b"".join))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.lists(tables, max_size=6))
@example([b"id,a\np,1\n", b"id,a\n1\n1,2,3\n", b"id,a\nq,2\n"])  # too few cells in one line, too many in the next
@example([b"id\nx", b"id\n", b"id\ny\n"])
@example([b"id,a\np,1\n", b"id,a", b"\xef\xbb\xbfid,a\r"])
def test_payloads_read_together_are_what_each_is_by_itself(bodies):
    decoder = CsvDecoder(FIELDS, ",")
    together = decoder.decode([Payload(body) for body in bodies])
    parts = []
    for index, body in enumerate(bodies):
        found, bad = decoder._one(index, body)
        parts.append(decoder._decoded([found] if found else [], bad))
    apart = concatenate(parts, FIELDS)
    assert cells(together) == cells(apart)
    assert together.owner.tolist() == apart.owner.tolist()
    assert together.undecodable == apart.undecodable
    assert [wrong(together, name) for name in FIELDS] == [wrong(apart, name) for name in FIELDS]
    assert [together.raw(row) for row in range(together.count)] == [apart.raw(row) for row in range(apart.count)]


# --- Parquet and Arrow ------------------------------------------------------------------------------------------------

TABLE = pa.table(
    {
        "id": pa.array(["p", "q"]).dictionary_encode(),
        "a": pa.array([1, None], pa.int16()),
        "n": pa.array([2.0, 2.5]),
        "on": [True, None],
        "s": pa.array([datetime(2026, 3, 1, 8, tzinfo=UTC), None], pa.timestamp("us", tz="Europe/Berlin")),
        "more": [b"x", b"y"],
    }
)


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_typed_columns_become_what_the_contract_wants(format):
    decoded = TableDecoder(FIELDS, format).decode([Payload(write_table(TABLE, format)), Payload(write_table(TABLE.slice(1), format))])
    first, second = ["p", 1.0, 2, True, "2026-03-01T08:00:00.000000Z"], ["q", None, None, None, None]
    assert cells(decoded) == [first, second, second]
    assert wrong(decoded, "n") == [1, 2]
    assert decoded.owner.tolist() == [0, 0, 1]
    assert cells(TableDecoder(FIELDS, format).decode([Payload(decoded.raw(0))])) == [first]


def test_an_arrow_file_is_read_like_a_stream():
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    assert TableDecoder(FIELDS, "arrow").decode([Payload(bytes(sink.getvalue()))]).count == 2


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("a", pa.array(["1"])),
        ("n", pa.array([True])),
        ("n", pa.array([2**63], pa.uint64())),
        ("n", pa.array([1e300])),
        ("on", pa.array([1])),
        ("s", pa.array([1])),
        ("s", pa.array([[1]])),
        ("id", pa.array([{"x": 1}])),
        ("id", pa.array([b"x"])),
    ],
)
def test_a_column_of_another_type_is_wrong_in_every_row(name, column):
    decoded = TableDecoder(FIELDS, "arrow").decode([Payload(write_table(pa.table({name: column}), "arrow"))])
    assert wrong(decoded, name) == [0]
    assert decoded.columns[name].values.to_list() == [None]


def test_naive_times_carry_no_zone_into_text():
    table = pa.table({"s": pa.array([datetime(2026, 3, 1, 8)], pa.timestamp("ms"))})
    assert cells(TableDecoder(FIELDS, "parquet").decode([Payload(write_table(table, "parquet"))]))[0][4] == "2026-03-01T08:00:00.000000"


def test_numbers_and_booleans_are_scalars_as_text():
    table = pa.table({"id": pa.array([7])})
    assert cells(TableDecoder(FIELDS, "arrow").decode([Payload(write_table(table, "arrow"))]))[0][0] == "7"


@pytest.mark.parametrize("format", ["parquet", "arrow"])
@pytest.mark.parametrize("spoil", [lambda body: b"", lambda body: b"junk", lambda body: body[: len(body) // 2], lambda body: body[::-1]])
def test_a_damaged_table_is_refused_whole_and_alone(format, spoil):
    good = write_table(TABLE, format)
    decoded = TableDecoder(FIELDS, format).decode([Payload(good), Payload(spoil(good)), Payload(good)])
    assert decoded.count == 4
    assert [(bad.payload, bad.raw) for bad in decoded.undecodable] == [(1, spoil(good))]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(0, 255), st.sampled_from(["parquet", "arrow"]))
def test_a_changed_byte_never_harms_a_neighbour(at, byte, format):
    good = write_table(TABLE, format)
    body = bytearray(good)
    body[at % len(body)] = byte
    decoded = TableDecoder(FIELDS, format).decode([Payload(good), Payload(bytes(body)), Payload(good)])
    assert [owner for owner in decoded.owner.tolist() if owner != 1] == [0, 0, 2, 2]


def parquet(table, **options):
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink, **options)
    return bytes(sink.getvalue())


def test_a_table_that_unpacks_beyond_the_limits_is_refused_whole_and_alone():
    rows = parquet(pa.table({"n": pa.repeat(pa.scalar(1, pa.int8()), 5_000_001)}))
    text = parquet(pa.table({"s": pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), 1_000), ["x" * 1_000_000])}))
    assert len(rows) + len(text) < 200_000
    good = write_table(TABLE, "parquet")
    decoded = TableDecoder(FIELDS, "parquet").decode([Payload(good), Payload(rows), Payload(text), Payload(good)])
    assert [(bad.payload, bad.reason) for bad in decoded.undecodable] == [(1, "too_large"), (2, "too_large")]
    assert decoded.owner.tolist() == [0, 0, 3, 3]


@pytest.mark.parametrize("make", [pa.ipc.new_stream, pa.ipc.new_file])
def test_arrow_batches_are_read_up_to_the_limits(make):
    sink = pa.BufferOutputStream()
    batch = pa.record_batch({"n": pa.nulls(3_000_000)})
    with make(sink, batch.schema) as writer:
        writer.write_batch(batch)
        writer.write_batch(batch)
    decoded = TableDecoder(FIELDS, "arrow").decode([Payload(bytes(sink.getvalue()))])
    assert [(bad.reason, bad.detail) for bad in decoded.undecodable] == [("too_large", "6000000 rows, at most 5000000 are read")]


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_a_row_stands_alone_with_the_columns_that_no_contract_reads(format):
    table = pa.table({"more": [[1], [2]], "n": [1, 2], "why": ["x", "y"]})
    decoded = TableDecoder({"n": "integer"}, format).decode([Payload(write_table(table, format))])
    again = pa.parquet.read_table(pa.BufferReader(decoded.raw(1))) if format == "parquet" else pa.ipc.open_stream(decoded.raw(1)).read_all()
    assert again.to_pylist() == [{"more": [2], "n": 2, "why": "y"}]
    assert TableDecoder({"gone": "integer"}, format).decode([Payload(write_table(table, format))]).count == 2


def test_statistics_that_do_not_fit_their_column_end_nothing():
    sink = io.BytesIO()
    pa.parquet.write_table(pa.table({"id": ["p"], "a": [1.5]}), sink)
    optional, required = b"\x25\x02\x18\x02id", b"\x25\x00\x18\x02id"  # of the schema: statistics tell of levels that it has not
    assert sink.getvalue().count(optional) == 1
    decoder = TableDecoder(FIELDS, "parquet")
    assert decoder.decode([Payload(sink.getvalue().replace(optional, required))]).count <= 1
    assert decoder.decode([Payload(sink.getvalue())]).count == 1


def test_a_dictionary_that_is_shorter_than_it_says_ends_nothing():
    body = write_table(pa.table({"id": pa.array(["p", "q", "r"]).dictionary_encode()}), "arrow")
    length, refused = (3).to_bytes(8, "little"), []
    for at in [at for at in range(len(body)) if body.startswith(length, at)]:
        spoiled = body[: at + 3] + b"\x48" + body[at + 4 :]
        refused += TableDecoder(FIELDS, "arrow").decode([Payload(spoiled)]).undecodable
    assert any("Buffer #1 too small" in bad.detail for bad in refused)


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_a_column_that_is_there_twice_is_refused(format):
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    decoded = TableDecoder(FIELDS, format).decode([Payload(write_table(twice, format)), Payload(write_table(TABLE, format))])
    assert decoded.count == 2 and "'a' is there twice" in decoded.undecodable[0].detail
