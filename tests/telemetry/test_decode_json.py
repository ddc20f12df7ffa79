"""JSON payloads mean the same alone and in any company, and nothing in one reaches another."""

import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twinwright.telemetry.decode_json import JsonDecoder
from twinwright.telemetry.payloads import Payload

FIELDS = {"a": "number", "n": "integer", "on": "boolean", "s": "string", "id": "scalar"}
PLAIN = b'{"a":1.5,"n":2,"on":true,"s":"x","id":"pump"}'

texts = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ['"', "\\", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "\n", "NaN", "\x00"]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**400, 0.1, -0.0, 1e300, 5e-324]),
    st.floats(),
    texts,
)
nested = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2), max_leaves=4)
fields = st.dictionaries(st.sampled_from([*FIELDS, "other", "A", ""]), nested, max_size=6)


def _documents(document, style):
    separators = (",", ":") if style % 2 else (", ", " : ")
    return json.dumps(document, ensure_ascii=style < 4, separators=separators, indent=2 if style == 3 else None).encode()


documents = st.builds(_documents, fields, st.integers(0, 6))
raw = st.sampled_from(
    [
        b"",
        b" ",
        b"{}",
        b"[]",
        b"null",
        b"17",
        b'"text"',
        b"{",
        b"}",
        b'{"x":',
        b'{"a":1}}',
        b'{"a":1}{"a":2}',
        b'{"a":1} {"a":2}',
        b'{"x":[',
        b'{"a":1}]}',
        b'{"s":"',
        b'{"a":1,"a":2}',
        b'{"a":1,"a":null}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":1.}',
        b'{"a":1e5,"n":1e5}',
        b'{"n":1.0}',
        b'{"n":1.5}',
        b'{"n":-0}',
        b'{"a":-0,"id":-0}',
        b'{"a":1e999}',
        b'{"a":-1e999}',
        b'{"id":1e400}',
        b'{"a":NaN}',
        b'{"a":Infinity,"n":-Infinity}',
        b'{"a":nan}',
        b'{"s":"NaN","a":1}',
        b'{"s":"\\ud800"}',
        b'{"s":"\\udc00"}',
        b'{"s":"\\ud83d\\ude00"}',
        b'{"s":"\\u0000"}',
        b'{"other":"\\udc00"}',
        b'{"\\udc00":1}',
        b'{"s":"\xff"}',
        b'{"s":"\xed\xa0\x80"}',
        b'{"s":"a\tb"}',
        b'{"s":"\\x"}',
        b'{"\\u0061":5}',
        b'{"a":1,}',
        b'{"a" 1}',
        b"{'a':1}",
        b'{"a":1}//x',
        b'\xef\xbb\xbf{"a":1}',
        b'[{"a":1},{"a":2}]',
        b'[{"a":1},3,[{"a":2}]]',
        b'[{"a":1}',
        b'{"a":1}\n{"a":2}',
        b'{"a":1}\r\n{"a":2}\r\n',
        b'\n\n{"a":1}\n\n',
        b'{"a":1}\nbroken\n{"a":3}',
        b'{\n"a":\n1}',
        b'{"a":1}\n{"x":\n{"a":2}}',
        b'{"a":{"b":1},"s":["x"]}',
        b'{"a":"1","n":"2","on":"true","s":5,"id":true}',
        b'{"id":12345678901234567890}',
        b'{"id":1.50}',
        b'{"id":null}',
        b'{"a":true}',
        b'{"a":1}\x00',
        b'{"a":1}\x0b',
        b'{"a":1}\xc2\xa0',
        b'\t{"a":1} ',
    ]
)
bodies = st.one_of(raw, documents, st.just(PLAIN), st.lists(documents, min_size=1, max_size=3).map(b"\n".join))


