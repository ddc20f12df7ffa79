"""A refused reading of a file is told by the file's name and the line that it stands in, wherever the file was cut."""

import gzip

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright.connectors.chunks import Chunking, read_chunks
from twinwright.telemetry.payloads import Delivery, Payload, Position
from twinwright.telemetry.places import Places

anywhere = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
gaps = st.lists(st.sampled_from(["\n", "\r\n", "\n\n", "\n \n\n"]), min_size=1, max_size=12)


def told(path, format, start, size):
    """Each line of the file with something in it, by what is said of where it is."""
    found = {}
    for payload, position in read_chunks(path, format, start=start, how=Chunking(size)):
        places = Places([Delivery("pump", (payload,), (position,))])
        lines = [line for line in payload.body.strip(b"[]").split(b"\n") if line.strip()]
        header = lines.pop(0) + b"\n" if format == "csv" else b""
        for line in lines:
            found[line.strip(b"\r ,").decode()] = places.of(0, header + line.strip(b"\r ,"))
    return found


@anywhere
@given(gaps, st.integers(1, 60), st.sampled_from(["lines", "array", "csv"]), st.booleans(), st.data())
def test_the_line_of_a_part_of_a_file(tmp_path, ends, size, kind, packed, data):
    rows = [f"{at},{at}" if kind == "csv" else f'{{"a": {at}}}' for at in range(len(ends))]
    text = "".join(
        row + ("," if kind == "array" and at + 1 < len(rows) else "") + end for at, (row, end) in enumerate(zip(rows, ends, strict=True))
    )
    text = {"csv": "\n\na,b\n", "array": "[", "lines": "\n"}[kind] + text + ("]\n" if kind == "array" else "")
    path = tmp_path / ("pump.gz" if packed else "pump")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    where = {line.strip("\r ,[]"): f"{path} line {at}" for at, line in enumerate(text.split("\n"), 1)}
    format = "csv" if kind == "csv" else "json"
    assert told(path, format, 0, size) == {row: where[row] for row in rows}
    starts = [position.start for _, position in read_chunks(path, format, how=Chunking(size))]
    rest = told(path, format, data.draw(st.sampled_from(starts)), size)
    assert rest == {row: where[row] for row in rows[len(rows) - len(rest) :]}


def test_what_is_not_there_as_it_is_is_told_by_where_its_piece_begins():
    piece = Delivery("pump", (Payload(b"1,2\n11,2\n1,2\n"),), (Position("file:x", 0, 9, file="pump.csv", line=7),))
    places = Places([piece])
    assert [places.of(0, raw) for raw in (b"1,2", b"11,2", b"1,3", b"1,2")] == [
        f"pump.csv {one}" for one in ("line 7", "line 8", "from line 7 on", "line 7")
    ]
    assert {places.of(0, b"1,3") for _ in range(9)} == {"pump.csv from line 7 on"}
    assert places.of(0, b"1,2") == "pump.csv from line 7 on"  # it was looked through in vain too often
    assert (
        Places([Delivery("pump", (Payload(b""),), (Position("s", 5, 9, file="pump.parquet"),))]).of(0, b"") == "pump.parquet from row 5 on"
    )
