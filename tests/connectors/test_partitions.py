"""Readers of a partition: chains without holes over offsets with gaps, and captures from topic and key; from the client's objects and from
librdkafka's messages alike."""

import ctypes
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright.connectors.kafka_records import ObjectFetcher, QueueFetcher, by_partition
from twinwright.connectors.librdkafka import Message
from twinwright.connectors.partitions import Partition, Reader, Route


@dataclass(frozen=True)
class Written:
    at: int
    body: bytes | None = b"x"
    name: bytes | None = None
    place: tuple[str, int] = ("t", 0)

    def offset(self):
        return self.at

    def key(self):
        return self.name

    def value(self):
        return self.body

    def topic(self):
        return self.place[0]

    def partition(self):
        return self.place[1]

    def error(self):
        return None

    def __len__(self):
        return len(self.body or b"")


class Client:
    """Of confluent-kafka, with these records."""

    def __init__(self, log):
        self.log = list(log)

    def consume(self, count, timeout):
        taken, self.log = self.log[:count], self.log[count:]
        return taken

    def poll(self, timeout):
        return None


class Held:
    """librdkafka's queue, with these records in its memory; what was taken back is in `destroyed`."""

    def __init__(self, log):
        self.topics, self.kept, self.destroyed = [], [], []
        self.messages = [self.message(one) for one in log]
        self.callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.destroyed.append)
        self.destroy = ctypes.cast(self.callback, ctypes.c_void_p).value

    def message(self, one):
        if one.topic() not in self.topics:
            self.topics.append(one.topic())
        body, key = (text and ctypes.create_string_buffer(text, len(text)) for text in (one.body, one.name))
        sizes = (len(one.body or b""), len(one.name or b""))
        made = Message(0, 1 + self.topics.index(one.topic()), one.partition(), _address(body), sizes[0], _address(key), sizes[1], one.at)
        self.kept.append((made, body, key))
        return ctypes.addressof(made)

    def take(self, messages, timeout):
        taken, self.messages = self.messages[: len(messages)], self.messages[len(messages) :]
        messages[: len(taken)] = taken
        return len(taken)

    def topic(self, topic):
        return self.topics[topic - 1]

    def close(self):
        pass


def _address(buffer):
    return ctypes.addressof(buffer) if buffer else None


def by_objects(log):
    fetcher = ObjectFetcher(Client(log), keys=True)
    assert fetcher.more(len(log), 0) == fetcher.count == len(log)
    return fetcher


def by_queue(log):
    fetcher = QueueFetcher(Client(()), Held(log), max(1, len(log)), keys=True)
    assert fetcher.more(len(log), 0) == fetcher.count == len(log)
    return fetcher


both = pytest.mark.parametrize("fetched", [by_objects, by_queue])
whenever = settings(deadline=None)


def records(fetched, log):
    """Of one partition."""
    ((_, found),) = fetched(log).take()
    return found


def reader(held=0, begin=0, topic="t", key=None, captures=None):
    return Reader(Route.of("c", topic, key, latest=False), captures or {}, held, begin, begin)


def check_chain(one, fetched, offsets, sizes):
    """However a log is cut: no hole, and each record once."""
    log = [Written(offset, b"%d" % offset) for offset in offsets]
    got, chain, begin = [], one.held, one.begin
    for size in [*sizes, 200]:
        part, log = log[:size], log[size:]
        taken = one.take("s", records(fetched, part)) if part else None
        if taken is not None:
            payloads, position = taken
            assert (position.stream, position.start, position.payloads) == ("s", chain, len(payloads))
            assert position.next == int(payloads[-1].body) + 1
            chain = position.next
            got += payloads
    assert [int(payload.body) for payload in got] == [offset for offset in offsets if offset >= begin]


