"""Line protocol as InfluxDB's reference has it: each point read or refused by itself, by the compiled reader as by the plain one."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.telemetry.plant import compiled, contract, written

from twinwright.governance.principals import SYSTEM
from twinwright.telemetry.decode_lines import LineProtocolDecoder
from twinwright.telemetry.payloads import Payload

FIELDS = {
    "measurement": "scalar",
    "tags.id": "scalar",
    "tags.a b": "string",
    "timestamp": "string",
    "fields.x": "number",
    "fields.n": "integer",
    "fields.on": "boolean",
    "fields.s": "string",
    "fields.k,=": "scalar",
}
OBSERVATIONS = [{"path": "pressure", "field": "fields.p", "unit": "kPa"}, {"path": "mode", "field": "fields.m"}]
POINTS = {"format": "line-protocol", "twin": "{tags.id}", "time": {"field": "timestamp"}, "observations": OBSERVATIONS}


class Unsure(LineProtocolDecoder):
    """Leaves every line to the plain reader."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        read = self._reader.read

        def unsure(buffer):
            points = read(buffer)
            return type(points)(points.starts, points.ends, np.zeros_like(points.sure), points.pieces)

        self._reader.read = unsure


def rows(decoder, *payloads):
    """Of each payload its rows as they were read, and how much of it was not."""
    decoded = decoder.decode([one if isinstance(one, Payload) else Payload(one) for one in payloads])
    found = [[] for _ in payloads]
    for row in range(decoded.count):
        found[decoded.owner[row]].append(
            {
                name: "wrong" if column.wrong is not None and column.wrong[row] else column.values[row]
                for name, column in decoded.columns.items()
            }
        )
    for bad in decoded.undecodable:
        found[bad.payload].append((bad.raw, bad.reason))
    return found


def one(line, fields=FIELDS, precision="ns"):
    ((row,),) = rows(LineProtocolDecoder(fields, precision), line.encode())
    return row


def test_the_example_of_the_reference_is_read():
    row = one('myMeasurement,id=value1,tag2=value2 s="fieldValue",x=1,n=12i,on=t 1556813561098000000')
    assert row["measurement"] == "myMeasurement"
    assert row["tags.id"] == "value1"
    assert (row["fields.s"], row["fields.x"], row["fields.n"], row["fields.on"]) == ("fieldValue", 1.0, 12, True)
    assert row["timestamp"] == "2019-05-02T16:12:41.098000Z"


@pytest.mark.parametrize(
    ("written", "x", "n", "on", "s", "scalar"),
    [
        ("1", 1.0, 1, "wrong", "wrong", "1"),
        ("1.5", 1.5, "wrong", "wrong", "wrong", "1.5"),
        ("-1.234456e+78", -1.234456e78, "wrong", "wrong", "wrong", "-1.234456e+78"),
        ("1e3", 1000.0, 1000, "wrong", "wrong", "1e3"),
        (".5", 0.5, "wrong", "wrong", "wrong", ".5"),
        ("+5.", 5.0, 5, "wrong", "wrong", "+5."),
        ("12i", 12.0, 12, "wrong", "wrong", "12"),
        ("-12i", -12.0, -12, "wrong", "wrong", "-12"),
        ("12u", 12.0, 12, "wrong", "wrong", "12"),
        ("9223372036854775807i", 2.0**63, 2**63 - 1, "wrong", "wrong", "9223372036854775807"),
        ("18446744073709551615u", 2.0**64, "wrong", "wrong", "wrong", "18446744073709551615"),
        ("T", "wrong", "wrong", True, "wrong", "true"),
        ("FALSE", "wrong", "wrong", False, "wrong", "false"),
        ('"t"', "wrong", "wrong", "wrong", "t", "t"),
        ('""', "wrong", "wrong", "wrong", "", ""),
        ('"12i"', "wrong", "wrong", "wrong", "12i", "12i"),
        (r'"a \"b\" \\ c, d=e\n"', "wrong", "wrong", "wrong", 'a "b" \\ c, d=e\\n', 'a "b" \\ c, d=e\\n'),
    ],
)
def test_a_value_is_of_the_type_that_it_is_written_in(written, x, n, on, s, scalar):
    for decoder in (LineProtocolDecoder(FIELDS, "ns"), Unsure(FIELDS, "ns")):
        ((row,),) = rows(decoder, rf"m x={written},n={written},on={written},s={written},k\,\=={written}".encode())
        assert (row["fields.x"], row["fields.n"], row["fields.on"], row["fields.s"], row["fields.k,="]) == (x, n, on, s, scalar)


def test_numbers_past_a_double_are_infinite_and_so_bad():
    assert one("m x=1e999")["fields.x"] == math.inf


