"""SIGKILL at a thousand random instants in all, over HTTP, MQTT, Kafka and files, into either engine; power failures; and a fleet of
workers for longer."""

import random

import pytest
from tests.acceptance.test_kills import kill_over_files, kill_over_http, kill_over_kafka, kill_over_mqtt, on_postgres
from tests.acceptance.test_workers import check
from tests.faults.lossy_disk import compiled
from tests.faults.test_unsynced import fail_often
from tests.soak.shorter import amount

pytestmark = pytest.mark.soak
KILLS = amount("KILLS", 125)  # of each of eight


@pytest.fixture(params=["duckdb", "postgres"])
def store(request):
    return "" if request.param == "duckdb" else on_postgres(request.getfixturevalue("postgres"))


def test_http(store, tmp_path):
    kill_over_http(tmp_path, store, KILLS)


def test_files(store, tmp_path):
    kill_over_files(tmp_path, store, KILLS)


def test_mqtt(request, store, tmp_path):
    kill_over_mqtt(request.getfixturevalue("broker"), tmp_path, store, KILLS)


def test_kafka(request, store, tmp_path):
    kill_over_kafka(request.getfixturevalue("kafka"), tmp_path, store, KILLS)


def test_power_failures_of_a_platform(tmp_path):
    kill_over_http(tmp_path, "", KILLS, compiled(tmp_path))


@pytest.mark.parametrize("seed", range(5))
def test_power_failures_of_a_store(tmp_path, seed):
    fail_often(compiled(tmp_path), tmp_path, random.Random(seed), 1 + KILLS // 10, 12)


@pytest.mark.parametrize("seed", range(5))
def test_workers(request, seed, tmp_path):
    events = ("kill_one", "kill_one", "stop_one_past_its_rebalance", "crash_the_database")
    rng = random.Random(seed)
    plan = [(rng.randint(1, 3), rng.choice(events)) for _ in range(max(1, KILLS // 3))]
    check(tmp_path, request.getfixturevalue("kafka"), request.getfixturevalue("postgres"), plan, seed)
