"""The journal gives back what it was given, byte for byte, or says that it is damaged."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twinwright.errors import StoreError
from twinwright.telemetry import journal
from twinwright.telemetry.decode_json import JsonDecoder
from twinwright.telemetry.payloads import Payload

quick = settings(max_examples=200, deadline=None, derandomize=True)
bodies = st.binary(max_size=50) | st.sampled_from([b"", b"\n", b'{"a":1}', b'{"a":1}\n', b'{"a":2}\r\n{"a":3}'])
payloads = st.lists(st.builds(Payload, bodies, st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)), max_size=6)


def same(one, other):
    return [(p.body, dict(p.captures)) for p in one] == [(p.body, dict(p.captures)) for p in other]


@quick
@given(payloads)
def test_what_is_packed_comes_back(sent):
    assert same(journal.unpack(journal.pack(sent)), sent)


@quick
@given(st.lists(bodies.map(Payload), min_size=1, max_size=6))
@example([Payload(b'{"a":1}'), Payload(b'{"a":2}')])
@example([Payload(b'{"a":1}\n{"a":2}\n')])
def test_what_the_decoder_joined_comes_back_as_it_was_received(sent):
    decoded = JsonDecoder({"a": "number"}).decode(sent)
    assert same(journal.unpack(journal.pack(sent, decoded.joined)), sent)


@quick
@given(st.binary(max_size=80))
def test_no_bytes_are_taken_for_a_block_without_being_one(frames):
    try:
        found = journal.unpack(frames)
    except StoreError as error:
        assert error.remedy
    else:
        assert same(journal.unpack(journal.pack(found)), found)


def test_a_block_of_a_newer_version_is_refused_with_what_to_do():
    with pytest.raises(StoreError, match="version 9") as refused:
        journal.unpack(b"\x09" + journal.pack([Payload(b"x")])[1:])
    assert "newer" in refused.value.remedy


def test_a_block_that_was_cut_is_damaged():
    whole = journal.pack([Payload(b"x" * 1_000), Payload(b"y" * 1_000)])
    for size in (0, 5, len(whole) // 2, len(whole) - 1):
        with pytest.raises(StoreError, match="damaged"):
            journal.unpack(whole[:size])