def meaning(decoder, payloads):
    """Of each payload: its rows, what was wrong in them, and what could not be decoded."""
    decoded = decoder.decode([Payload(body) for body in payloads])
    rows = [[] for _ in payloads]
    for row in range(decoded.count):
        cells = []
        for name in FIELDS:
            column = decoded.columns[name]
            value = column.values[row]
            value = value + 0.0 if isinstance(value, float) else value  # one zero, not two, as where it is evaluated
            cells.append((repr(value), column.wrong is not None and bool(column.wrong[row])))
        rows[decoded.owner[row]].append(tuple(cells))
    for bad in decoded.undecodable:
        rows[bad.payload].append("undecodable")
    return [sorted(map(str, one)) for one in rows]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(bodies, min_size=2, max_size=8))
@example([b'{"x":', b'{"a":1}}', b'{"a":1}{"a":2}'])
@example([b'{"x":[', b'{"a":1}]}', b'{"a":1}{"a":2}'])
@example([b'\xef\xbb\xbf{"a":1}', PLAIN])
@example([PLAIN] * 20 + [b'{"x":', b'{"a":1}}', b'{"a":1}{"a":2}'])
@example([PLAIN] * 20 + [b'{"other":"\\udc00"}'])
@example([PLAIN] * 20 + [b'{"a":1,"a":2}'])
def test_a_payload_means_the_same_alone_and_in_company(batch):
    alone = [meaning(JsonDecoder(FIELDS), [body])[0] for body in batch]
    assert meaning(JsonDecoder(FIELDS), batch) == alone
    assert meaning(JsonDecoder(FIELDS), [*batch, *[PLAIN] * 30])[: len(batch)] == alone
    one = JsonDecoder(FIELDS)
    for body, expected in zip(batch, alone, strict=True):  # and a decoder keeps nothing of what it saw
        assert meaning(one, [body])[0] == expected


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(fields, min_size=1, max_size=5), st.sampled_from(["alone", "array", "lines"]))
def test_fields_are_what_a_plain_reading_of_the_document_says(documents, form):
    encoded = [json.dumps(one, allow_nan=True).encode() for one in documents]
    if any(b"NaN" in one or b"Infinity" in one for one in encoded):
        form = "alone"  # not JSON, but a lone document with them is read all the same
    payloads = {"alone": encoded, "array": [b"[" + b",".join(encoded) + b"]"], "lines": [b"\n".join(encoded)]}[form]
    decoded = JsonDecoder(FIELDS).decode([Payload(body) for body in payloads])
    if any(b"e+400" in one or str(10**400).encode() in one for one in encoded):
        return  # past what the decoder takes as a number: refused or bad
    assert decoded.count == len(documents)
    for row, document in enumerate(documents):
        number, text = document.get("a"), document.get("s")
        column = decoded.columns["a"]
        if isinstance(number, int | float) and not isinstance(number, bool):
            assert repr(column.values[row]) in (repr(float(number)), repr(float(number) + 0.0))
        else:
            assert column.values[row] is None
            assert (column.wrong is not None and column.wrong[row]) == (number is not None)
        assert decoded.columns["s"].values[row] == (text if isinstance(text, str) else None)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(bodies, min_size=1, max_size=6))
def test_the_bytes_kept_of_a_row_decode_to_that_row_alone(batch):
    decoder = JsonDecoder(FIELDS)
    decoded = decoder.decode([Payload(body) for body in batch])
    for row in range(decoded.count):
        again = decoder.decode([Payload(decoded.raw(row))])
        assert again.count == 1
        for name in FIELDS:
            assert repr(again.columns[name].values[0]).lstrip("-") == repr(decoded.columns[name].values[row]).lstrip("-")
    for bad in decoded.undecodable:
        assert JsonDecoder(FIELDS).decode([Payload(bad.raw)]).count == 0


@pytest.mark.parametrize("bracket", [(b"[", b"]"), (b'{"z":', b"}")])
@pytest.mark.parametrize("depth", [100, 900, 5_000, 100_000, 2_000_000])
def test_deep_nesting_harms_nobody_and_means_the_same_in_company(bracket, depth):
    deep = b'{"a":1,"z":' + bracket[0] * depth + b"1" + bracket[1] * depth + b"}"
    alone = meaning(JsonDecoder(FIELDS), [deep])
    assert meaning(JsonDecoder(FIELDS), [deep, PLAIN, b'{"a":"x"}'])[:1] == alone
    assert meaning(JsonDecoder(FIELDS), [PLAIN] * 30 + [deep])[-1:] == alone
    if depth == 100:
        assert "undecodable" not in alone[0]


