"""Kafka: a consumer of a group whose place in every partition is kept in our own store, in the transaction of the data.

Each delivery carries the positions that it moves, and the store takes data and positions together or neither: whatever is
killed, fenced off or rebalanced, each record counts once. When partitions are assigned we seek to where the store is; the
offsets that the group keeps are written for those who watch its lag. Only where the store has no place yet, and the
contract starts at the latest record, do they say where that was: so nothing is passed over between being assigned and the
first commit.

A stream is a topic, a partition and the topic's id, so that a topic that is deleted and made anew is read from its start.

While a delivery is under way nobody polls, and only polling lets a partition go: another member gets it when its position
is durable. One that is let go for dead (its session over, its poll overdue) meets the fence, and reads again from the store.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, ClassVar, Final, NamedTuple

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined] # it is there, and not in `__all__`

from twinwright.clock import SECOND
from twinwright.connectors.kafka_records import Place, fetcher_of
from twinwright.connectors.kafka_settings import CLIENT, KafkaBinding, KafkaSettings, client_config, member_config
from twinwright.connectors.partitions import Partition, Reader, Records, Route
from twinwright.documents import Spec
from twinwright.errors import PlatformError, UsageError
from twinwright.observability.logs import get_logger
from twinwright.telemetry.connector import Bound
from twinwright.telemetry.packed import PackedPayloads
from twinwright.telemetry.payloads import Delivery, Position, Receipt

_FIRST: Final = OffsetSpec.earliest()
_END: Final = OffsetSpec.latest()
_PART: Final = 10_000  # records asked for at a time, between two looks at their size
_BATCH_BYTES: Final = 16 * 1024 * 1024
_RETRY_SECONDS: Final = 0.1


class KafkaSource:
    """A member of a consumer group; see the module. One membership lives from `open` to `close`."""

    Settings: ClassVar[type[Spec]] = KafkaSettings
    Binding: ClassVar[type[Spec]] = KafkaBinding
    shareable: ClassVar[bool] = True

    def __init__(self, name: str, settings: KafkaSettings, bound: tuple[Bound, ...]) -> None:
        self._name = name
        self._settings = settings
        self._routes = [_route(one) for one in bound]
        self._member: _Member | None = None

    def open(self, positions: Callable[[str, str], int]) -> None:
        """Reach the cluster and join the group. Raises PlatformError where that can't be done or a topic is missing."""
        self.close()
        self._member = _Member(self._name, self._settings, self._routes, positions)
        self._member.join()

    def poll(self, timeout: float) -> Delivery | None:
        """Records of one contract from whatever partitions have them. Raises PlatformError once the cluster is lost."""
        if self._member is None:
            raise PlatformError("it is not open", where=f"connector '{self._name}'", remedy="Open it first")
        return self._member.poll(timeout)

    def committed(self, delivery: Delivery, receipt: Receipt) -> None:  # noqa: ARG002 - what became of it is not asked
        """Tell the group, for those who watch its lag."""
        if self._member is not None:
            self._member.committed(delivery)

    def close(self) -> None:
        """Leave the group (a static member stays in it until its session ends)."""
        member, self._member = self._member, None
        if member is not None:
            member.leave()


class _Kept(NamedTuple):
    """What the broker has of a partition: from the `first` record to the `end`; and where `latest` is."""

    first: int
    end: int
    latest: int


