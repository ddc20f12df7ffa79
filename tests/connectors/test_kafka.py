"""Kafka against a real broker: each record counts once, whatever is aborted, rebalanced, restarted or cut off."""

import itertools
import time
from collections import Counter
from io import StringIO

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from pydantic import ValidationError
from tests.connectors.kafka_broker import PASSWORD, USER

from twinwright.connectors import kafka_records
from twinwright.connectors.conformance import Case, ListIntake, SourceConformance, marks_in, take
from twinwright.connectors.kafka import KafkaBinding, KafkaSettings, KafkaSource
from twinwright.connectors.runner import SourceRunner
from twinwright.documents import Spec
from twinwright.errors import PlatformError, UsageError
from twinwright.observability import logs
from twinwright.observability.metrics import Metrics
from twinwright.telemetry.connector import Bound

pytestmark = pytest.mark.kafka
_numbers = itertools.count()


class Topic:
    """A topic of its own, and a group to read it by."""

    def __init__(self, kafka, partitions=1, name=None, **config):
        self.kafka, self.name, self.group = kafka, name or f"topic{next(_numbers)}", f"group{next(_numbers)}"
        self.admin = AdminClient({"bootstrap.servers": kafka.servers})
        self.sent = 0
        self.create(partitions, **config)

    def create(self, partitions=1, **config):
        new = NewTopic(self.name, partitions, 1, config={key.replace("_", "."): value for key, value in config.items()})
        self.admin.create_topics([new])[self.name].result(20)
        assert wait_until(lambda: self.name in (seen := self.admin.list_topics(timeout=10).topics) and self._led(seen, partitions))

    def _led(self, seen, partitions):
        found = seen[self.name].partitions.values()
        return len(found) == partitions and all(one.leader >= 0 for one in found)

    def delete(self):
        self.admin.delete_topics([self.name], operation_timeout=10)[self.name].result(20)
        assert wait_until(lambda: self.name not in self.admin.list_topics(timeout=10).topics)

    def bound(self, contract="c", **options):
        return Bound(contract, "json", KafkaBinding(topic=options.pop("topic", self.name), **options))

    def settings(self, **settings):
        fast = {"session_timeout": "PT6S", "max_poll_interval": "PT30S", "connect_timeout": "PT5S"}
        return KafkaSettings(**{"bootstrap_servers": self.kafka.servers, "group": self.group, **fast, **settings})

    def source(self, *bounds, **settings):
        return KafkaSource("plant", self.settings(**settings), bounds or (self.bound(),))

    def producer(self, **config):
        return Producer({"bootstrap.servers": self.kafka.servers, "linger.ms": 2, **config})

    def numbered(self, count):
        self.sent += count
        return [f"<{n}>".encode() for n in range(self.sent - count, self.sent)]

    def send(self, count, **where):
        """Marks that the broker has; `where` is a key or a partition."""
        marks = self.numbered(count)
        producer = self.producer()
        for mark in marks:
            producer.produce(self.name, mark, **where)
        assert producer.flush(30) == 0
        return marks

    def group_offsets(self, partitions=1):
        from confluent_kafka import Consumer

        reader = Consumer({"bootstrap.servers": self.kafka.servers, "group.id": self.group})
        try:
            found = reader.committed([TopicPartition(self.name, one) for one in range(partitions)], timeout=10)
        finally:
            reader.close()
        return [one.offset for one in found]


@pytest.fixture
def topic(kafka):
    return Topic(kafka)


@pytest.fixture
def spread(kafka):
    return Topic(kafka, 4)


@pytest.fixture
def by_objects(monkeypatch):
    """As where librdkafka can't be reached below its client."""
    monkeypatch.setattr(kafka_records, "queue_of", lambda consumer, client: None)


@pytest.fixture(params=["queue", "objects"])
def way(request):
    """Either way by which records come out of the client."""
    if request.param == "objects":
        request.getfixturevalue("by_objects")


both_ways = pytest.mark.usefixtures("way")


class TestKafka(SourceConformance):
    @pytest.fixture
    def case(self, topic):
        return Case(make=topic.source, feed=topic.send, positioned=True, patience=15.0)