@pytest.mark.parametrize(
    "line",
    [
        *("m", "m ", "m,id=1", "m,id= x=1", "m,=1 x=1", "m,id x=1", "m,id=1, x=1", ",id=1 x=1", "m,id=a=b x=1"),
        *("m x", "m x=", "m =1", "m x=1,", "m x=1,n", "m x=a", "m x==1", 'm s="open', 'm s="a"b'),
        *("m x=1 1.5", "m x=1 1 2", "m x=1i2", "m x=-1u", "m x=1e", "m x=tRUE", "m x=0x1"),
    ],
)
def test_what_is_no_point_is_refused_alone(line):
    for decoder in (LineProtocolDecoder(FIELDS, "ns"), Unsure(FIELDS, "ns")):
        ((first, last, refused),) = rows(decoder, f"m x=1 1\n{line}\nm x=2 2".encode())
        assert (first["fields.x"], last["fields.x"], refused) == (1.0, 2.0, (line.strip().encode(), "malformed"))


def test_escapes_are_those_of_the_reference():
    row = one(r"my\ \,=m,id=a\,\=\ b\c,a\ b=x\\y x=1")
    assert row["measurement"] == "my ,=m"
    assert row["tags.id"] == "a,= b\\c"
    assert row["tags.a b"] == "x\\\\y"


def test_comments_and_blank_lines_are_nothing_and_an_empty_payload_is_one_refused():
    decoder = LineProtocolDecoder(FIELDS, "ns")
    assert rows(decoder, b"# all\r\n\n  \n#\n") == [[]]
    assert rows(decoder, b"", b" \t\n") == [[(b"", "malformed")], [(b" \t\n", "malformed")]]


def test_the_last_of_two_values_counts_in_both_readers():
    for decoder in (LineProtocolDecoder(FIELDS, "ns"), Unsure(FIELDS, "ns")):
        ((row,),) = rows(decoder, b"m,id=1,id=2 x=1,x=2")
        assert (row["tags.id"], row["fields.x"]) == ("2", 2.0)


@pytest.mark.parametrize(
    ("precision", "stamp", "time"),
    [
        ("ns", "1556813561098765999", "2019-05-02T16:12:41.098765Z"),
        ("us", "1556813561098765", "2019-05-02T16:12:41.098765Z"),
        ("ms", "1556813561098", "2019-05-02T16:12:41.098000Z"),
        ("s", "1556813561", "2019-05-02T16:12:41.000000Z"),
        ("ns", "-1", "1969-12-31T23:59:59.999999Z"),
        ("s", "-62135596800", "0001-01-01T00:00:00.000000Z"),
        ("s", "-62135596801", "wrong"),
        ("s", "253402300800", "wrong"),
        ("us", "9223372036854775807", "wrong"),
        ("ns", "9223372036854775808", "wrong"),
    ],
)
def test_timestamps_are_cut_off_to_microseconds(precision, stamp, time):
    assert one(f"m x=1 {stamp}", precision=precision)["timestamp"] == time
    other = LineProtocolDecoder(FIELDS, "s" if precision == "ms" else "ms")  # what the payload says goes before what the contract does
    ((row,),) = rows(other, Payload(f"m x=1 {stamp}".encode(), {"precision": precision}))
    assert row["timestamp"] == time


def test_an_unknown_precision_refuses_its_payload_alone():
    decoder = LineProtocolDecoder(FIELDS, "ns")
    good, bad = rows(decoder, b"m x=1 1", Payload(b"m x=1 1\nm x=2 2", {"precision": "minutes"}))
    assert (len(good), bad) == (1, [(b"m x=1 1\nm x=2 2", "malformed")])


def test_bytes_that_are_no_text_refuse_their_line_alone():
    ((row, refused),) = rows(LineProtocolDecoder(FIELDS, "ns"), b"m,id=\xff x=1 1\nm,id=\xc3\xa9 x=2 2")
    assert (row["tags.id"], refused) == ("é", (b"m,id=\xff x=1 1", "malformed"))


# --- against a model, and whatever comes ---------------------------------------------------------------------------------

plain = st.text(st.characters(codec="utf-8", exclude_characters="\n\r", exclude_categories=["Cc"]), min_size=1, max_size=6)
keys = plain.filter(lambda text: not text.endswith("\\") and not text.startswith((" ", "#")) and not text.endswith(" "))
values = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(lambda x: ("number", x, repr(x))),
    st.integers(-(2**63), 2**63 - 1).map(lambda n: ("integer", n, f"{n}i")),
    st.booleans().map(lambda on: ("boolean", on, "true" if on else "f")),
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=8).map(
        lambda s: ("string", s, '"' + s.replace("\\", "\\\\").replace('"', '\\"') + '"')
    ),
)


def escaped(key):
    return "".join("\\" + character if character in ",= " else character for character in key)


