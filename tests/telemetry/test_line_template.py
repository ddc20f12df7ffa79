"""Lines of one form are taken apart and put together without losing a byte, and read by columns as they are read one by one."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright.telemetry import journal, json_template, line_template
from twinwright.telemetry.decode_json import JsonDecoder
from twinwright.telemetry.json_reader import LineReader
from twinwright.telemetry.line_kernels import short_number
from twinwright.telemetry.line_template import FEWEST, SplitLines, Template
from twinwright.telemetry.payloads import Payload

quick = settings(max_examples=60, deadline=None, derandomize=True)
FIELDS = {"n": "number", "i": "integer", "b": "boolean", "s": "string", "k": "scalar"}

forms = st.sampled_from(
    [
        '{{"s": "{t}", "k": "pump-{i}", "n": {f}, "i": {i}}}',
        '{{"n":{f},"other":"a {i} b {f}","s":"always","b":true}}',
        ' {{ "k" : {i} , "s" : "{t}" , "x" : {f} }} ',
        '{{"b":{b},"n":{f},"n2":7,"i":12,"k":"x"}}',
        '{{"s":"a{i}","s2":"{t}","n":{f},"n":{f}}}',
        '{{"x":{{"y":{i}}},"n":{f}}}',
        "pump,host=h{i} temperature={f},speed={i}i {i}",
        "{t};{i};{f}",
    ]
)


def filled(form: str, rng: random.Random) -> bytes:
    number = rng.choice([rng.uniform(-5, 5), rng.uniform(0, 999), rng.random() * 1e-9, 1e300, 0.0, round(rng.uniform(0, 99), 2)])
    text = rng.choice([f"2026-03-01T00:00:{rng.randrange(60):02d}Z", "low", "a-b_c", "", f"é{rng.randrange(9)}"])
    return form.format(t=text, i=rng.randrange(-3, 1000), f=number, b=rng.choice(["true", "false", "null"])).encode()


def broken(line: bytes, rng: random.Random) -> bytes:
    """The line with a character changed, added or taken away, or a piece of another."""
    text = line.decode()
    at = rng.randrange(len(text) + 1)
    piece = rng.choice(['"', ",", "\\", "}", " ", "0", "e", '", "', "null", '"x"', "", "\x00", '{"n":1}', "-", ".", "\t"])
    return (text[:at] + piece + text[at + rng.randrange(3) :]).encode()


def parts_of(split: SplitLines) -> list[bytes]:
    return [split.column(j).tobytes() for j in range(split.template.columns)] + [split.others().tobytes()]


def lines_of(form: str, seed: int, share: float) -> list[bytes]:
    rng = random.Random(seed)
    lines = [filled(form, rng) for _ in range(FEWEST + 40)]
    return [broken(line, rng) if rng.random() < share else line for line in lines]


@quick
@given(forms, st.integers(0, 10_000), st.sampled_from([0.0, 0.05, 0.2]))
def test_lines_come_together_again_whatever_they_are(form: str, seed: int, share: float) -> None:
    lines = lines_of(form, seed, share)
    whole = b"\n".join([*lines, b""])
    found = line_template.split(whole, len(lines))
    if share == 0:
        assert found is not None
        assert found.matched.mean() > 0.5
    if found is not None:
        parts = parts_of(found)
        assert line_template.join(found.template, parts, found.matched, len(whole)) == whole
        assert found.starts.tolist() == np.cumsum([0, *(len(line) + 1 for line in lines)]).tolist()
    assert [one.body for one in journal.unpack(journal.pack([Payload(line) for line in lines]))] == lines


@quick
@given(forms, st.integers(0, 10_000), st.sampled_from([0.0, 0.05, 0.2]))
def test_a_line_is_read_by_columns_as_it_is_read_by_itself(form: str, seed: int, share: float) -> None:
    lines = lines_of(form, seed, share)
    together = LineReader(FIELDS).read(b"\n".join([*lines, b""]), len(lines))
    assert together is not None
    for at, row in enumerate(together.rows.tolist()):
        alone = LineReader(FIELDS).read(lines[row] + b"\n", 1)
        assert alone is not None
        assert len(alone.rows), lines[row]
        for name in FIELDS:
            assert together.columns[name][at].as_py() == alone.columns[name][0].as_py(), (name, lines[row])


@settings(max_examples=25, deadline=None, derandomize=True)
@given(forms, st.integers(0, 10_000), st.sampled_from([0.0, 0.1]))
def test_payloads_mean_the_same_in_such_company_as_alone(form: str, seed: int, share: float) -> None:
    payloads = [Payload(line) for line in lines_of(form, seed, share) if b"\n" not in line]
    decoder = JsonDecoder(FIELDS)
    together = decoder.decode(payloads)
    row, refused = 0, {bad.payload: bad.detail for bad in together.undecodable}
    for index, payload in enumerate(payloads):
        alone = decoder.decode([payload])
        if not alone.count:
            assert index in refused
            continue
        assert together.owner[row] == index
        for name in FIELDS:
            ours, theirs = together.columns[name], alone.columns[name]
            assert ours.values[row] == theirs.values[0], (name, payload.body)
            assert (ours.wrong is not None and bool(ours.wrong[row])) == (theirs.wrong is not None and bool(theirs.wrong[0]))
        row += 1
    assert row == together.count


@pytest.mark.parametrize("odd", [b'{"n": "1, "i": 2, "s": "b"}', b'{"n": 1", "i": 2, "s": "b"}', b'{"n": 1, "i": "2, "s": "b"}'])
def test_a_text_that_is_not_closed_takes_nothing_from_the_next_line(odd: bytes) -> None:
    lines = [b'{"n": %d, "i": %d, "s": "a%d"}' % (i, i, i) for i in range(FEWEST)]
    for at in (100, 101, 200):
        lines[at] = odd
    found = LineReader(FIELDS).read(b"\n".join([*lines, b""]), len(lines))
    assert found is not None
    assert found.split is not None
    assert found.left.tolist() == [100, 101, 200]
    assert found.columns["s"].to_pylist() == [f"a{i}" for i in range(FEWEST) if i not in (100, 101, 200)]


def test_json_without_spaces_is_read_by_columns_too() -> None:
    lines = [b'{"n":%d.5,"i":%d,"s":"a%d","b":true}' % (i, i, i) for i in range(FEWEST)]
    found = line_template.split(b"\n".join([*lines, b""]), len(lines))
    assert found is not None
    plan = json_template.plan(found.template, FIELDS)
    assert plan is not None
    assert [(one.field, one.in_quotes) for one in plan.columns] == [("n", False), ("i", False), ("s", True)]
    assert plan.constants == {"b": b"true"}


def test_what_every_line_says_alike_is_read_once() -> None:
    lines = [b'{"s":"always","n":%d,"i":-12,"b":null,"k":7,"x":[]}'.replace(b',"x":[]', b"") % i for i in range(FEWEST)]
    found = LineReader(FIELDS).read(b"\n".join([*lines, b""]), len(lines))
    assert found is not None
    assert found.split is not None
    assert {name: found.columns[name][255].as_py() for name in FIELDS} == {"s": "always", "n": 255.0, "i": -12, "b": None, "k": "7"}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"n": \0, "n": \0}\n', "a key twice"),
        (b'{"s": "a \0 b"}\n', "a part of a text that is asked for"),
        (b'{"x": {"y": \0}}\n', "nested"),
        (b'{"n\\u0020": \0}\n', "an escape in a key"),
        (b'{"n": \0 7}\n', "two values"),
        (b'{"n": \0,}\n', "a comma too many"),
        (b'{"n": \0} {}\n', "two documents"),
        (b'{"n": \0, "x": 007}\n', "no JSON number"),
        (b'{"n": \0, "x": nil}\n', "no JSON literal"),
        (b'"n": \0\n', "no object"),
    ],
)
def test_a_template_that_is_no_plain_object_is_not_read_by_columns(line: bytes, why: str) -> None:
    assert json_template.plan(Template(tuple(line.split(b"\0"))), FIELDS) is None, why


def test_a_template_says_which_column_is_which_field() -> None:
    line = ' { "x" : "a \0 \0" ,\t"s":"\0", "n" : \0, "i": 5, "é": \0 } \r\n'.encode()
    found = json_template.plan(Template(tuple(line.split(b"\0"))), FIELDS)
    assert found is not None
    assert [(one.field, one.in_quotes) for one in found.columns] == [(None, True), (None, True), ("s", True), ("n", False), (None, False)]
    assert found.constants == {"i": b"5"}


@settings(max_examples=300, deadline=None)
@given(st.from_regex(r"[0-9.e-]{0,9}", fullmatch=True) | st.floats(0, 1e6).map(lambda x: f"{x:.3f}"))
def test_short_numbers_are_read_as_the_standard_library_reads_them(text: str) -> None:
    numbers = np.zeros((1, 1))
    length = short_number(np.frombuffer(text.encode() + b"," + b"9" * 16, np.uint8), 0, 44, numbers, 0, 0)
    if length:
        assert length == len(text)
        assert numbers[0, 0] == float(json.loads(text))
    elif len(text) < 8 and text.replace(".", "", 1).isdigit() and "." not in (text[0], text[-1]):
        assert text[0] == "0", text


def test_parts_that_do_not_make_up_the_lines_are_refused() -> None:
    lines = b"".join(b"a=%d b=%d\n" % (i, i * 7) for i in range(FEWEST))
    found = line_template.split(lines, FEWEST)
    assert found is not None
    parts = parts_of(found)
    for number in range(len(parts)):
        cut = [part[:-1] if at == number else part for at, part in enumerate(parts)]
        with pytest.raises(ValueError, match="lines"):
            line_template.join(found.template, cut, found.matched, len(lines))
    with pytest.raises(ValueError, match="template"):
        line_template.join(found.template, parts[1:], found.matched, len(lines))
    with pytest.raises(ValueError, match="lines"):
        line_template.join(found.template, parts, found.matched[1:], len(lines))