@pytest.mark.usefixtures("by_objects")
class TestKafkaByObjects(SourceConformance):
    @pytest.fixture
    def case(self, topic):
        return Case(make=topic.source, feed=topic.send, positioned=True, patience=15.0)


class TestKafkaOfManyPartitions(SourceConformance):
    @pytest.fixture
    def case(self, spread):
        return Case(make=spread.source, feed=spread.send, positioned=True, patience=15.0)


def wait_until(condition, timeout=30.0):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def running(source, intake, name="plant"):
    metrics = Metrics.create()
    runner = SourceRunner(source, name, (), intake, intake.positions, metrics, wait=lambda seconds: time.sleep(0.05))
    runner.start()
    return runner, metrics


def taken(source, intake, marks, **options):
    return take(Case(lambda: source, None, patience=15.0, intake=intake), source, marks, **options)


def opened(source, intake):
    source.open(intake.positions)
    return source


def test_twenty_thousand_records_of_many_partitions_arrive_once_each_in_the_order_of_their_partition(spread, intake):
    runner, _ = running(spread.source(batch=1_000), intake)
    marks = spread.send(20_000)
    assert intake.wait_for(lambda i: len(i.bodies) >= 20_000, 60)
    for _ in range(20):  # a partition that has a whole batch ready fills it alone
        if max(len(delivery.positions) for delivery in intake.deliveries) > 1:
            break
        marks += [mark for partition in range(4) for mark in spread.send(25, partition=partition)]
        assert intake.wait_for(lambda i: len(i.bodies) >= spread.sent, 60)
    assert runner.stop(10)
    assert Counter(intake.bodies) == Counter(marks)
    assert max(len(delivery.payloads) for delivery in intake.deliveries) <= 1_000
    assert max(len(delivery.positions) for delivery in intake.deliveries) > 1  # not a transaction for each partition
    for delivery in intake.deliveries:
        assert sum(position.payloads for position in delivery.positions) == len(delivery.payloads)
    assert wait_until(lambda: sum(spread.group_offsets(4)) == len(marks))  # what shows a group's lag sees it


def test_what_was_taken_but_not_committed_when_a_member_died_comes_again_to_the_next(topic, intake):
    first = opened(topic.source(session_timeout="PT1S", max_poll_interval="PT1S"), intake)
    marks = topic.send(500)
    lost = taken(first, intake, marks, commit=False)
    assert set(marks_in(lost, marks)) == set(marks)
    second = opened(topic.source(), intake)  # waits until the first one is given up
    assert Counter(marks_in(taken(second, intake, marks), marks)) == Counter(marks)
    second.close()
    first.close()


@both_ways
def test_aborted_transactions_are_never_seen_and_leave_no_hole_in_the_chain(topic, intake):
    source = opened(topic.source(), intake)
    producer = topic.producer(**{"transactional.id": topic.name})
    producer.init_transactions(20)
    kept = []
    for number in range(10):
        producer.begin_transaction()
        marks = topic.numbered(7)
        for mark in marks:
            producer.produce(topic.name, mark)
        producer.flush(20)  # the broker has them, whatever becomes of the transaction
        if number % 2:
            producer.abort_transaction(20)
        else:
            producer.commit_transaction(20)
            kept += marks
            if number % 4:
                assert Counter(marks_in(taken(source, intake, marks), marks)) == Counter(marks)
    taken(source, intake, kept[-1:])
    source.close()
    assert Counter(intake.bodies) == Counter(kept)
    again = opened(topic.source(), intake)
    assert again.poll(1.0) is None
    more = topic.send(5)
    taken(again, intake, more)
    again.close()
    assert Counter(intake.bodies) == Counter(kept + more)


def test_an_open_transaction_is_waited_for(topic, intake):
    source = opened(topic.source(), intake)
    producer = topic.producer(**{"transactional.id": topic.name})
    producer.init_transactions(20)
    producer.begin_transaction()
    (mark,) = topic.numbered(1)
    producer.produce(topic.name, mark)
    producer.flush(20)
    later = topic.send(3)
    assert taken(source, intake, (), quiet=1.0) == []
    producer.commit_transaction(20)
    assert Counter(marks_in(taken(source, intake, [mark, *later]), [mark, *later])) == Counter([mark, *later])
    source.close()


