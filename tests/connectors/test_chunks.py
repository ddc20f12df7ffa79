"""Files in pieces: nothing lost, nothing twice, wherever it is cut or taken up again."""

import csv
import gzip
import io
import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright.connectors import chunks
from twinwright.connectors.chunks import Chunking, end_of, file_stream, read_chunks, resume
from twinwright.errors import TooLargeError, UnsupportedMediaError, UsageError

anywhere = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(folder, data, name="data"):
    path = folder / name
    path.write_bytes(data)
    return path


def rows_of(body, format, delimiter=","):
    """What a plain decoder makes of one payload."""
    if format == "json":
        text = body.decode()
        try:
            value = json.loads(text)
            return value if isinstance(value, list) else [value]
        except ValueError:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
    if format == "csv":
        return list(csv.DictReader(io.StringIO(body.decode(), newline=""), delimiter=delimiter))
    if format == "parquet":
        return pq.read_table(io.BytesIO(body)).to_pylist()
    return pa.ipc.open_stream(body).read_all().to_pylist()


def check(path, format, expected, chunk_bytes, delimiter=",", told=True):
    """All rows in order, positions that chain to the end, and from each position exactly the rest."""
    how = Chunking(chunk_bytes, delimiter if told else None)
    pieces = list(read_chunks(path, format, how=how))
    rows = [rows_of(payload.body, format, delimiter) for payload, _ in pieces]
    assert [row for piece in rows for row in piece] == expected
    positions = [position for _, position in pieces]
    assert [p.start for p in positions] == [0, *[p.next for p in positions]][: len(positions)]
    if positions:
        assert positions[-1].next == end_of(path, format)
    for index, position in enumerate(positions):
        rest = list(read_chunks(path, format, start=position.next, how=how))
        assert [row for payload, _ in rest for row in rows_of(payload.body, format, delimiter)] == [
            row for piece in rows[index + 1 :] for row in piece
        ]
        assert all(p.start == position.next for _, p in rest[:1])
    return pieces


values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(alphabet='ab"\\[]{},:\n\r é', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='a"\\[', max_size=3), inner, max_size=3),
    max_leaves=6,
)
objects = st.lists(st.dictionaries(st.sampled_from(["a", "b", '"', "]"]), values, min_size=1, max_size=3), max_size=12)
sizes = st.integers(1, 200)


@anywhere
@given(objects, sizes, st.sampled_from(["\n", "\r\n", "\n\n", "\n \n"]), st.booleans(), st.booleans())
def test_lines_of_json_come_whole_from_any_cut(tmp_path, items, size, newline, last, bom):
    text = newline.join(json.dumps(item) for item in items) + (newline if last else "")
    path = write(tmp_path, (b"\xef\xbb\xbf" if bom else b"") + text.encode())
    check(path, "json", items, size)


@anywhere
@given(objects, sizes, st.sampled_from([None, 1, 4]), st.booleans(), st.sampled_from(["", "\n", " \n\n"]), st.booleans())
def test_an_array_comes_whole_from_any_cut(tmp_path, items, size, indent, ascii_only, tail, bom):
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_only) + tail
    path = write(tmp_path, (b"\xef\xbb\xbf " if bom else b"\n ") + text.encode())
    check(path, "json", items, size)


@anywhere
@given(st.lists(objects.filter(bool), min_size=2, max_size=4), sizes)
def test_arrays_one_a_line_are_lines(tmp_path, arrays, size):
    path = write(tmp_path, "\n".join(json.dumps(items) for items in arrays).encode())
    bodies = b"\n".join(payload.body for payload, _ in read_chunks(path, "json", how=Chunking(size)))
    assert [json.loads(line) for line in bodies.splitlines() if line.strip()] == arrays


def test_one_document_over_several_lines_is_one_payload(tmp_path):
    document = {"a": [1, 2, {"b": "x"}], "c": None}
    path = write(tmp_path, b"\xef\xbb\xbf" + json.dumps(document, indent=2).encode())
    ((payload, position),) = read_chunks(path, "json", how=Chunking(4))
    assert json.loads(payload.body) == document
    assert (position.start, position.next) == (0, path.stat().st_size)
    assert list(read_chunks(path, "json", start=position.next)) == []


def test_broken_lines_are_handed_on_for_the_contract_to_judge(tmp_path):
    lines = [b'{"a": 1', b"garbage", b'{"a": 2}', b"\xff\xfe\x00"]
    path = write(tmp_path, b"\n".join(lines))
    assert b"".join(payload.body for payload, _ in read_chunks(path, "json", how=Chunking(5))).split(b"\n") == lines


@pytest.mark.parametrize("text", [b'[{"a":1},{"a":2},{"a"', b'[{"a":1},{"a":2},{"a":"x', b'[{"a":1},{"a":2},{"a":[3}'])
def test_an_array_that_never_ends_gives_its_whole_elements_and_the_broken_rest(tmp_path, text):
    path = write(tmp_path, text)
    bodies = [payload.body for payload, _ in read_chunks(path, "json", how=Chunking(9))]
    whole = [item for body in bodies[:-1] for item in json.loads(body)]
    assert whole == [{"a": 1}, {"a": 2}]
    with pytest.raises(ValueError, match=r"."):
        json.loads(bodies[-1])


