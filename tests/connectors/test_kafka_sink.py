"""Changes of twins in a Kafka topic, against a real broker: one after the other for each twin, none lost when it is gone for a while."""

import json
import time

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic
from pydantic import ValidationError
from tests.acceptance.running import twinwright, until, up, write
from tests.acceptance.test_kills import encoded, workspace

from twinwright.connectors.kafka_sink import KafkaSink, KafkaSinkSettings
from twinwright.errors import PlatformError
from twinwright.twins.changes import Change

pytestmark = pytest.mark.kafka


def topic(kafka, name):
    admin = AdminClient({"bootstrap.servers": kafka.servers})
    admin.create_topics([NewTopic(name, 3, 1)])[name].result(20)
    until(lambda: name in admin.list_topics(timeout=10).topics)
    return name


def settings(kafka, name, **options):
    return KafkaSinkSettings(bootstrap_servers=kafka.servers, topic=name, connect_timeout="PT5S", **options)


def change(number, twin="pump-1"):
    return Change(twin, "observed", number * 1_000_000, "c", number, {"level": {"value": number, "unit": "m", "quality": "good"}})


def records(kafka, name, count, patience=60.0):
    """What a consumer that knows nothing of us reads: (key, value, partition)."""
    consumer = Consumer({"bootstrap.servers": kafka.servers, "group.id": f"read-{name}", "auto.offset.reset": "earliest"})
    consumer.subscribe([name])
    found, deadline = [], time.monotonic() + patience
    while len(found) < count and time.monotonic() < deadline:
        for record in consumer.consume(1_000, 0.2):
            assert record.error() is None
            found.append((record.key().decode(), json.loads(record.value()), record.partition()))
    consumer.close()
    return found


def test_changes_of_a_twin_are_in_one_partition_in_order(kafka):
    name = topic(kafka, "sink-order")
    sink = KafkaSink("out", settings(kafka, name))
    sink.open()
    twins = [f"pump-{n}" for n in range(20)]
    sink.write([change(number, twin) for number in range(50) for twin in twins])
    sink.close()
    sink.close()
    found = records(kafka, name, 1_000)
    assert len(found) == 1_000
    assert len({partition for _, _, partition in found}) == 3
    for twin in twins:
        mine = [(value["commit"], partition) for key, value, partition in found if key == twin]
        assert [commit for commit, _ in mine] == list(range(50))
        assert len({partition for _, partition in mine}) == 1
    assert found[0][1] == change(found[0][1]["commit"], found[0][0]).as_json()


def test_what_can_not_be_reached_or_is_not_there_is_said_with_what_to_do(kafka):
    with pytest.raises(PlatformError, match="no topic 'nowhere'") as missing:
        KafkaSink("out", settings(kafka, "nowhere")).open()
    assert "--create" in (missing.value.remedy or "")
    gone = KafkaSinkSettings(bootstrap_servers="127.0.0.1:1", topic="t", connect_timeout="PT1S")
    with pytest.raises(PlatformError, match="Kafka"):
        KafkaSink("out", gone).open()
    with pytest.raises(PlatformError, match="not open"):
        KafkaSink("out", gone).write([change(1)])
    with pytest.raises(ValidationError, match="topic has 1 to 249"):
        settings(kafka, "a topic")


def test_a_platform_passes_on_what_it_takes_in_and_goes_on_after_a_kill(kafka, tmp_path):
    name = topic(kafka, "sink-up")
    toml = f'[sinks.bus]\ntype = "kafka"\nbootstrap_servers = "{kafka.servers}"\ntopic = "{name}"\nstart = "earliest"\n'
    folder = workspace(tmp_path / "w", "push", toml)

    def push(running, first):
        with running.client() as client:
            for number in range(first, first + 5):
                assert client.post("/v1/telemetry/push", content=encoded(number)).status_code == 200

    wanted = {encoded_time(number) for number in range(10)}
    with up(folder) as running:
        push(running, 0)
        until(lambda: running.client().get("/metrics").text.count('sink_changes_total{sink="bus"} 5.0'))
        running.kill()
    with up(folder) as running:
        push(running, 5)
        found = records(kafka, name, 10)
        until(lambda: {value["time"] for _, value, _ in found} == wanted or found.extend(records(kafka, name, 1, 5.0)))
    assert {key for key, _, _ in found} <= {"s0", "s1", "s2", "s3"}
    assert twinwright("state", workspace=folder).good["value"]


def encoded_time(number):
    stamp = json.loads(encoded(number))["ts"]
    return stamp if stamp.endswith("Z") else stamp.replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ('type = "kafca"\ntopic = "t"\nbootstrap_servers = "b:1"', "there is no sink 'kafca'"),
        ('type = "kafka"\nbootstrap_servers = "b:1"', "topic"),
        ('type = "kafka"\ntopic = "t"\nbootstrap_servers = "b:1"\nlanes = ["seen"]', "lanes"),
        ('type = "kafka"\ntopic = "t"\nbootstrap_servers = "b:1"\nstart = "now"', "start"),
        ('type = "kafka"\ntopic = "t"\nbootstrap_servers = "b:1"\ntopik = "t"', "topik"),
    ],
)
def test_a_wrong_section_is_told_with_its_line(section, says, tmp_path):
    folder = write(workspace(tmp_path / "w", "push"), {"twinwright.toml": f"[api]\nconsole = false\n[sinks.bus]\n{section}\n"})
    answer = twinwright("plan", workspace=folder)
    assert answer.code == 2
    problems = answer.json["error"]["details"] if "details" in answer.json["error"] else [answer.json["error"]]
    assert any(says in str(problem) and "twinwright.toml" in str(problem) for problem in problems), answer.out