def test_two_members_of_a_group_share_the_partitions_and_count_each_record_once(spread):
    """Over one store; a third comes and goes while records flow."""
    intake, metrics = ListIntake(), []
    runners = []
    for name in ("one", "two"):
        runner, mine = running(spread.source(batch=50), intake, name)
        runners.append(runner)
        metrics.append(mine)
    marks = []
    for round in range(12):
        marks += spread.send(200)
        if round == 4:
            runners.append(running(spread.source(batch=50), intake, "three")[0])
        if round == 8:
            assert runners.pop(0).stop(20)
        assert intake.wait_for(lambda i: len(i.bodies) >= len(marks) - 400, 60)  # noqa: B023 - called here
    deadline = time.monotonic() + 60
    while not all(runner.status().deliveries for runner in runners) and time.monotonic() < deadline:
        marks += spread.send(20)  # a rebalance takes what it takes: both that are left come to a share
        time.sleep(0.25)
    assert all(runner.status().deliveries for runner in runners)
    assert intake.wait_for(lambda i: len(i.bodies) >= spread.sent, 60)
    assert all(runner.stop(20) for runner in runners)
    assert Counter(intake.bodies) == Counter(marks)


def test_a_member_that_overslept_its_partition_is_fenced_off_and_goes_on_where_the_store_is(topic, intake):
    overtaken = opened(topic.source(session_timeout="PT1S", max_poll_interval="PT1S"), intake)
    marks = topic.send(10)
    held = overtaken.poll(15)
    assert held is not None
    other = opened(topic.source(), intake)
    taken(other, intake, marks)  # after the poll of the first one was overdue for a second
    runner, _ = running(FirstGives(held, overtaken), intake)
    more = topic.send(10)
    other.close()
    assert intake.wait_for(lambda i: len(i.bodies) >= 20)
    assert runner.stop(20)
    assert Counter(intake.bodies) == Counter(marks + more)


class FirstGives:
    """The source, once what it had handed out is at last delivered."""

    def __init__(self, held, source):
        self.held, self.source, self.opened = held, source, False

    def open(self, positions):
        if self.opened:
            self.source.open(positions)
        self.opened = True

    def poll(self, timeout):
        held, self.held = self.held, None
        return held or self.source.poll(timeout)

    def __getattr__(self, name):
        return getattr(self.source, name)


def test_a_broker_that_stops_and_comes_back_is_one_line_down_and_one_up_and_nothing_is_lost(topic, kafka, intake):
    said = StringIO()
    logs.configure("info", json=True, stream=said)
    try:
        runner, metrics = running(topic.source(connect_timeout="PT1S"), intake)
        marks = topic.send(300)
        assert intake.wait_for(lambda i: len(i.bodies) == 300)
        kafka.stop()
        assert wait_until(lambda: runner.status().state == "down")
        assert metrics.value("twinwright_connector_up", connector="plant") == 0
        time.sleep(2)
        kafka.start()
        assert wait_until(lambda: runner.status().state == "up")
        marks += topic.send(300)
        assert intake.wait_for(lambda i: len(i.bodies) >= 600)
        assert runner.stop(20)
        assert Counter(intake.bodies) == Counter(marks)
        lines = [line for line in said.getvalue().splitlines() if '"plant"' in line]
        assert [("source_down" in line, "source_recovered" in line) for line in lines] == [(True, False), (False, True)]
    finally:
        logs.configure("warning", stream=StringIO())


def test_a_topic_made_anew_is_read_from_its_start(topic, intake):
    source = opened(topic.source(), intake)
    marks = topic.send(20)
    taken(source, intake, marks)
    source.close()
    topic.delete()
    topic.create()
    again = topic.send(15)
    source.open(intake.positions)
    taken(source, intake, again)
    source.close()
    assert Counter(intake.bodies) == Counter(marks + again)
    assert len(intake.held) == 2


def test_a_topic_made_anew_under_a_running_platform_is_noticed(topic, intake):
    runner, _ = running(topic.source(), intake)
    marks = topic.send(20)
    assert intake.wait_for(lambda i: len(i.bodies) == 20)
    topic.delete()
    topic.create()
    marks += topic.send(10)
    assert intake.wait_for(lambda i: len(i.bodies) >= 30, 90)
    assert runner.stop(20)
    assert Counter(intake.bodies) == Counter(marks)


