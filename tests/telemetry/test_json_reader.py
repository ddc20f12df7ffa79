"""The compiled reader of JSON lines: what it reads is exactly what the standard library reads; the rest it leaves."""

import json
import math
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twinwright.telemetry.json_reader import LineReader, Lines

FIELDS = {"n": "number", "i": "integer", "b": "boolean", "s": "string", "k": "scalar"}


def read(*lines: bytes) -> Lines:
    found = LineReader(FIELDS).read(b"".join(line + b"\n" for line in lines), len(lines))
    assert found is not None
    return found


def value(name: str, line: bytes) -> object:
    found = read(line)
    assert not len(found.left), "the line was left to the plain reader"
    return found.columns[name][0].as_py()


@settings(deadline=None)  # the first call compiles
@given(st.floats(allow_nan=False, allow_infinity=False))
@example(9007199254740993.0)
@example(1e23)
@example(8.5e-23)
@example(0.1 + 0.2)
def test_a_double_written_out_comes_back_to_the_last_bit(number: float) -> None:
    found = read(b'{"n": %s}' % repr(number).encode())
    if not len(found.left):  # at the ends of the range the plain reader decides
        assert struct.pack("<d", found.columns["n"][0].as_py()) == struct.pack("<d", number)
    else:
        assert not 1e-280 < abs(number) < 1e280


@settings(deadline=None)
@given(st.integers(0, 10**19 - 1), st.integers(-280, 280))
def test_any_nineteen_digits_and_exponent_are_rounded_as_the_standard_library_does(digits: int, exponent: int) -> None:
    text = f"{digits}e{exponent}"
    found = read(b'{"n": %s}' % text.encode())
    if not len(found.left):
        assert found.columns["n"][0].as_py() == float(text)


def test_a_tie_goes_to_even() -> None:
    assert value("n", b'{"n": 9007199254740993}') == 9007199254740992.0
    assert value("n", b'{"n": 9007199254740995}') == 9007199254740996.0


def test_zeros_in_front_do_not_use_up_digits() -> None:
    assert value("n", b'{"n": 0.0002113318762887775123}') == 0.0002113318762887775123


def test_minus_zero_is_a_zero_without_a_sign_only_where_it_is_whole() -> None:
    assert math.copysign(1, value("n", b'{"n": -0}')) == 1
    assert math.copysign(1, value("n", b'{"n": -0.0}')) == -1


def test_fields_are_found_in_any_order_and_others_passed_over() -> None:
    found = read(
        b'{"n":1,"s":"a","x":"\\"quoted\\"","k":7}',
        b'{"s" : "b", "unknown": -1.5e3, "n" : 2 , "k":"x"}\r',
        b'\t{"k": true, "nn": null, "n": null}',
        b"{}",
    )
    assert not len(found.left)
    assert found.columns["n"].to_pylist() == [1.0, 2.0, None, None]
    assert found.columns["s"].to_pylist() == ["a", "b", None, None]
    assert found.columns["k"].to_pylist() == ["7", "x", "true", None]


@pytest.mark.parametrize(
    "line",
    [
        b"", b"null", b"[]", b'{"n":01}', b'{"n":1.}', b'{"n":.5}', b'{"n":+1}', b'{"n":1e}', b'{"n":-}', b'{"n":NaN}', b'{"n":1,}',
        b'{"n":1}}', b'{"n":1} {}', b'{"n" 1}', b'{n:1}', b'{"n":1', b'{"s":"a', b'{"s":"\t"}', b'{"s":"\\u0041"}', b'{"\\u006e":1}',
        b'{"n":1,"n":2}', b'{"n":"1"}', b'{"n":true}', b'{"i":1.5}', b'{"b":1}', b'{"s":1}', b'{"k":1.5}', b'{"x":{}}', b'{"x":tru}',
        b'{"x":1e400}', b'{"x":f', b'{"x":n', b'{"x":"\\', b"\xef\xbb\xbf{}", b'{"i":9223372036854775808}',
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_and_its_neighbours_are_read(line: bytes) -> None:
    found = read(b'{"n":1}', line, b'{"n":3}')
    assert found.left.tolist() == [1]
    assert found.rows.tolist() == [0, 2]
    assert found.columns["n"].to_pylist() == [1.0, 3.0]


def test_a_buffer_with_more_or_fewer_lines_is_not_read() -> None:
    assert LineReader(FIELDS).read(b"{}\n{}\n", 1) is None
    assert LineReader(FIELDS).read(b"{}\n{}\n", 3) is None


def test_keys_that_would_be_escaped_are_not_recognised() -> None:
    assert LineReader.can_name(["a.b", "température", ""])
    assert not LineReader.can_name(['say "hi"'])
    assert not LineReader.can_name(["back\\slash"])
    assert not LineReader.can_name(["line\nbreak"])


_values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)
_documents = st.dictionaries(st.sampled_from(["n", "i", "b", "s", "k", "other", "n2"]), _values)


@settings(deadline=None)
@given(st.lists(_documents, min_size=1, max_size=8), st.booleans())
def test_what_is_read_is_what_the_document_says(documents: list[dict[str, object]], ascii_only: bool) -> None:
    lines = [json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") for document in documents]
    found = read(*lines)
    for at, row in enumerate(found.rows.tolist()):
        said = documents[row]
        for name in FIELDS:
            mine, theirs = found.columns[name][at].as_py(), said.get(name)
            if name == "k" and theirs is not None and not isinstance(theirs, str):
                theirs = json.dumps(theirs)
            assert mine == theirs, (name, lines[row])
