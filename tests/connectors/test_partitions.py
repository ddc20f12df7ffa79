"""Readers of a partition: chains without holes over offsets with gaps, and captures from topic and key."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinwright.connectors.partitions import Partition, Reader, Route


@dataclass(frozen=True)
class Written:
    at: int
    body: bytes | None = b"x"
    name: bytes | None = None

    def offset(self):
        return self.at

    def key(self):
        return self.name

    def value(self):
        return self.body


def reader(held=0, begin=0, topic="t", key=None, captures=None):
    return Reader(Route.of("c", topic, key, latest=False), captures or {}, held, begin, begin)


@given(offsets=st.lists(st.integers(0, 200), unique=True).map(sorted), begin=st.integers(0, 200), sizes=st.lists(st.integers(1, 9)))
def test_however_a_log_is_cut_the_chain_has_no_hole_and_each_record_comes_once(offsets, begin, sizes):
    one = reader(held=begin // 2, begin=begin)
    log = [Written(offset, b"%d" % offset) for offset in offsets]
    got, chain = [], one.held
    for size in [*sizes, 200]:
        part, log = log[:size], log[size:]
        taken = one.take("s", part) if part else None
        if taken is not None:
            payloads, position = taken
            assert (position.stream, position.start, position.payloads) == ("s", chain, len(payloads))
            assert position.next == int(payloads[-1].body) + 1
            chain = position.next
            got += payloads
    assert [int(payload.body) for payload in got] == [offset for offset in offsets if offset >= begin]


def test_records_that_come_again_are_passed_over():
    one = reader()
    log = [Written(offset) for offset in range(5)]
    one.take("s", log)
    assert one.take("s", log) is None
    _, position = one.take("s", [*log, Written(9)])
    assert (position.start, position.next, position.payloads) == (5, 10, 1)


def test_a_partition_is_read_from_what_the_first_reader_wants_and_stored_up_to_what_the_last_one_has():
    partition = Partition("t", 0, "s", (reader(begin=7), reader(begin=3)))
    assert (partition.begin, partition.durable) == (3, 3)
    partition.readers[1].durable = 20
    assert partition.durable == 7


@pytest.mark.parametrize(
    ("topic", "subscription", "covered", "other"),
    [
        ("plant.levels", "plant.levels", "plant.levels", "plant-levels"),
        ("plant.{area}.levels", r"^plant\.[^.]+\.levels$", "plant.north.levels", "plant.north.east.levels"),
        ("{area}-{line}", "^[^.]+-[^.]+$", "north-7", "north"),
    ],
)
def test_a_template_subscribes_to_what_it_matches(topic, subscription, covered, other):
    route = Route.of("c", topic, None, latest=False)
    assert route.subscription == subscription
    assert route.topic.fullmatch(covered) and not route.topic.fullmatch(other)


def test_captures_of_the_key_join_those_of_the_topic():
    one = reader(key="pump-{unit}", captures={"area": "north"})
    written = [Written(0, name=b"pump-7"), Written(1, name=b"fan"), Written(2), Written(3, None, b"pump-\xff"), Written(4, name=b"pump-7")]
    payloads, _ = one.take("s", written)
    assert [payload.captures.get("unit") for payload in payloads] == ["7", None, None, "\ufffd", "7"]
    assert all(payload.captures["area"] == "north" for payload in payloads)
    assert payloads[3].body == b""
    assert payloads[0].captures is payloads[4].captures  # not a mapping for each record