def test_records_that_the_broker_threw_away_are_told_and_the_rest_is_read(topic, intake):
    source = opened(topic.source(), intake)
    first = topic.send(10)
    taken(source, intake, first)
    source.close()
    lost, kept = topic.send(10), topic.send(10)
    (deleted,) = topic.admin.delete_records([TopicPartition(topic.name, 0, 20)]).values()
    deleted.result(20)
    said = StringIO()
    logs.configure("info", json=True, stream=said)
    try:
        source.open(intake.positions)
        taken(source, intake, kept)
        source.close()
    finally:
        logs.configure("warning", stream=StringIO())
    assert Counter(intake.bodies) == Counter(first + kept)
    assert "records_lost_by_the_broker" in said.getvalue() and '"wanted":10' in said.getvalue().replace(" ", "")
    assert not set(lost) & set(intake.bodies)


def test_a_compacted_topic_has_gaps_that_break_no_chain(kafka, intake):
    topic = Topic(kafka, cleanup_policy="compact", segment_ms="100", min_cleanable_dirty_ratio="0.01", max_compaction_lag_ms="100")
    producer = topic.producer()
    for mark in topic.numbered(50):
        producer.produce(topic.name, mark, key="one")
        producer.flush(20)
    time.sleep(0.3)
    producer.produce(topic.name, b"<last>", key="two")  # rolls the segment: only what is not written to is compacted
    producer.flush(20)

    def compacted():
        reader = opened(topic.source(group=f"probe{next(_numbers)}"), ListIntake())
        found = [payload.body for delivery in taken(reader, ListIntake(), [b"<last>"], commit=False) for payload in delivery.payloads]
        reader.close()
        return len(found) < 51

    assert wait_until(compacted, 60)
    source = opened(topic.source(), intake)
    more = topic.numbered(1)
    taken(source, intake, [b"<49>", b"<last>"])
    producer.produce(topic.name, more[0], key="three")
    producer.flush(20)
    taken(source, intake, more)
    source.close()
    assert intake.bodies.count(b"<49>") == intake.bodies.count(b"<last>") == intake.bodies.count(more[0]) == 1
    ((held,),) = [list(intake.held.values())]
    assert held == 52


def test_latest_begins_at_the_end_and_passes_nothing_over_that_comes_after(topic, intake):
    old = topic.send(10)
    bound = topic.bound(start="latest")
    source = opened(topic.source(bound), intake)
    assert source.poll(3) is None and topic.group_offsets() == [10]
    new = topic.send(5)
    assert set(marks_in(taken(source, intake, new, commit=False), new)) == set(new)
    source.close()  # killed, say, before anything of it was stored
    newer = topic.send(5)
    again = opened(topic.source(bound), intake)
    taken(again, intake, new + newer)
    again.close()
    assert Counter(intake.bodies) == Counter(new + newer)
    assert not set(old) & set(intake.bodies)


def test_several_contracts_take_from_one_topic_each_from_its_own_place(topic, intake):
    first = topic.send(10)
    source = opened(topic.source(topic.bound("a")), intake)
    taken(source, intake, first)
    source.close()
    second = topic.send(10)
    both = opened(topic.source(topic.bound("a"), topic.bound("b")), intake)
    while len(intake.bodies) < 30 and (delivery := both.poll(15)) is not None:
        both.committed(delivery, intake.submit(delivery))
    assert both.poll(0.5) is None
    both.close()
    got = {name: [p.body for d in intake.deliveries if d.contract == name for p in d.payloads] for name in "ab"}
    assert got == {"a": first + second, "b": first + second}
    assert wait_until(lambda: topic.group_offsets() == [20])


