"""SIGKILL at random instants while telemetry comes by HTTP, MQTT, Kafka and files: nothing acknowledged is lost, nothing counts twice.

After each kill the platform is started again and whatever was not acknowledged is delivered again, by whoever has to: the
client, the broker, the folder. Each of these is told how often to kill, so that `make soak` can do it for longer.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from paho.mqtt.enums import CallbackAPIVersion
from tests.acceptance.running import Up, twinwright, until, write
from tests.faults.lossy_disk import LossyDisk, compiled
from tests.warm import begin

import twinwright as tw

SCHEMA = {
    "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
    "@id": "dtmi:test:Sensor;1",
    "@type": "Interface",
    "contents": [{"@type": ["Property", "Temperature"], "name": "temperature", "schema": "double", "unit": "degreeCelsius"}],
}
CONTRACT = """
name: {name}
revision: 1
{source}
twin: "s{{s}}"
time: {{field: ts{format}}}
observations:
  - {{path: temperature, field: t, unit: degC, required: true}}
"""
SENSORS = 4
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def workspace(folder: Path, name: str, toml: str = "", source: str = "") -> Path:
    toml = "[api]\nconsole = false\n" + toml
    twins = "twins:\n" + "".join(f"  - {{$dtId: s{s}, $metadata: {{$model: 'dtmi:test:Sensor;1'}}}}\n" for s in range(SENSORS))
    files = {"twinwright.toml": toml, "schema/sensor.json": json.dumps(SCHEMA), "twins.yaml": twins}
    write(
        folder,
        {
            **files,
            f"contracts/{name}.yaml": CONTRACT.format(
                name=name, source=f"source: {source}" if source else "", format=", format: epoch_us" if name == "load" else ""
            ),
        },
    )
    assert twinwright("apply", workspace=folder).code == 0
    return folder


def on_postgres(postgres: Any) -> str:
    """`[store]` in a schema of its own."""
    return f'[store]\nengine = "postgres"\ndsn = "{postgres.dsn()}"\nschema = "{postgres.schema()}"\n'


def reading(number: int) -> dict[str, Any]:
    """The readings of a series are numbered; each is another event of one of the sensors, in a wild order of time."""
    second = number * 7919 % 1_000_003
    when = (BEGIN + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"s": number % SENSORS, "ts": when, "t": float(number)}


def encoded(number: int) -> bytes:
    return json.dumps(reading(number)).encode()


BROKEN = (b'{"s": 1', json.dumps({"s": 9, "ts": "2026-03-01T00:00:00Z", "t": 1.0}).encode())
REASONS = ("malformed", "unknown_twin")


def check_counts(folder: Path) -> dict[str, int]:
    """Conservation, and that what is counted is what is there."""
    platform = tw.open(folder)
    try:
        counts: dict[str, int] = platform.kpi()["counts"]
        assert counts["received"] == counts["accepted"] + counts["duplicate"] + counts["dead_lettered"]
        assert counts["dead_lettered"] == platform.dead_letters(limit=1)["total"]
    finally:
        platform.close()
    return counts


def kill_somewhere(running: Up, rng: random.Random, before: int) -> None:
    """At any instant from the first line on; mostly from when something of this life is durable: more than `before` received."""
    if rng.random() < 0.7:
        platform = tw.open(running.folder)
        until(lambda: platform.kpi()["counts"]["received"] > before)
        platform.close()
    time.sleep(rng.uniform(0.0, 0.4))
    running.kill()


def check_series(folder: Path, numbers: set[int]) -> None:
    """History is exactly `numbers`, and state is what a plain fold of them gives."""
    platform = tw.open(folder)
    try:
        for s in range(SENSORS):
            mine = sorted((reading(n)["ts"], float(n)) for n in numbers if n % SENSORS == s)
            answer = platform.history(f"s{s}", "temperature")
            times = [time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in answer["times"].to_pylist()]
            assert list(zip(times, answer["values"].to_pylist(), strict=True)) == mine
            state = platform.state(f"s{s}")
            assert (state["$metadata"]["temperature"]["sourceTime"], state["temperature"]) == mine[-1]
        assert platform.kpi()["counts"]["accepted"] == len(numbers)
        assert platform.reconcile()["inconsistent"] == 0
    finally:
        platform.close()


# --- HTTP ------------------------------------------------------------------------------------------------------------


class Client(threading.Thread):
    """Pushes batches one after the other until told to stop; keeps a batch until its receipt has come."""

    def __init__(self, running: Up, batches: Iterator[list[int]], undelivered: list[list[int]]) -> None:
        super().__init__(daemon=True)
        self.running, self.batches, self.undelivered = running, batches, undelivered
        self.acknowledged: list[tuple[list[int], dict[str, Any]]] = []
        self.stopping = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with self.running.client() as client:
                while not self.stopping.is_set():
                    batch = self.undelivered.pop() if self.undelivered else next(self.batches)
                    try:
                        body = b"\n".join([*map(encoded, batch), *BROKEN, encoded(batch[0])])
                        answer = client.post("/v1/telemetry/push", content=body, headers={"content-type": "application/x-ndjson"})
                    except httpx.TransportError:
                        self.undelivered.append(batch)
                        return
                    assert answer.status_code == 200, answer.text
                    self.acknowledged.append((batch, answer.json()))
        except Exception as error:  # noqa: BLE001 - shown by the thread that waits
            self.error = error


def kill_over_http(tmp_path: Path, store: str, kills: int, library: Path | None = None) -> None:
    """With the `library` of a lossy disk each kill is a power failure: what was not synced is lost as well, or some of it."""
    folder, rng = workspace(tmp_path, "push", store), random.Random(20)
    fresh = (list(range(start, start + 40)) for start in range(0, 10_000_000, 40))
    lock = threading.Lock()

    def batches() -> Iterator[list[int]]:
        while True:
            with lock:
                batch = next(fresh)
            yield batch

    disk = LossyDisk(library, folder / ".twinwright", tmp_path / "log", whole="store.duckdb") if library else None
    undelivered: list[list[int]] = []
    accepted: set[int] = set()
    tries = before = 0
    for kill in range(kills + 1):
        if disk:
            disk.begin()
        running = Up(folder, environment=disk.environment() if disk else None)
        clients = [Client(running, batches(), undelivered) for _ in range(2)]
        for client in clients:
            client.start()
        if kill < kills:
            kill_somewhere(running, rng, before)
        else:
            until(lambda: not undelivered)
            for client in clients:
                client.stopping.set()
        for client in clients:
            client.join(30)
            assert client.error is None, client.error
            for batch, receipt in client.acknowledged:
                accepted.update(batch)
                tries += 1
                assert receipt["received"] == 43 == receipt["accepted"] + receipt["duplicate"] + 2
                assert receipt["dead_lettered"] == dict.fromkeys(REASONS, 1)
        if kill < kills:
            if disk:
                disk.fail(rng)
            counts = check_counts(folder)
            before = counts["received"]
            unsure = {number for batch in undelivered for number in batch}
            assert len(accepted) <= counts["accepted"] <= len(accepted | unsure)
    check_series(folder, accepted)
    counts = check_counts(folder)
    assert counts["received"] % 43 == 0  # a batch is taken whole or not at all
    assert 43 * tries <= counts["received"] <= 43 * (tries + 2 * kills)
    assert counts["dead_lettered"] == 2 * counts["received"] // 43
    assert running.stop() == 0
    check_series(folder, accepted)


def test_http_clients_lose_nothing_that_was_acknowledged_over_twenty_kills(tmp_path: Path) -> None:
    kill_over_http(tmp_path, "", 20)


def test_http_clients_lose_nothing_over_kills_of_a_platform_on_postgres(postgres: Any, tmp_path: Path) -> None:
    kill_over_http(tmp_path, on_postgres(postgres), 3)


def test_http_clients_lose_nothing_that_was_acknowledged_to_power_failures(tmp_path: Path) -> None:
    kill_over_http(tmp_path, "", 2, compiled(tmp_path))


# --- files -----------------------------------------------------------------------------------------------------------


def drop(folder: Path, name: str, numbers: list[int]) -> Counter[str]:
    """A whole file appears in the inbox; the counts that it must give."""
    lines = [encoded(number) for number in numbers]
    lines[len(lines) // 3 : len(lines) // 3] = [*BROKEN, lines[0]]
    path = folder / "inbox" / name
    path.with_suffix(".part").write_bytes(b"".join(line + b"\n" for line in lines))
    path.with_suffix(".part").rename(path)
    return Counter(received=len(lines), accepted=len(numbers), duplicate=1, dead_lettered=2)


def kill_over_files(tmp_path: Path, store: str, kills: int) -> None:
    (tmp_path / "inbox").mkdir()
    toml = store + f'[connectors.inbox]\ntype = "files"\nfolder = "{tmp_path}/inbox"\nscan = "PT0.05S"\nsettle = "PT0S"\n'
    folder = workspace(tmp_path, "inbox", toml, '{connector: inbox, path: "*.ndjson", chunk_bytes: 2048}')
    rng, expected, numbers, next_number = random.Random(15), Counter[str](), set[int](), 0
    seen: list[int] = []
    for kill in range(kills):
        running = Up(folder)
        for file in range(2):
            size = rng.randint(500, 1500)
            mine = list(range(next_number, next_number + size))
            next_number += size
            numbers.update(mine)
            expected += drop(folder, f"{kill:04}-{file}.ndjson", mine)
        kill_somewhere(running, rng, seen[-1] if seen else 0)
        counts = check_counts(folder)
        seen.append(counts["received"])
        assert all(counts[name] <= expected[name] for name in expected)
    assert seen == sorted(seen) and len(set(seen)) >= min(8, kills // 2 + 1)  # it got on between the kills, and never back
    running = Up(folder)
    until(lambda: Counter(check_counts(folder)) == expected)
    time.sleep(0.5)
    assert Counter(check_counts(folder)) == expected
    check_series(folder, numbers)
    assert running.stop() == 0
    check_series(folder, numbers)


def test_files_in_a_folder_count_exactly_once_over_fifteen_kills(tmp_path: Path) -> None:
    kill_over_files(tmp_path, "", 15)


def test_a_load_by_ingest_that_is_killed_resumes_and_counts_each_line_once(tmp_path: Path) -> None:
    folder, rng = workspace(tmp_path, "load"), random.Random(5)
    count = 4_000_000  # far more than is loaded between the first bytes and the kill, on any machine
    file = tmp_path / "load.ndjson"
    file.write_bytes(b"".join(b'{"s":%d,"ts":%d,"t":%d.5}\n' % (n % SENSORS, 1_700_000_000_000_000 + n, n % 97) for n in range(count)))
    line = ["ingest", str(file), "--contract", "load", "--workspace", str(folder), "--json"]
    received = [0]
    while len(received) < 4 or not received[-1]:  # a slow machine may be killed before its first commit
        with (tmp_path / "log").open("ab") as log, begin(line, os.environ, log) as process:
            size = _bytes_of(folder)
            until(lambda process=process, size=size: _bytes_of(folder) > size or process.poll() is not None)
            time.sleep(rng.uniform(0.0, 0.2))
            process.kill()
        received.append(check_counts(folder)["received"])
    assert received[-1] < count and received == sorted(received)
    rest = twinwright("ingest", file, "--contract", "load", workspace=folder).good
    assert rest["received"] == rest["accepted"] == count - received[-1]
    assert check_counts(folder) == {"received": count, "accepted": count, "duplicate": 0, "dead_lettered": 0}
    platform = tw.open(folder)
    assert [platform.history(f"s{s}", "temperature", every="P1D", agg="count")["values"].to_pylist() for s in range(SENSORS)] == [
        [count // SENSORS]
    ] * 4
    platform.close()


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / ".twinwright").rglob("*") if path.is_file())


# --- MQTT ------------------------------------------------------------------------------------------------------------


class Publisher(threading.Thread):
    """Publishes numbered readings at QoS 1, some of them twice and some broken, as fast as the broker takes them."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.stopping = port, threading.Event()
        self.sent, self.messages = 0, 0

    def run(self) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="publisher")
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        while not self.stopping.is_set():
            batch = range(self.sent, self.sent + 50)
            bodies = [*map(encoded, batch), encoded(batch[0]), *BROKEN]
            infos = [client.publish(f"plant/s{number % SENSORS}", body, 1) for number, body in enumerate(bodies)]
            for info in infos:
                info.wait_for_publish(30)
            self.sent, self.messages = batch[-1] + 1, self.messages + len(bodies)
            time.sleep(0.1)
        client.disconnect()
        client.loop_stop()