@settings(max_examples=120, deadline=None)
@given(
    keys, st.dictionaries(keys, keys, max_size=3), st.dictionaries(keys, values, min_size=1, max_size=4), st.none() | st.integers(0, 2**60)
)
def test_every_point_that_can_be_written_is_read_again(measurement, tags, fields, time):
    name = measurement.replace(",", "\\,").replace(" ", "\\ ")
    line = name + "".join(f",{escaped(key)}={escaped(value)}" for key, value in tags.items())
    line += " " + ",".join(f"{escaped(key)}={text}" for key, (_, _, text) in fields.items()) + ("" if time is None else f" {time}")
    wanted = {"measurement": "string", "timestamp": "string"} | {f"tags.{key}": "string" for key in tags}
    wanted |= {f"fields.{key}": kind for key, (kind, _, _) in fields.items()}
    row = one(line, wanted)
    assert row["measurement"] == measurement
    assert {key: row[f"tags.{key}"] for key in tags} == tags
    assert {key: row[f"fields.{key}"] for key in fields} == {key: value for key, (_, value, _) in fields.items()}
    assert (row["timestamp"] is None) == (time is None)


marks = [*',= \\"#.-\n\r\té\x00\ufeff', "a\\ b", "k\\,\\="]
words = ["m", "id", "x", "n", "on", "s", "1", "1.5", "i", "u", "t", "true", "e", "m x=1", " 1556813561098000000"]
pieces = st.sampled_from([*marks, *words, "m,id=1 x=1 5\n", 'm s="a b",x=2i\n'])
bodies = st.one_of(st.binary(max_size=60), st.lists(pieces, max_size=30).map(lambda parts: "".join(parts).encode()))


@settings(max_examples=400, deadline=None)
@given(st.lists(bodies, min_size=1, max_size=4))
@example([b"m x=1", b",n=2\nm x=1"])
@example([b"m \xff\n\n", b'm s="'])
@example([b"#\x80\nm x=1"])
def test_every_line_is_counted_once_and_means_the_same_in_any_company(given_bodies):
    decoder, plainly = LineProtocolDecoder(FIELDS, "ns"), Unsure(FIELDS, "ns")
    together = rows(decoder, *given_bodies)
    assert repr(together) == repr(rows(plainly, *given_bodies))
    assert repr(together) == repr([rows(decoder, body)[0] for body in given_bodies])
    for body, found in zip(given_bodies, together, strict=True):
        lines = [line.strip(b" \r") for line in body.split(b"\n")]
        points = sum(bool(line) and not line.startswith(b"#") for line in lines)
        assert len(found) == (points if body.strip() else 1)


@settings(max_examples=120, deadline=None)
@given(st.lists(bodies, min_size=1, max_size=3))
def test_a_row_alone_is_that_row(given_bodies):
    decoder = LineProtocolDecoder(FIELDS, "ns")
    decoded = decoder.decode([Payload(body) for body in given_bodies])
    everything = [row for found in rows(decoder, *given_bodies) for row in found if isinstance(row, dict)]
    assert repr(everything) == repr([rows(decoder, decoded.raw(row))[0][0] for row in range(decoded.count)])


# --- in a contract -------------------------------------------------------------------------------------------------------


def test_points_become_readings_and_a_point_without_a_time_is_refused(make_plant):
    plant = make_plant(contract(**POINTS))
    receipt = plant.send(b'pump,id=pump-1 p=1.5,m="auto" 1772352000000000000\npump,id=pump-1 p=2\npump,id=pump-9 p=1 1772352000000000000')
    assert (receipt.received, receipt.accepted) == (3, 1)
    assert receipt.dead_lettered == {"missing_field": 1, "unknown_twin": 1}
    assert plant.send(b'# again\npump,id=pump-1,host=b m="auto",p=1.5,q=7 1772352000000000999').duplicate == 1


def test_the_precision_of_a_payload_holds_when_it_is_read_again(make_plant):
    plant = make_plant(contract(**POINTS))
    plant.send(b"pump,id=pump-1 p=1.5 1772352000", captures={"precision": "s"})
    plant.send(b"pump,id=pump-1 p=7 1772352001\npump,id=pump-1 p= 5", captures={"precision": "s"})
    before = plant.history()
    plant.raise_revision(contract(**POINTS, revision=2))
    plant.reprocessing.replay(SYSTEM, "pump", start=None, end=None)
    assert [(row["time"], row["num"]) for row in plant.history()] == [(row["time"], row["num"]) for row in before]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"twin": "{id}"}, "line protocol has no 'id'"),
        ({"time": {"field": "fields."}}, "line protocol has no 'fields.'"),
        ({"time": {"field": "timestamp", "format": "epoch_ms"}}, "read as a time already"),
        ({"precision": "minutes"}, "ns"),
    ],
)
def test_a_contract_names_what_is_in_a_point(changes, says):
    made, problems = compiled(written(**(POINTS | changes)))
    assert made is None
    assert says in str(problems.items[0])
