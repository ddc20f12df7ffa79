"""Packed payloads are what they were packed from, however they are cut and put together, to whoever reads them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright.telemetry import journal
from twinwright.telemetry.decode_json import JsonDecoder
from twinwright.telemetry.packed import PackedPayloads, captures_of, joined, lengths_of, packed, size_of
from twinwright.telemetry.payloads import Payload

quick = settings(max_examples=60, deadline=None, derandomize=True)
bodies = st.lists(st.binary(max_size=20) | st.sampled_from([b"", b"\n", b'{"a":1}', b'{"a":2}', b'{"a":3}\n{"a":4}', b"[1]"]), max_size=8)
some = st.lists(st.dictionaries(st.sampled_from("xyz"), st.sampled_from("12"), max_size=2), min_size=1, max_size=3)
FIELDS = {"a": "number"}


@st.composite
def packs(draw):
    """Packed payloads, and the same one by one."""
    texts, captures = draw(bodies), draw(some)
    which = draw(st.none() | st.lists(st.integers(0, len(captures) - 1), min_size=len(texts), max_size=len(texts)))
    whose = [0] * len(texts) if which is None else which
    one = PackedPayloads.of(texts).captured(captures, None if which is None else np.array(which, np.int32))
    return one, [Payload(text, captures[index]) for text, index in zip(texts, whose, strict=True)]


def told(payloads):
    captures, which = captures_of(payloads)
    return [(bytes(one.body), dict(one.captures)) for one in payloads], [dict(captures[index]) for index in which.tolist()]


@quick
@given(packs(), st.lists(st.integers(0, 8), max_size=3).map(sorted))
def test_cut_anywhere_and_put_together_again_they_are_the_same_and_not_copied(pair, cuts):
    one, plain = pair
    parts = [one[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(one)], strict=True)]
    assert [told(part) for part in parts] == [told(plain[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(one)], strict=True)]
    whole = joined(parts, size_of(one))
    assert told(whole) == told(plain)
    assert whole.lines is one.lines
    assert [told([one[at]]) for at in range(-len(one), 0)] == [told([payload]) for payload in plain]


@quick
@given(st.lists(packs(), min_size=1, max_size=4))
def test_several_one_after_the_other(pairs):
    parts, plain = [one for one, _ in pairs], [payload for _, several in pairs for payload in several]
    whole = joined(parts, size_of(plain))
    assert isinstance(whole, PackedPayloads)
    assert told(whole) == told(plain)
    assert (size_of(whole), lengths_of(whole).tolist()) == (size_of(plain), lengths_of(plain).tolist())
    mixed = joined([*parts, [Payload(b"last")]], size_of(plain) + 4)
    assert told(mixed) == told([*plain, Payload(b"last")])


@settings(quick, max_examples=20)
@given(st.lists(packs(), min_size=1, max_size=3), st.integers(250, 500))
def test_many_are_packed(pairs, times):
    parts = [[*plain, Payload(b"last")] * times for _, plain in pairs]  # sometimes more than are looked at together
    plain = [payload for part in parts for payload in part]
    whole = joined(parts, size_of(plain))
    assert isinstance(whole, PackedPayloads) == (len(plain) >= 256)
    assert told(whole) == told(plain)
    assert bytes(packed(whole).lines) == b"".join([payload.body + b"\n" for payload in plain])


@quick
@given(packs())
def test_the_decoder_and_the_journal_make_the_same_of_them(pair):
    def read(payloads):
        decoded = JsonDecoder(FIELDS).decode(payloads)
        rows = [decoded.raw(row) for row in range(decoded.count)]
        back = journal.unpack(journal.pack(payloads, decoded.joined))
        return decoded.columns["a"].values.to_list(), decoded.owner.tolist(), rows, decoded.undecodable, told(back)

    one, plain = pair
    assert read(one) == read(plain)
    assert read(one[1:]) == read(plain[1:])


def test_they_are_cut_in_one_piece_only():
    with pytest.raises(ValueError, match="one piece"):
        PackedPayloads.of([b"a", b"b", b"c"])[::2]
    with pytest.raises(IndexError):
        PackedPayloads.of([b"a"])[1]