def test_nothing_is_something_too():
    decoded = JsonDecoder(FIELDS).decode([])
    assert (decoded.count, decoded.undecodable) == (0, ())
    assert [bad.detail for bad in JsonDecoder(FIELDS).decode([Payload(b"")]).undecodable] == ["not JSON: the payload is empty"]


def test_a_large_payload_of_lines_keeps_its_bad_lines_apart():
    lines = [b'{"a":%d,"id":"x"}' % number for number in range(5_000)]
    lines[777] = b'{"a":'
    lines[4_000] = b'{"a":"text"}'
    decoded = JsonDecoder(FIELDS).decode([Payload(b"\n".join(lines))])
    assert (decoded.count, len(decoded.undecodable)) == (4_999, 1)
    assert decoded.undecodable[0].raw == lines[777]
    assert decoded.columns["a"].wrong.sum() == 1
    assert decoded.raw(777) == lines[778]
    assert decoded.columns["a"].values[778] == 779.0


def test_many_chunks_of_documents_keep_their_owners():
    payloads = [Payload(b'[{"a":%d},{"a":"x"}]' % number) for number in range(1_500)]
    decoded = JsonDecoder(FIELDS).decode(payloads)
    assert decoded.count == 3_000
    assert decoded.owner.tolist() == [number // 2 for number in range(3_000)]
    assert decoded.columns["a"].values[2_998] == 1_499.0
    assert decoded.raw(2_999) == b'{"a":"x"}'


@pytest.mark.parametrize(
    "array",
    [
        b'[{"id":"a","p":NaN}, {"id":"b","p":2}\n]',
        b'[ {"id":"a","p":-Infinity},{"id":"b","p":2.0} ] ',
        b'[{"id":"a","p":1e999},{"id":"b","p":2}]',
    ],
)
def test_an_element_that_is_not_quite_json_is_one_bad_value_of_an_array(array):
    decoded = JsonDecoder({"id": "string", "p": "number"}).decode([Payload(array)])
    assert decoded.count == 2
    assert not decoded.undecodable
    assert decoded.columns["id"].values.to_list() == ["a", "b"]
    assert decoded.columns["p"].values.to_list()[1] == 2.0
    assert not math.isfinite(decoded.columns["p"].values.to_list()[0])


def test_half_a_surrogate_pair_refuses_its_element_and_no_other():
    decoded = JsonDecoder({"id": "string"}).decode([Payload(b'[{"id":"\\ud800"},{"id":"b"}]')])
    assert decoded.columns["id"].values.to_list() == ["b"]
    assert [bad.raw for bad in decoded.undecodable] == [b'{"id":"\\ud800"}']


@pytest.mark.parametrize("array", [b"[", b"[,]", b"[NaN,]", b"[NaN NaN]", b"[NaN] x", b"[NaN}", b'[{"a":NaN]'])
def test_what_is_no_array_is_refused_whole(array):
    decoded = JsonDecoder({"id": "string"}).decode([Payload(array)])
    assert decoded.count == 0
    assert [bad.raw for bad in decoded.undecodable] == [array]


def test_a_whole_number_with_a_point_is_taken_where_it_is_exact():
    decoded = JsonDecoder({"n": "integer"}).decode([Payload(b'{"n":9007199254740992.0}'), Payload(b'{"n":9007199254740993.0}')])
    assert decoded.columns["n"].values.to_list() == [2**53, 2**53]  # what a double says of both


def test_a_whole_number_with_a_point_beyond_that_is_of_the_wrong_type():
    decoded = JsonDecoder({"n": "integer"}).decode([Payload(b'{"n":9007199254740994.0}')])
    assert decoded.columns["n"].wrong.tolist() == [True]
