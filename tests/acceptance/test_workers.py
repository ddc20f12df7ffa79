"""One, two and three workers over one topic, with SIGKILL, rebalances, a worker that stands still past its rebalance, and a database that
crashes: facts and counters are those of one clean run."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from tests.acceptance.running import Worker, twinwright, until
from tests.acceptance.test_kills import BROKEN, SENSORS, encoded, reading, workspace

import twinwright as tw

PARTITIONS = 3
SESSION, STALLED = 2.0, 2.0  # seconds until a member is taken for dead, and until one that holds up the others is rolled back


class Feed(threading.Thread):
    """Sends numbered readings to all partitions: some at once to two of them, some contradicted by another partition, some broken."""

    def __init__(self, servers: str, topic: str) -> None:
        super().__init__(daemon=True)
        self.producer = Producer({"bootstrap.servers": servers, "linger.ms": 2, "log_level": 0})
        self.topic, self.stopping = topic, threading.Event()
        self.bodies: list[bytes] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            start = 0
            while not self.stopping.is_set():
                batch = list(self._batch(start))
                for partition, body in batch:
                    self.producer.produce(self.topic, body, partition=partition)
                assert self.producer.flush(60) == 0
                self.bodies += [body for _, body in batch]
                start += 60
                time.sleep(0.04)
        except Exception as error:  # noqa: BLE001 - shown by the thread that waits
            self.error = error

    def _batch(self, start: int) -> Iterator[tuple[int, bytes]]:
        for number in range(start, start + 60):
            yield number % PARTITIONS, encoded(number)
            if number % 10 == 0:
                yield (number + 1) % PARTITIONS, encoded(number)
            if number % 30 == 7:
                yield (number + 1) % PARTITIONS, json.dumps({**reading(number), "t": number + 0.5}).encode()
        yield from enumerate(BROKEN)


def shared_workspace(folder: Path, kafka: Any, postgres: Any, topic: str, schema: str) -> Path:
    admin = AdminClient({"bootstrap.servers": kafka.servers})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(60)
    toml = (
        f'[store]\nengine = "postgres"\ndsn = "{postgres.dsn()}"\nschema = "{schema}"\nstalled_writer = "PT{STALLED}S"\n'
        f'[connectors.bus]\ntype = "kafka"\nbootstrap_servers = "{kafka.servers}"\ngroup = "{topic}"\nsession_timeout = "PT{SESSION}S"\n'
    )
    return workspace(folder, "bus", toml, f"{{connector: bus, topic: {topic}}}")


def answers(folder: Path) -> dict[str, Any]:
    """Counters, facts of state and of history; and that state is what history says."""
    platform = tw.open(folder)
    try:
        assert platform.reconcile()["inconsistent"] == 0
        series = [platform.history(f"s{s}", "temperature").drop_columns(["source"]).to_pydict() for s in range(SENSORS)]
        assert platform.kpi()["counts"]["dead_lettered"] == platform.dead_letters(limit=1)["total"]
        return {"counts": platform.kpi()["counts"], "state": platform.state(facts=True), "series": series}
    finally:
        platform.close()


def received(folder: Path) -> int:
    """How many readings are counted now; conservation is exact, and no dead letter is without its count, while others go on writing."""
    platform = tw.open(folder)
    try:
        before = platform.dead_letters(limit=1)["total"]
        counts: dict[str, int] = platform.kpi()["counts"]
        assert counts["received"] == counts["accepted"] + counts["duplicate"] + counts["dead_lettered"]
        assert before <= counts["dead_lettered"] <= platform.dead_letters(limit=1)["total"]
        return counts["received"]
    finally:
        platform.close()


def clean_run(folder: Path, bodies: list[bytes]) -> dict[str, Any]:
    """The same, taken in once, by one process, into the other engine."""
    workspace(folder, "bus")
    file = folder / "all.ndjson"
    file.write_bytes(b"".join(body + b"\n" for body in bodies))
    assert twinwright("ingest", file, "--contract", "bus", workspace=folder).code == 0
    return answers(folder)


class Fleet:
    """Workers that come and go at random over one topic."""

    def __init__(self, folder: Path, postgres: Any, schema: str, seed: int) -> None:
        self.folder, self.postgres, self.schema, self.rng = folder, postgres, schema, random.Random(seed)
        self.workers: list[Worker] = []
        self.seen = [0]

    def have(self, count: int) -> None:
        while len(self.workers) < count:
            self.workers.append(Worker(self.folder))

    def progress(self, most: float = 0.3) -> None:
        """Wait until more is counted than before, and then a little."""
        before = self.seen[-1]
        until(lambda: self.counted() > before)
        time.sleep(self.rng.uniform(0.0, most))

    def counted(self) -> int:
        return int(self.postgres.execute(f"SELECT coalesce(sum(received), 0)::bigint FROM {self.schema}.commits")[0][0])

    def kill_one(self) -> None:
        self.workers.pop(self.rng.randrange(len(self.workers))).kill()

    def stop_one_past_its_rebalance(self) -> None:
        """It comes back when the others have had its partitions for a while; where there are no others, when it was taken for dead."""
        stopped = self.rng.choice(self.workers)
        stopped.process.send_signal(signal.SIGSTOP)
        time.sleep(SESSION + 0.5)
        if len(self.workers) > 1:
            self.progress()
        stopped.process.send_signal(signal.SIGCONT)

    def crash_the_database(self) -> None:
        self.postgres.stop("immediate")
        self.postgres.start()


def check(folder: Path, kafka: Any, postgres: Any, plan: list[tuple[int, str]], seed: int) -> None:
    topic = f"readings-{seed}"
    schema = postgres.schema()
    fleet = Fleet(shared_workspace(folder / "shared", kafka, postgres, topic, schema), postgres, schema, seed)
    feed = Feed(kafka.servers, topic)
    feed.start()
    for workers, event in plan:
        fleet.have(workers)
        fleet.progress()
        getattr(fleet, event)()
        fleet.seen.append(received(fleet.folder))
        assert feed.error is None, feed.error
    feed.stopping.set()
    feed.join(60)
    assert feed.error is None, feed.error
    fleet.have(max(workers for workers, _ in plan))
    until(lambda: fleet.counted() >= len(feed.bodies))
    assert [worker.stop() for worker in fleet.workers] == [0] * len(fleet.workers)
    assert answers(fleet.folder) == clean_run(folder / "clean", feed.bodies)
    assert fleet.seen == sorted(fleet.seen)


PLAN = [(1, "kill_one"), (2, "stop_one_past_its_rebalance"), (3, "crash_the_database")]


@pytest.mark.kafka
def test_workers_that_are_killed_stopped_and_cut_off_count_as_one_clean_run(kafka, postgres, tmp_path):
    check(tmp_path, kafka, postgres, PLAN, 31)