@both_ways
def test_captures_come_from_the_topic_and_the_key(kafka, intake):
    family = f"family{next(_numbers)}"
    north, south = Topic(kafka, name=f"{family}.north.pumps"), Topic(kafka, name=f"{family}.south.pumps")
    other = Topic(kafka, name=f"{family}.north.fans")
    source = opened(north.source(north.bound(topic=family + ".{area}.pumps", key="pump-{unit}")), intake)
    sent = [
        *((north.send(1, key=key)[0], "north", unit) for key, unit in (("pump-7", "7"), ("pump-8", "8"), ("fan-7", None), (None, None))),
        (south.numbered(40) and south.send(1, key=b"pump-\xff")[0], "south", "\ufffd"),
    ]
    other.numbered(80)
    other.send(1, key="pump-9")
    deliveries = taken(source, intake, [mark for mark, _, _ in sent])
    source.close()
    assert {(p.body, p.captures["area"], p.captures.get("unit")) for d in deliveries for p in d.payloads} == set(sent)


@both_ways
def test_a_record_without_a_value_is_an_empty_payload(topic, intake):
    source = opened(topic.source(), intake)
    producer = topic.producer()
    producer.produce(topic.name, None, key="gone")
    producer.produce(topic.name, b"<0>")
    producer.flush(20)
    taken(source, intake, [b"<0>"])
    source.close()
    assert intake.bodies == [b"", b"<0>"]


def test_large_records_make_smaller_batches(topic, intake):
    topic.admin.incremental_alter_configs([_limit(topic, 4_000_000)])
    producer = topic.producer(**{"message.max.bytes": 4_000_000})
    bodies = [b"<%d>" % n + b"x" * 1_500_000 for n in range(40)]
    source = opened(topic.source(buffer_kbytes=8_192), intake)
    for body in bodies:
        producer.produce(topic.name, body)
    producer.flush(60)
    taken(source, intake, [b"<39>"])
    source.close()
    assert [body[:6] for body in intake.bodies] == [body[:6] for body in bodies]


def _limit(topic, size):
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry

    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    return ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=[entry])


@both_ways
def test_records_from_before_and_after_a_partition_was_let_go_are_read_again(topic, intake):
    source = opened(topic.source(), intake)
    marks = topic.send(5)
    member = source._member
    assert wait_until(lambda: source.poll(0) is not None or member._partitions)
    source.close()
    source.open(intake.positions)
    member = source._member
    while not member._partitions:
        member._consumer.poll(0.1)  # the records that come with the assignment are thrown away with it
    member._let_go.add((topic.name, 0))
    partition = member._partitions[topic.name, 0]
    assert [reader.begin for reader in partition.readers] == [0]
    taken(source, intake, marks)
    source.close()
    assert Counter(intake.bodies) == Counter(marks)


def test_records_come_by_librdkafkas_own_queue_which_is_closed_before_its_consumer(topic, intake):
    source = opened(topic.source(), intake)
    fetcher = source._member._fetcher
    assert isinstance(fetcher, kafka_records.QueueFetcher)
    marks = topic.send(5)
    taken(source, intake, marks)
    assert source._member._consumer.poll(0) is None
    topic.send(5)
    assert wait_until(lambda: fetcher.more(5, 0.1))  # is in hand while it closes
    source.close()
    assert fetcher.count == 0


def test_a_record_that_comes_past_its_queue_is_an_error_and_comes_again(topic, intake, monkeypatch):
    monkeypatch.setattr(kafka_records.QueueFetcher, "lead", lambda *_: None)
    source = opened(topic.source(), intake)
    marks = topic.send(5)
    with pytest.raises(PlatformError, match="past its queue"):
        taken(source, intake, marks)
    monkeypatch.undo()
    source.open(intake.positions)
    taken(source, intake, marks)
    source.close()
    assert Counter(intake.bodies) == Counter(marks)


def test_a_static_member_has_its_partitions_back_at_once(topic, intake):
    settings = {"instance": "only", "session_timeout": "PT30S", "max_poll_interval": "PT60S"}
    first = opened(topic.source(**settings), intake)
    marks = topic.send(5)
    taken(first, intake, marks)
    second = opened(topic.source(**settings), intake)  # the first one died without a word
    more = topic.send(5)
    begun = time.monotonic()
    assert Counter(marks_in(taken(second, intake, more), more)) == Counter(more)
    assert time.monotonic() - begun < 15  # half of the session that it would else have to wait for
    with pytest.raises(PlatformError, match=r"instance|is at 10"):  # whoever is faster: the broker, or the fence of the store
        taken(first, intake, [b"never"])
    first.close()
    second.close()


