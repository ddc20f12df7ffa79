"""SIGKILL at a thousand random instants in all, over HTTP, MQTT, Kafka and files, into either engine; and a fleet of workers for longer."""

import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from tests.acceptance.conftest import broker, kafka, nothing_left_running, one_kafka, postgres  # noqa: F401 - fixtures
from tests.acceptance.test_kills import kill_over_files, kill_over_http, kill_over_kafka, kill_over_mqtt, on_postgres
from tests.acceptance.test_workers import check

pytestmark = pytest.mark.soak
KILLS = 125  # of each of eight


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


@pytest.mark.parametrize("seed", range(5))
def test_workers(request, seed, tmp_path):
    events = ("kill_one", "kill_one", "stop_one_past_its_rebalance", "crash_the_database")
    rng = random.Random(seed)
    plan = [(rng.randint(1, 3), rng.choice(events)) for _ in range(40)]
    check(tmp_path, request.getfixturevalue("kafka"), request.getfixturevalue("postgres"), plan, seed)