def test_what_follows_an_array_is_not_lost_and_resumes(tmp_path):
    path = write(tmp_path, b'[{"a":1},\n{"a":2}]' + b" " * 70_000 + b'\n{"a":3}\n{"a":4}\n')
    check(path, "json", [{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}], 9)


cells = st.text(alphabet='ab",;\n x', max_size=6)  # csv.writer leaves a bare CR unquoted
tables = st.lists(st.tuples(st.integers(0, 99).map(str), cells, cells), max_size=12)


@anywhere
@given(tables, sizes, st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans(), st.booleans())
def test_csv_comes_whole_from_any_cut_with_its_header(tmp_path, table, size, delimiter, newline, last, bom, told):
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=newline)
    writer.writerow(["id", "first name", 'odd "one"\nhere'])
    writer.writerows(table)
    text = out.getvalue() if last else out.getvalue().removesuffix(newline)
    path = write(tmp_path, (b"\xef\xbb\xbf" if bom else b"") + text.encode())
    expected = [dict(zip(["id", "first name", 'odd "one"\nhere'], row, strict=True)) for row in table]
    check(path, "csv", expected, size, delimiter, told)


@anywhere
@given(
    st.lists(
        st.tuples(st.sampled_from(['5" pipe', 'x"', 'a""b', '"q\n"', '"a""\n"', '"x"y', "z"]), st.sampled_from(["1", '"2\n"', 'q"'])),
        max_size=10,
    ),
    sizes,
)
def test_a_stray_quote_within_a_bare_field_does_not_swallow_records(tmp_path, table, size):
    path = write(tmp_path, ("a,b\n" + "".join(f"{a},{b}\n" for a, b in table)).encode())
    expected = list(csv.DictReader(io.StringIO(path.read_text(), newline="")))
    assert len(expected) == len(table)
    check(path, "csv", expected, size)


def test_blank_lines_around_and_within_csv_are_no_rows_and_positions_reach_the_end(tmp_path):
    path = write(tmp_path, b"\r\n\na,b\n\n\n1,2\n" + b"\n" * 100 + b"3,4\n\n \n\n")
    check(path, "csv", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}], 4)


@pytest.mark.parametrize("size", [1, 7, 4_000])
@pytest.mark.parametrize("last", [b"", b"\r", b"\n"])
def test_lines_of_csv_that_end_in_a_bare_cr_are_records(tmp_path, size, last):
    path = write(tmp_path, b'"a ""\r""",b\r1,2\r3,"x\ry"\r5,6' + last)
    check(path, "csv", [{'a "\r"': "1", "b": "2"}, {'a "\r"': "3", "b": "x\ry"}, {'a "\r"': "5", "b": "6"}], size)


@pytest.mark.parametrize(
    ("format", "text"),
    [("csv", b"a,b\n"), ("csv", b"a,b"), ("csv", b"a,b\r"), ("csv", b""), ("json", b""), ("json", b" \n\n "), ("json", b" [ ] ")],
)
def test_a_file_without_rows_gives_nothing(tmp_path, format, text):
    path = write(tmp_path, text)
    assert list(read_chunks(path, format)) == []
    assert resume(path, format, lambda stream: 0).start == 0


@anywhere
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60), st.integers(1, 20), st.integers(1, 4_000))
def test_parquet_comes_whole_by_rows(tmp_path, numbers, group, size):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"n": numbers, "s": [str(n) for n in numbers]}), path, row_group_size=group)
    check(path, "parquet", [{"n": n, "s": str(n)} for n in numbers], size)


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_arrow_comes_whole_by_rows(tmp_path, kind):
    table = pa.table({"n": list(range(100))})
    path = tmp_path / "data.arrow"
    new = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with new(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=30)
    assert len(check(path, "arrow", table.to_pylist(), 100)) >= 8


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("chunk", [64, 100_000])
def test_compressed_text_resumes_by_decompressed_offsets(tmp_path, suffix, chunk):
    items = [{"n": n, "s": "x" * (n % 50)} for n in range(300)]
    text = "\n".join(json.dumps(item) for item in items).encode()
    path = tmp_path / f"data.ndjson{suffix}"
    if suffix == ".gz":
        path.write_bytes(gzip.compress(text[:5_000]) + gzip.compress(text[5_000:]))  # members concatenate
    else:
        with pa.CompressedOutputStream(str(path), "zstd") as out:
            out.write(text)
    if chunk == 64:
        items = [row for payload, _ in read_chunks(path, "json", how=Chunking(4_096)) for row in rows_of(payload.body, "json")]
        assert len(items) == 300
        chunk = 4_096
    check(path, "json", items, chunk)
    assert end_of(path, "json") == len(text)