def test_closing_without_a_broker_ends_soon(topic, kafka, intake):
    source = opened(topic.source(connect_timeout="PT1S"), intake)
    taken(source, intake, topic.send(5))
    kafka.stop()
    begun = time.monotonic()
    source.close()
    assert time.monotonic() - begun < 15


def test_a_topic_that_is_not_there_is_named(topic, intake):
    with pytest.raises(PlatformError, match=r"no topic nowhere that we may see.*Check that"):
        topic.source(topic.bound(topic="nowhere")).open(intake.positions)


def test_a_broker_that_is_not_there_says_where(intake):
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1", group="g", connect_timeout="PT0.5S")
    source = KafkaSource("plant", settings, (Bound("c", "json", KafkaBinding(topic="t")),))
    with pytest.raises(PlatformError, match=r"kafka://127\.0\.0\.1:1: it can't be reached: .*refused"):
        source.open(intake.positions)
    source.close()
    with pytest.raises(PlatformError, match="not open"):
        source.poll(0)


def test_a_password_comes_from_the_environment_and_a_wrong_one_is_refused(topic, kafka, intake, monkeypatch):
    settings = {
        "bootstrap_servers": f"127.0.0.1:{kafka.sasl}",
        "sasl": {"mechanism": "PLAIN", "username": USER, "password_env": "PLANT_PASSWORD"},
        "connect_timeout": "PT3S",
    }
    source = KafkaSource("plant", KafkaSettings(group=topic.group, **settings), (topic.bound(),))
    monkeypatch.setenv("PLANT_PASSWORD", PASSWORD)
    marks = topic.send(3)
    source.open(intake.positions)
    taken(source, intake, marks)
    source.close()
    assert Counter(intake.bodies) == Counter(marks)
    monkeypatch.setenv("PLANT_PASSWORD", "wrong-secret")
    with pytest.raises(PlatformError, match=r"(?i)authentication failed") as refused:
        source.open(intake.positions)
    assert "wrong-secret" not in str(refused.value)
    monkeypatch.delenv("PLANT_PASSWORD")
    with pytest.raises(UsageError, match="PLANT_PASSWORD is not set"):
        source.open(intake.positions)


def test_tls_is_checked_against_the_authority(topic, kafka, intake):
    def over(tls):
        settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{kafka.tls}", group=topic.group, tls=tls, connect_timeout="PT3S")
        return KafkaSource("plant", settings, (topic.bound(),))

    marks = topic.send(3)
    source = opened(over({"ca": str(kafka.folder / "ca.pem")}), intake)
    taken(source, intake, marks)
    source.close()
    assert Counter(intake.bodies) == Counter(marks)
    with pytest.raises(PlatformError, match="certificate verify failed"):
        over({}).open(intake.positions)
    with pytest.raises(UsageError, match="Check `tls`"):
        over({"ca": str(kafka.folder / "gone.pem")}).open(intake.positions)


@pytest.mark.parametrize(
    "settings",
    [
        {"group": ""},
        {"password": "in the file"},
        {"session_timeout": 30},
        {"session_timeout": "PT10M"},
        {"sasl": {"username": "ann"}},
        {"sasl": {"username": "ann", "password_env": "P", "mechanism": "GSSAPI"}},
        {"batch": 0},
    ],
)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        KafkaSettings(**{"bootstrap_servers": "localhost:9092", "group": "g", **settings})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"topic": "a/b"}, "letters, digits"),
        ({"topic": "a.{b"}, "captures as"),
        ({"topic": ""}, "letters, digits"),
        ({"topic": "{a}.{a}"}, "twice"),
        ({"topic": "{a}.b", "key": "{a}"}, "twice"),
        ({"topic": "a", "key": "{a}}"}, "captures as"),
        ({"topic": "a", "start": "yesterday"}, "earliest"),
    ],
)
def test_wrong_bindings_are_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        KafkaBinding(**options)


def test_another_connectors_binding_is_refused():
    with pytest.raises(UsageError, match="contract 'c'"):
        KafkaSource("plant", KafkaSettings(bootstrap_servers="localhost:9092", group="g"), (Bound("c", "json", Spec()),))