@both
@whenever
@given(offsets=st.lists(st.integers(0, 200), unique=True).map(sorted), begin=st.integers(0, 200), sizes=st.lists(st.integers(1, 9)))
def test_however_a_log_is_cut_the_chain_has_no_hole_and_each_record_comes_once(fetched, offsets, begin, sizes):
    check_chain(reader(held=begin // 2, begin=begin), fetched, offsets, sizes)


class ByOffsets(Reader):
    """Broken: a batch begins where its first record is, whatever was passed over before."""

    def take(self, stream, records):
        taken = super().take(stream, records)
        return taken and (taken[0], replace(taken[1], start=int(records.offsets[0])))


class Forgetful(Reader):
    """Broken: it takes what it has had."""

    def take(self, stream, records):
        self.begin = 0
        return super().take(stream, records)


@both
@pytest.mark.parametrize("broken", [ByOffsets, Forgetful])
def test_a_reader_that_breaks_the_chain_is_caught(fetched, broken):
    one = reader(begin=2)
    with pytest.raises(AssertionError):
        check_chain(broken(one.route, {}, 0, 2, 2), fetched, [1, 2, 5, 9], [2, 1])


@both
def test_records_that_come_again_are_passed_over(fetched):
    one = reader()
    log = [Written(offset) for offset in range(5)]
    one.take("s", records(fetched, log))
    assert one.take("s", records(fetched, log)) is None
    _, position = one.take("s", records(fetched, [*log, Written(9)]))
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


@both
def test_captures_of_the_key_join_those_of_the_topic(fetched):
    one = reader(key="pump-{unit}", captures={"area": "north"})
    written = [Written(0, name=b"pump-7"), Written(1, name=b"fan"), Written(2), Written(3, None, b"pump-\xff"), Written(4, name=b"pump-7")]
    payloads, _ = one.take("s", records(fetched, written))
    assert [payload.captures.get("unit") for payload in payloads] == ["7", None, None, "\ufffd", "7"]
    assert all(payload.captures["area"] == "north" for payload in payloads)
    assert payloads[3].body == b""
    assert payloads[0].captures is payloads[4].captures  # not a mapping for each record


logs = st.lists(
    st.builds(
        Written,
        st.integers(0, 2**62),
        st.none() | st.binary(max_size=20),
        st.none() | st.binary(max_size=5),
        st.tuples(st.sampled_from("ab"), st.integers(0, 3)),
    ),
    max_size=30,
)


@whenever
@given(log=logs)
def test_records_are_the_same_by_either_way_each_partitions_in_its_order_and_none_is_kept(log):
    found = [
        [
            (place, list(zip(one.offsets.tolist(), [body.body for body in one.bodies], one.keys, strict=True)))
            for place, one in fetcher.take()
        ]
        for fetcher in (by_objects(log), by_queue(log))
    ]
    expected = {}
    for one in log:
        expected.setdefault(one.place, []).append((one.at, one.body or b"", one.name or b""))
    assert found == [list(expected.items())] * 2


def test_messages_are_taken_back_once_and_what_was_read_of_them_stays():
    held = Held([Written(offset, b"<%d>" % offset) for offset in range(5)])
    addresses = list(held.messages)
    fetcher = QueueFetcher(Client(()), held, 10, keys=False)
    fetcher.more(3, 0)
    ((place, found),) = fetcher.take()
    assert held.destroyed == addresses[:3] and (fetcher.count, fetcher.size) == (0, 0)
    held.kept.clear()
    assert place == ("t", 0) and [one.body for one in found.bodies] == [b"<0>", b"<1>", b"<2>"] and found.keys is None


def test_what_was_not_handed_on_is_taken_back_at_the_end():
    held = Held([Written(offset) for offset in range(5)])
    addresses = list(held.messages)
    fetcher = QueueFetcher(Client(()), held, 10, keys=False)
    fetcher.more(5, 0)
    assert (fetcher.count, fetcher.size) == (5, 5)
    fetcher.close()
    assert held.destroyed == addresses


def test_no_records_are_of_no_partition():
    assert list(by_partition(np.empty(0, np.uint64), keys=True)) == []