def test_an_interrupted_file_goes_on_and_a_finished_one_is_a_further_pass(tmp_path):
    path = write(tmp_path, b"".join(b'{"n": %d}\n' % n for n in range(100)))
    held = {}
    first = resume(path, "json", lambda stream: held.get(stream, 0))
    assert (first.stream, first.start) == (file_stream(path), 0)
    pieces = list(read_chunks(path, "json", stream=first.stream, how=Chunking(100)))
    held[first.stream] = pieces[2][1].next
    again = resume(path, "json", lambda stream: held.get(stream, 0))
    assert (again.stream, again.start) == (first.stream, pieces[2][1].next)
    held[first.stream] = pieces[-1][1].next
    second = resume(path, "json", lambda stream: held.get(stream, 0))
    assert second.start == 0
    assert second.stream != first.stream
    held[second.stream] = pieces[4][1].next
    assert resume(path, "json", lambda stream: held.get(stream, 0)).start == pieces[4][1].next
    held[second.stream] = pieces[-1][1].next
    assert resume(path, "json", lambda stream: held.get(stream, 0)).stream not in held


def test_a_file_is_known_by_its_content_not_by_its_name(tmp_path):
    one, two, three = write(tmp_path, b"a", "1"), write(tmp_path, b"a", "2"), write(tmp_path, b"b", "3")
    assert file_stream(one) == file_stream(two) != file_stream(three)


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_progress_grows_to_the_size_of_the_file(tmp_path, format):
    frame = pl.DataFrame({"n": list(range(2_000))})
    path = tmp_path / "data"
    {"json": frame.write_ndjson, "csv": frame.write_csv, "parquet": frame.write_parquet}[format](path)
    seen = []
    for _ in read_chunks(path, format, how=Chunking(1_024), progress=lambda done, total: seen.append((done, total))):
        pass
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) > 3
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)


def test_captures_go_with_every_payload(tmp_path):
    path = write(tmp_path, b'{"a":1}\n{"a":2}\n')
    assert all(payload.captures == {"twin": "p"} for payload, _ in read_chunks(path, "json", how=Chunking(8, captures={"twin": "p"})))


def truncated_gzip():
    return gzip.compress(b'{"a": 1}\n' * 10_000)[:-20]


@pytest.mark.parametrize(
    ("name", "data", "format", "error", "said"),
    [
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), "csv", UsageError, "UTF-16"),
        ("a.json", '{"a": 1}\n'.encode("utf-16"), "json", UsageError, "UTF-16"),
        ("a.json", '{"a": 1}\n'.encode("utf-16"), "line-protocol", UsageError, "UTF-16"),
        ("a.json.gz", truncated_gzip(), "json", UsageError, "can't be read"),
        ("a.json.gz", b"not gzip", "json", UsageError, "can't be read"),
        ("a.json.zst", b"not zstd at all", "json", UsageError, "can't be read"),
        ("a.parquet", b"PAR1 no", "parquet", UsageError, "can't be read"),
        ("a.arrow", b"ARROW1no", "arrow", UsageError, "can't be read"),
        ("a.xml", b"<a/>", "xml", UnsupportedMediaError, "'xml'"),
    ],
)
def test_a_file_that_cannot_be_read_says_which_and_why(tmp_path, name, data, format, error, said):
    path = write(tmp_path, data, name)
    with pytest.raises(error, match=said) as caught:
        list(read_chunks(path, format))
    assert name in str(caught.value)
    assert caught.value.remedy


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        list(read_chunks(tmp_path / "gone.csv", "csv"))


@pytest.mark.parametrize(
    ("format", "data"),
    [
        ("json", b"[" + b"1" * 4_000),
        ("json", b'{"a": "' + b"x" * 4_000),
        ("csv", b'a,b\n1,"' + b"x\n" * 2_000),
        ("csv", b'a,"b' + b"\n" * 70_000),
    ],
)
def test_one_element_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch, format, data):
    monkeypatch.setattr(chunks, "MAX_ELEMENT_BYTES", 1_000)
    with pytest.raises(TooLargeError, match="larger than"):
        list(read_chunks(write(tmp_path, data), format, how=Chunking(100)))


def test_lines_of_line_protocol_are_cut_at_lines(tmp_path):
    lines = [f"pump,unit={n} pressure={n}.5 {n}" for n in range(50)]
    path = write(tmp_path, "\n".join(lines).encode())
    bodies = [payload.body for payload, _ in read_chunks(path, "line-protocol", how=Chunking(200))]
    assert len(bodies) > 3
    assert "".join(body.decode() for body in bodies).split("\n") == lines


SKAB = Path(__file__).parents[2] / "../shared/data/skab"


@pytest.mark.skipif(not SKAB.is_dir(), reason="needs the SKAB records beside the repository")
def test_records_of_a_test_bed_come_whole():
    for path in sorted(SKAB.glob("*.csv")):
        with path.open(newline="") as file:
            expected = list(csv.DictReader(file, delimiter=";"))
        assert len(expected) > 100
        how = Chunking(20_000, ";")
        assert [row for payload, _ in read_chunks(path, "csv", how=how) for row in rows_of(payload.body, "csv", ";")] == expected