def kill_over_mqtt(broker: Any, tmp_path: Path, store: str, kills: int) -> None:
    toml = store + f'[connectors.plant]\ntype = "mqtt"\nhost = "127.0.0.1"\nport = {broker.port}\nconnect_timeout = "PT60S"\n'
    folder = workspace(tmp_path / "w", "mqtt", toml, '{connector: plant, topic: "plant/{sensor}"}')
    rng = random.Random(51)
    with_session = Up(folder)
    until(lambda: all(one["up"] for one in _connectors(folder)))
    with_session.stop()  # the broker keeps the session from here on
    publisher = Publisher(broker.port)
    publisher.start()
    seen: list[int] = []
    before = 0
    for _ in range(kills):
        running = Up(folder)
        kill_somewhere(running, rng, before)
        counts = check_counts(folder)
        before = counts["received"]
        seen.append(counts["accepted"])
        assert seen[-1] <= publisher.sent + 50
    assert seen == sorted(seen) and len(set(seen)) >= min(8, kills // 2 + 1)
    publisher.stopping.set()
    publisher.join(60)
    running = Up(folder)
    until(lambda: check_counts(folder)["accepted"] >= publisher.sent)
    time.sleep(1.0)
    counts = check_counts(folder)
    check_series(folder, set(range(publisher.sent)))
    assert counts["received"] >= publisher.messages
    assert counts["dead_lettered"] >= 2 * publisher.sent // 50
    assert running.stop() == 0
    check_series(folder, set(range(publisher.sent)))


@pytest.mark.broker
def test_mqtt_messages_count_once_over_fifteen_kills(broker: Any, tmp_path: Path) -> None:
    kill_over_mqtt(broker, tmp_path, "", 15)


@pytest.mark.broker
def test_mqtt_messages_count_once_over_kills_of_a_platform_on_postgres(broker: Any, postgres: Any, tmp_path: Path) -> None:
    kill_over_mqtt(broker, tmp_path, on_postgres(postgres), 3)


def _connectors(folder: Path) -> list[dict[str, Any]]:
    platform = tw.open(folder)
    try:
        found: list[dict[str, Any]] = platform.status()["connectors"]
    finally:
        platform.close()
    return found


# --- Kafka -----------------------------------------------------------------------------------------------------------


class KafkaPublisher(threading.Thread):
    """Sends numbered readings to two partitions in transactions, some twice, some broken; a third of the transactions is aborted."""

    def __init__(self, servers: str, topic: str) -> None:
        super().__init__(daemon=True)
        self.topic = topic
        self.producer = Producer({"bootstrap.servers": servers, "transactional.id": topic, "linger.ms": 2, "log_level": 0})
        self.stopping = threading.Event()
        self.kept: list[int] = []
        self.transactions = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.producer.init_transactions(60)
            for number in itertools.count():
                if self.stopping.is_set():
                    return
                self._transaction(range(number * 50, number * 50 + 50), aborted=number % 3 == 2)
                time.sleep(0.05)
        except Exception as error:  # noqa: BLE001 - shown by the thread that waits
            self.error = error

    def _transaction(self, batch: range, *, aborted: bool) -> None:
        self.producer.begin_transaction()
        for index, body in enumerate([*map(encoded, batch), encoded(batch[0]), *BROKEN]):
            self.producer.produce(self.topic, body, partition=index % 2)
        self.producer.flush(60)
        if aborted:
            self.producer.abort_transaction(60)
        else:
            self.producer.commit_transaction(60)
            self.kept += batch
            self.transactions += 1


def kill_over_kafka(kafka: Any, tmp_path: Path, store: str, kills: int) -> None:
    topic = f"readings-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka.servers})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(60)
    toml = store + (
        f'[connectors.bus]\ntype = "kafka"\nbootstrap_servers = "{kafka.servers}"\ngroup = "{topic}"\n'
        'session_timeout = "PT2S"\n'  # a killed member's partitions are free again soon
    )
    folder = workspace(tmp_path / "w", "bus", toml, f"{{connector: bus, topic: {topic}}}")
    rng = random.Random(8)
    publisher = KafkaPublisher(kafka.servers, topic)
    publisher.start()
    seen: list[int] = []
    for _ in range(kills):
        running = Up(folder)
        kill_somewhere(running, rng, seen[-1] if seen else 0)
        assert publisher.error is None, publisher.error
        seen.append(check_counts(folder)["received"])
    assert seen == sorted(seen) and len(set(seen)) >= min(4, kills)
    publisher.stopping.set()
    publisher.join(120)
    assert publisher.error is None, publisher.error
    expected = Counter(received=53, accepted=50, duplicate=1, dead_lettered=2)
    exact = {name: count * publisher.transactions for name, count in expected.items()}
    running = Up(folder)
    until(lambda: check_counts(folder) == exact, 120)
    time.sleep(0.5)
    assert check_counts(folder) == exact  # not one of them twice, none of an aborted transaction
    check_series(folder, set(publisher.kept))
    assert running.stop() == 0
    check_series(folder, set(publisher.kept))


@pytest.mark.kafka
def test_kafka_records_count_exactly_once_over_eight_kills(kafka: Any, tmp_path: Path) -> None:
    kill_over_kafka(kafka, tmp_path, "", 8)