class _Member:
    """One membership in the group. Everything happens in the thread that polls, and rebalances while it polls."""

    def __init__(self, name: str, settings: KafkaSettings, routes: Sequence[Route], positions: Callable[[str, str], int]) -> None:
        self._settings = settings
        self._routes = routes
        self._positions = positions
        self._where = settings.where
        self._timeout = settings.connect_timeout / SECOND
        self._log = get_logger(__name__, connector=name)
        self._partitions: dict[Place, Partition] = {}
        self._streams: dict[str, Partition] = {}
        self._let_go: set[Place] = set()
        self._ready: deque[Delivery] = deque()
        self._suspect = False
        self._reason: str | None = None
        if settings.password_in_clear:
            self._log.warning("password_in_clear", broker=self._where, remedy="Give the connector a `tls` section")
        common = {**client_config(settings), "error_cb": self._on_error}
        try:
            self._admin = AdminClient(common)
            self._consumer = Consumer({**common, **member_config(settings)})
        except KafkaException as error:
            raise UsageError(f"the settings can't be used: {_text(error)}", where=self._where, remedy="Check `tls` and `sasl`") from error
        keys = any(route.key is not None for route in routes)
        self._fetcher = fetcher_of(self._consumer, CLIENT, settings.batch, keys=keys)

    # --- in and out of the group ---------------------------------------------------------------------------------------

    def join(self) -> None:
        """Reach the cluster and subscribe. Raises PlatformError."""
        try:
            found = self._admin.list_topics(timeout=self._timeout).topics
        except KafkaException as error:
            self._admin.poll(0)  # it has the reason
            raise self._error(f"it can't be reached: {self._reason or _text(error)}") from error
        wanted = sorted({route.subscription for route in self._routes})
        missing = [topic for topic in wanted if not topic.startswith("^") and topic not in found]
        if missing:
            raise self._error(f"there is no topic {', '.join(missing)} that we may see")
        if wanted:
            self._consumer.subscribe(wanted, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    def leave(self) -> None:
        self._fetcher.close()
        self._consumer.close()
        self._partitions.clear()

    def poll(self, timeout: float) -> Delivery | None:
        deadline = time.monotonic() + timeout
        while not self._ready:
            left = deadline - time.monotonic()
            self._fetch(max(0.0, left))
            self._ready.extend(self._deliveries())
            if left <= 0:
                break
        return self._ready.popleft() if self._ready else None

    def committed(self, delivery: Delivery) -> None:
        offsets = []
        for position in delivery.positions:
            partition = self._streams.get(position.stream)
            if partition is None:  # ours no longer
                continue
            for reader in partition.readers:
                if reader.route.contract == delivery.contract:
                    reader.durable = position.next
            offsets.append(TopicPartition(partition.topic, partition.number, partition.durable))
        if offsets:
            self._consumer.commit(offsets=offsets, asynchronous=True)

    # --- records -------------------------------------------------------------------------------------------------------

    def _fetch(self, timeout: float) -> None:
        """One record, and those that come while each moment brings more, up to a batch."""
        fetcher, batch = self._fetcher, self._settings.batch
        fetcher.wait(timeout)
        if self._suspect:
            self._ask()
        deadline = time.monotonic() + 10 * self._settings.linger / SECOND
        while 0 < fetcher.count < batch and fetcher.size < _BATCH_BYTES and time.monotonic() < deadline:
            if not fetcher.more(min(_PART, batch - fetcher.count), self._settings.linger / SECOND):
                break

    def _deliveries(self) -> Iterator[Delivery]:
        payloads: dict[str, list[PackedPayloads]] = {}
        positions: dict[str, list[Position]] = {}
        for partition, records in self._by_partition():
            for reader in partition.readers:
                taken = reader.take(partition.stream, records)
                if taken is not None:
                    payloads.setdefault(reader.route.contract, []).append(taken[0])
                    positions.setdefault(reader.route.contract, []).append(taken[1])
        return (Delivery(one, PackedPayloads.together(payloads[one]), tuple(positions[one])) for one in payloads)

    def _by_partition(self) -> Iterator[tuple[Partition, Records]]:
        """The records of each partition that is ours, in their order. Raises PlatformError for what a broker says instead."""
        complaint = self._fetcher.complaint()
        if complaint is not None:
            raise self._error(complaint)
        groups = dict(self._fetcher.take())
        for place in self._let_go & groups.keys():  # from before and after it was let go: no telling where it goes on
            del groups[place]
            if (again := self._partitions.get(place)) is not None:
                self._consumer.seek(TopicPartition(*place, again.begin))
        self._let_go.clear()
        for place, records in groups.items():
            if (partition := self._partitions.get(place)) is not None:
                yield partition, records

    # --- rebalances ----------------------------------------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        """Seek to where the store is. What is raised here comes out of the poll that we are in."""
        try:
            located = list(self._located(given))
            for one in located:
                self._fetcher.lead(one.topic, one.number)
            consumer.incremental_assign([TopicPartition(one.topic, one.number, one.begin) for one in located])
        except KafkaException as error:
            raise self._error(f"its partitions can't be taken over: {_text(error)}") from error
        for one in located:
            self._partitions[one.topic, one.number] = self._streams[one.stream] = one

    def _on_revoke(self, consumer: Consumer, taken: list[TopicPartition]) -> None:
        for one in taken:
            partition = self._partitions.pop((one.topic, one.partition), None)
            if partition is not None:
                del self._streams[partition.stream]
                self._let_go.add((one.topic, one.partition))
        consumer.incremental_unassign(taken)

    def _located(self, given: list[TopicPartition]) -> Iterator[Partition]:
        """The partitions with their readers, each where its contract goes on."""
        asked = self._admin.describe_topics(TopicCollection(sorted({one.topic for one in given})), request_timeout=self._timeout)
        ids = {topic: str(future.result().topic_id) for topic, future in asked.items()}
        firsts, ends = self._offsets(given, _FIRST), self._offsets(given, _END)
        streams = {place: f"{place[0]}/{place[1]}/{ids[place[0]]}" for place in firsts}
        latest = self._latest(streams, ends)
        for place, stream in streams.items():
            kept = _Kept(firsts[place], ends[place], latest[place])
            found = [(route, match.groupdict()) for route in self._routes if (match := route.topic.fullmatch(place[0]))]
            if found:
                yield Partition(*place, stream, tuple(self._reader(route, captures, stream, kept) for route, captures in found))

    def _latest(self, streams: Mapping[Place, str], ends: dict[Place, int]) -> dict[Place, int]:
        """Where `latest` is: the end when the group saw the partition first, which it remembers until the store has a position."""
        fresh = [
            TopicPartition(*place)
            for place, stream in streams.items()
            if any(one.latest and one.topic.fullmatch(place[0]) and not self._positions(one.contract, stream) for one in self._routes)
        ]
        if not fresh:
            return ends
        told = {(one.topic, one.partition): one.offset for one in self._consumer.committed(fresh, self._timeout)}
        untold = [TopicPartition(*place, ends[place]) for place, offset in told.items() if offset < 0]
        if untold:
            self._consumer.commit(offsets=untold, asynchronous=False)
        return ends | {place: offset for place, offset in told.items() if offset >= 0}

    def _reader(self, route: Route, captures: Mapping[str, str], stream: str, kept: _Kept) -> Reader:
        """A contract in a partition. Where the broker has not kept what the store wants next, that is told, and all that it has is
        read: what was seen before counts as duplicate."""
        held = self._positions(route.contract, stream)
        begin = held
        if not held:
            begin = min(max(kept.latest, kept.first), kept.end) if route.latest else kept.first
        elif not kept.first <= held <= kept.end:
            begin = kept.first
            remedy = "Keep records longer than the platform may be away: see the topic's retention"
            about = {"contract": route.contract, "stream": stream, "wanted": held, "kept_from": kept.first, "kept_to": kept.end}
            self._log.warning("records_lost_by_the_broker", **about, remedy=remedy)
        return Reader(route, captures, held, begin, begin)

    def _offsets(self, given: Iterable[TopicPartition], spec: OffsetSpec) -> dict[Place, int]:
        """The first offset of each partition, or the end of what is committed; a leader that was just elected is asked again."""
        deadline = time.monotonic() + self._timeout
        left = {(one.topic, one.partition): one for one in given}
        found: dict[Place, int] = {}
        while left:
            asked: dict[TopicPartition, Future[Any]] = self._admin.list_offsets(
                dict.fromkeys(left.values(), spec), isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=self._timeout
            )
            for one, future in asked.items():
                try:
                    found[one.topic, one.partition] = future.result().offset
                except KafkaException as error:
                    if not error.args[0].retriable() or time.monotonic() > deadline:
                        raise
            left = {place: one for place, one in left.items() if place not in found}
            if left:
                time.sleep(_RETRY_SECONDS)
        return found

    # --- the cluster ---------------------------------------------------------------------------------------------------

    def _on_error(self, error: KafkaError) -> None:
        """The client mends what it can by itself. When it knows no broker that is up, it is asked whether that is so."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._suspect = True
        else:
            self._reason = error.str()

    def _ask(self) -> None:
        """Raises PlatformError unless a broker answers in time."""
        try:
            self._consumer.list_topics(self._routes[0].subscription, timeout=self._timeout)
        except KafkaException as error:
            raise self._error(f"no broker answers: {self._reason or _text(error)}") from error
        self._suspect = False

    def _error(self, what: str) -> PlatformError:
        remedy = "Check that the brokers run, and that their addresses, `tls`, `sasl`, topics and the group's rights are right"
        return PlatformError(what, where=self._where, remedy=remedy)


def _text(error: KafkaException) -> str:
    """What it says to people."""
    cause = error.args[0] if error.args else error
    return cause.str() if isinstance(cause, KafkaError) else str(cause)


def _route(bound: Bound) -> Route:
    options = bound.options
    if not isinstance(options, KafkaBinding):
        raise UsageError(f"the source of contract '{bound.contract}' is not one of Kafka", remedy="Give it a `topic`")
    return Route.of(bound.contract, options.topic, options.key, latest=options.start == "latest")
