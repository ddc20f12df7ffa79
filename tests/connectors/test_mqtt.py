"""MQTT against a real Mosquitto: every message once durable, none lost, whatever dies between."""

import subprocess
import threading
import time
from collections import Counter

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import ValidationError
from tests.connectors.certificates import make_certificates

from twinwright.connectors.conformance import Case, SourceConformance, marks_in, take
from twinwright.connectors.mqtt import MqttBinding, MqttSettings, MqttSource
from twinwright.connectors.runner import SourceRunner
from twinwright.documents import Spec
from twinwright.errors import PlatformError, StoreError, UsageError
from twinwright.observability.metrics import Metrics
from twinwright.telemetry.connector import Bound

pytestmark = pytest.mark.broker
versions = pytest.mark.parametrize("version", ["3.1.1", "5"])


def bound(topic="plant/{twin}/t", contract="c"):
    return Bound(contract, "json", MqttBinding(topic=topic))


def source(broker, *bounds, **settings):
    return MqttSource("plant", MqttSettings(host="127.0.0.1", port=broker.port, **settings), bounds or (bound(),))


def publish(broker, messages, qos=1, tls=None):
    """Messages (topic, body), and back only when the broker has them."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    if tls is not None:
        client.tls_set(tls)
    client.max_inflight_messages_set(500)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    sent = [client.publish(topic, body, qos) for topic, body in messages]
    for info in sent:
        info.wait_for_publish(20)
    client.disconnect()
    client.loop_stop()


def numbered(start, count):
    return [f"<{n}>".encode() for n in range(start, start + count)]


def send(broker, start, count, topic="plant/p/t"):
    marks = numbered(start, count)
    publish(broker, [(topic, mark) for mark in marks])
    return marks


def running(source, intake, **more):
    metrics = Metrics.create()
    runner = SourceRunner(source, "plant", (), intake, intake.positions, metrics, wait=lambda seconds: time.sleep(0.05), **more)
    runner.start()
    return runner, metrics


class TestMqtt5(SourceConformance):
    version = "5"

    @pytest.fixture
    def case(self, broker):
        fed = [0]

        def feed(count):
            fed[0] += count
            return send(broker, fed[0] - count, count)

        return Case(make=lambda: source(broker, version=self.version), feed=feed)


class TestMqtt311(TestMqtt5):
    version = "3.1.1"


@versions
def test_twenty_thousand_messages_arrive_once_each_and_the_broker_keeps_none(broker, intake, version):
    runner, _ = running(source(broker, version=version), intake)
    assert wait_until(lambda: runner.status().state == "up")
    begun = time.monotonic()
    marks = send(broker, 0, 20_000)
    assert intake.wait_for(lambda i: sum(len(d.payloads) for d in i.deliveries) >= 20_000)
    print(f"{20_000 / (time.monotonic() - begun):.0f} messages/s in {len(intake.deliveries)} deliveries")
    assert runner.stop(60)
    assert Counter(intake.bodies) == Counter(marks)
    again = source(broker, version=version)
    again.open(intake.positions)
    assert again.poll(0.5) is None
    again.close()


def wait_until(condition, timeout=60.0):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@versions
def test_what_was_taken_but_not_committed_when_the_consumer_died_comes_again(broker, intake, version):
    first = source(broker, version=version)
    first.open(intake.positions)
    marks = send(broker, 0, 500)
    case = Case(lambda: first, None, intake=intake)
    taken = take(case, first, marks, commit=False)
    assert set(marks_in(taken, marks)) == set(marks)
    first.committed(taken[0], intake.submit(taken[0]))
    first._connection._client.socket().close()  # the process dies: no goodbye
    second = source(broker, version=version)
    second.open(intake.positions)
    rest = set(marks) - {payload.body for payload in taken[0].payloads}
    deliveries = take(case, second, rest)
    assert set(marks_in(deliveries, marks)) >= rest
    assert set(intake.bodies) == set(marks)
    second.close()
    first.close()


@versions
def test_a_restarted_broker_is_found_again_and_nothing_is_lost(broker, intake, version):
    runner, metrics = running(source(broker, version=version), intake)
    marks = send(broker, 0, 300) if wait_until(lambda: runner.status().state == "up") else []
    assert intake.wait_for(lambda i: len(set(i.bodies)) == 300)
    broker.stop()
    assert wait_until(lambda: runner.status().state == "down")
    assert metrics.value("twinwright_connector_up", connector="plant") == 0
    broker.start()
    assert wait_until(lambda: runner.status().state == "up")
    marks += send(broker, 300, 300)
    assert intake.wait_for(lambda i: set(i.bodies) == set(marks))
    assert metrics.value("twinwright_connector_reconnects_total", connector="plant") >= 1
    assert runner.stop(60)


@versions
def test_what_is_published_while_nobody_listens_is_kept_for_us(broker, intake, version):
    one = source(broker, version=version)
    one.open(intake.positions)
    one.close()
    marks = send(broker, 0, 100)
    one.open(intake.positions)
    assert set(marks_in(take(Case(lambda: one, None, intake=intake), one, marks), marks)) == set(marks)
    one.close()


def test_an_acknowledgement_of_an_earlier_connection_is_not_sent_on_a_new_one(broker, intake):
    one = source(broker)
    one.open(intake.positions)
    case = Case(lambda: one, None, intake=intake)
    old = numbered(0, 10)
    publish(broker, [("plant/p/t", mark) for mark in old])
    stale = take(case, one, old, commit=False)
    one.close()
    one.open(intake.positions)
    take(case, one, old, commit=False)
    for delivery in stale:
        one.committed(delivery, intake.submit(delivery))
    one.close()
    one.open(intake.positions)
    assert set(marks_in(take(case, one, old), old)) == set(old)
    one.close()


def test_a_failing_store_gets_every_message_in_the_end(broker, intake):
    left = [3]

    def fail(delivery):
        if left[0]:
            left[0] -= 1
            raise StoreError("disk full")

    intake.fail = fail
    runner, _ = running(source(broker), intake)
    assert wait_until(lambda: runner.status().state == "up")
    marks = send(broker, 0, 200)
    assert intake.wait_for(lambda i: set(i.bodies) == set(marks))
    assert left == [0]
    assert runner.stop(60)


def test_captures_come_from_the_topic_and_each_contract_gets_its_own(broker, intake):
    one = source(broker, bound("plant/{twin}/t", "c"), bound("site/{site}/pump-{unit}", "pumps"), bound("plant/#", "all"))
    one.open(intake.positions)
    publish(
        broker,
        [
            ("plant/p-1/t", b"<1>"),
            ("site/north/pump-7", b"<2>"),
            ("site/north/fan-7", b"<not ours>"),
            ("plant/p-1/other", b"<3>"),
            ("else", b"<4>"),
        ],
    )
    deliveries = take(Case(lambda: one, None, intake=intake), one, [b"<1>", b"<2>", b"<3>"])
    one.close()
    seen = sorted((d.contract, p.body, tuple(p.captures.items())) for d in deliveries for p in d.payloads)
    assert seen == [
        ("all", b"<1>", ()),
        ("all", b"<3>", ()),
        ("c", b"<1>", (("twin", "p-1"),)),
        ("pumps", b"<2>", (("site", "north"), ("unit", "7"))),
    ]
    one.open(intake.positions)
    assert one.poll(0.3) is None  # a topic that the filter covers and no template does is acknowledged too
    one.close()


@versions
def test_a_shared_subscription_is_shared_out_and_all_of_it_arrives(broker, intake, version):
    """Two platforms, one group: each message goes to one of them (Mosquitto shares for 3.1.1 too)."""
    both = [source(broker, bound("$share/group/plant/{twin}/t"), client_id=name, version=version) for name in ("a", "b")]
    for one in both:
        one.open(intake.positions)
    marks = send(broker, 0, 100)
    deliveries, parts = [], [0, 0]
    deadline = time.monotonic() + 60
    while sum(parts) < len(marks) and time.monotonic() < deadline:
        for index, one in enumerate(both):
            if (delivery := one.poll(0.1)) is not None:
                deliveries.append(delivery)
                parts[index] += len(delivery.payloads)
                one.committed(delivery, intake.submit(delivery))
    assert Counter(intake.bodies) == Counter(marks)
    assert all(parts)
    assert {payload.captures["twin"] for delivery in deliveries for payload in delivery.payloads} == {"p"}
    for one in both:
        one.close()


def test_over_tls_large_batches_come_whole(broker, intake, tmp_path):
    secured(broker, tmp_path)
    one = source(broker, tls={"ca": str(tmp_path / "ca.pem")})
    one.open(intake.positions)
    marks = [mark + b"x" * 3_000 for mark in numbered(0, 400)]  # more than is read at once, many records of TLS
    publish(broker, [("plant/p/t", mark) for mark in marks], tls=str(tmp_path / "ca.pem"))
    seen = Counter()
    while sum(seen.values()) < len(marks):
        delivery = one.poll(60)
        seen.update(payload.body for payload in delivery.payloads)
        one.committed(delivery, intake.submit(delivery))
    assert seen == Counter(marks)
    one.close()
    one.open(intake.positions)
    assert one.poll(0.3) is None
    one.close()


def test_a_message_for_two_contracts_is_acknowledged_when_both_have_it(broker, intake):
    one = source(broker, bound("plant/{twin}/t", "c"), bound("plant/{twin}/+", "d"))
    one.open(intake.positions)
    publish(broker, [("plant/p/t", b"<1>")])
    first, second = (one.poll(5), one.poll(5))
    assert {first.contract, second.contract} == {"c", "d"}
    one.committed(first, intake.submit(first))
    one.close()
    one.open(intake.positions)
    again = [one.poll(5), one.poll(5)]
    assert {delivery.contract for delivery in again} == {"c", "d"}
    for delivery in again:
        one.committed(delivery, intake.submit(delivery))
    one.close()
    one.open(intake.positions)
    assert one.poll(0.3) is None
    one.close()


def test_a_slow_store_bounds_what_is_in_memory_and_loses_nothing(broker, intake):
    one = source(broker, version="3.1.1", buffer_bytes=20_000, batch=50)
    one.open(intake.positions)
    bodies = [f"<{n}>".encode() + b"x" * 1_000 for n in range(300)]
    publish(broker, [("plant/p/t", body) for body in bodies])
    connection = one._connection
    assert wait_until(lambda: connection._bytes >= 20_000)
    time.sleep(0.5)  # for more to come, were it not for the bound
    assert connection._bytes <= 20_000 + 1_010
    while (delivery := one.poll(1.0)) is not None:
        assert connection._bytes <= 20_000 + 1_010
        one.committed(delivery, intake.submit(delivery))
    assert Counter(intake.bodies) == Counter(bodies)
    one.close()


def test_closing_while_the_buffer_is_full_ends_at_once(broker, intake):
    one = source(broker, version="3.1.1", buffer_bytes=1_024)
    one.open(intake.positions)
    publish(broker, [("plant/p/t", b"x" * 1_000)] * 20)
    assert wait_until(lambda: one._connection._bytes >= 1_000)
    closing = threading.Thread(target=one.close)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()


def test_fire_and_forget_messages_come_too(broker, intake):
    one = source(broker)
    one.open(intake.positions)
    publish(broker, [("plant/p/t", b"<1>")], qos=0)
    (delivery,) = take(Case(lambda: one, None, intake=intake), one, [b"<1>"])
    assert delivery.payloads[0].body == b"<1>"
    one.close()


def test_a_broker_that_is_not_there_says_where(intake):
    one = MqttSource("plant", MqttSettings(host="127.0.0.1", port=1, connect_timeout="PT1S"), (bound(),))
    with pytest.raises(PlatformError, match=r"mqtt://127\.0\.0\.1:1: it can't be reached"):
        one.open(intake.positions)
    one.close()
    with pytest.raises(PlatformError, match="not open"):
        one.poll(0)


@pytest.fixture
def guarded(broker):
    """The broker again, with a user and a password."""
    users = broker.folder / "users"
    users.touch()
    made = subprocess.run(["mosquitto_passwd", "-b", str(users), "ann", "right"], capture_output=True, check=False)
    assert made.returncode == 0, made.stderr
    users.chmod(0o644)
    conf = broker.folder / "mosquitto.conf"
    conf.write_text(conf.read_text().replace("allow_anonymous true", f"allow_anonymous false\npassword_file {users}"))
    broker.stop()
    broker.start()
    return broker


def test_a_password_comes_from_the_environment_and_a_wrong_one_is_refused(guarded, intake, monkeypatch):
    monkeypatch.setenv("PLANT_PASSWORD", "right")
    one = source(guarded, username="ann", password_env="PLANT_PASSWORD")
    one.open(intake.positions)
    assert one.poll(0.1) is None
    one.close()
    monkeypatch.setenv("PLANT_PASSWORD", "wrong")
    for version in ("5", "3.1.1"):
        with pytest.raises(PlatformError, match="refuses the connection"):
            source(guarded, username="ann", password_env="PLANT_PASSWORD", version=version).open(intake.positions)
    monkeypatch.delenv("PLANT_PASSWORD")
    with pytest.raises(UsageError, match="PLANT_PASSWORD is not set"):
        source(guarded, username="ann", password_env="PLANT_PASSWORD").open(intake.positions)


def test_a_second_platform_with_the_same_client_id_takes_over_and_the_remedy_names_it(broker, intake):
    one, two = source(broker), source(broker)
    one.open(intake.positions)
    two.open(intake.positions)
    with pytest.raises(PlatformError, match="client_id"):
        one.poll(5)
    one.close()
    two.close()


def secured(broker, tmp_path):
    """The broker again, over TLS."""
    make_certificates(tmp_path)
    conf = broker.folder / "mosquitto.conf"
    for name in ("ca.pem", "server.pem", "server.key"):
        (broker.folder / name).write_bytes((tmp_path / name).read_bytes())
    conf.write_text(
        conf.read_text() + f"cafile {broker.folder}/ca.pem\ncertfile {broker.folder}/server.pem\nkeyfile {broker.folder}/server.key\n"
    )
    broker.stop()
    broker.start()


def test_tls_is_checked_against_the_authority(broker, intake, tmp_path):
    secured(broker, tmp_path)
    one = source(broker, tls={"ca": str(tmp_path / "ca.pem")})
    one.open(intake.positions)
    assert one.poll(0.1) is None
    one.close()
    with pytest.raises(PlatformError, match="certificate verify failed"):
        source(broker, tls={}).open(intake.positions)
    with pytest.raises(UsageError, match="TLS files"):
        source(broker, tls={"ca": str(tmp_path / "gone.pem")}).open(intake.positions)
    with pytest.raises(UsageError, match="TLS files"):
        source(broker, tls={"certificate": str(tmp_path / "gone.pem")}).open(intake.positions)


@pytest.mark.parametrize("settings", [{"port": 0}, {"version": "4"}, {"password": "in the file"}, {"keepalive": 30}])
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        MqttSettings(**settings)


def test_a_wrong_topic_is_refused_with_its_remedy():
    with pytest.raises(ValidationError, match="Put # last"):
        MqttBinding(topic="a/#/b")
    with pytest.raises(UsageError, match="contract 'c'"):
        MqttSource("plant", MqttSettings(), (Bound("c", "json", Spec()),))
