"""A worker beside a platform over one store: what one applies the other serves, and what one takes in the other shows."""

import json
import time

import pytest
from tests.acceptance.running import twinwright, write
from tests.acceptance.test_kills import encoded, workspace

from twinwright.errors import FenceError, UsageError
from twinwright.governance.principals import LOCAL_ADMIN, SYSTEM
from twinwright.platform.local import LocalPlatform
from twinwright.platform.session import Session
from twinwright.telemetry.payloads import Delivery, Payload, Position

TWICE = """
name: twice
revision: 1
interface: dtmi:test:Sensor;1
output: {path: twice}
inputs: {t: {path: temperature}}
expression: t
"""


@pytest.fixture
def folder(postgres, tmp_path):
    return workspace(tmp_path / "w", "push", f'[store]\nengine = "postgres"\ndsn = "{postgres.dsn()}"\nschema = "{postgres.schema()}"\n')


@pytest.fixture
def platform(folder):
    platform = LocalPlatform.open(folder)
    yield platform
    platform.close()


@pytest.fixture
def worker(platform, folder):
    session = Session(folder, worker=True)
    yield session
    session.close()


def deliver(session, *bodies, positions=()):
    return session.pipeline.submit(Delivery("push", tuple(Payload(body) for body in bodies), positions))


def soon(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_a_worker_took_in_is_shown_at_once_and_known_to_be_a_duplicate(platform, worker):
    receipt = deliver(worker, encoded(0), encoded(1))
    assert platform.state("s1", after=receipt.token)["temperature"] == 1.0
    assert platform.push("push", [Payload(encoded(1)), Payload(encoded(5))]).duplicate == 1
    assert deliver(worker, encoded(5)).duplicate == 1
    assert platform.kpi()["counts"] == {"received": 5, "accepted": 3, "duplicate": 2, "dead_lettered": 0}


def test_what_a_platform_applies_a_worker_takes_in_by(platform, worker, folder):
    told = []
    worker.on_apply.append(lambda: told.append(worker.served.applied.contracts["push"].revision))
    new_twin = {"s": 4, "ts": "2026-03-01T00:00:00Z", "t": 1.0}
    assert deliver(worker, json.dumps(new_twin).encode()).dead_lettered == {"unknown_twin": 1}
    contract = (folder / "contracts/push.yaml").read_text()
    twins = (folder / "twins.yaml").read_text() + "  - {$dtId: s4, $metadata: {$model: 'dtmi:test:Sensor;1'}}\n"
    write(folder, {"twins.yaml": twins, "contracts/push.yaml": contract.replace("revision: 1", "revision: 2")})
    platform.apply()
    assert deliver(worker, json.dumps(new_twin).encode()).accepted == 1  # prepared under the old revision or not
    assert platform.state("s4")["temperature"] == 1.0
    soon(lambda: told)
    assert told == [2]


def test_an_idle_worker_hears_of_an_apply(platform, worker, folder):
    contract = (folder / "contracts/push.yaml").read_text()
    write(folder, {"contracts/push.yaml": contract.replace("revision: 1", "revision: 2")})
    platform.apply()
    soon(lambda: worker.pipeline.contract("push").revision == 2)


def test_what_is_derived_follows_what_a_worker_took_in(platform, worker, folder):
    platform.session.derived.start()  # as `up` does
    schema = json.loads((folder / "schema/sensor.json").read_text())
    schema["contents"].append({"@type": "Property", "name": "twice", "schema": "double", "unit": "degreeCelsius"})
    schema["contents"][-1]["@type"] = ["Property", "Temperature"]
    write(folder, {"schema/sensor.json": json.dumps(schema), "derived/twice.yaml": TWICE})
    platform.apply()
    deliver(worker, encoded(4))
    soon(lambda: platform.state("s0", lane="derived").get("twice") == 4.0)


def test_a_position_is_moved_by_one_of_two(platform, worker):
    deliver(worker, encoded(0), positions=(Position("log", 0, 1),))
    with pytest.raises(FenceError):
        platform.session.pipeline.submit(Delivery("push", (Payload(encoded(0)),), (Position("log", 0, 1),)))
    assert platform.session.store.position(SYSTEM, "push", "log") == 1


def test_a_replay_by_the_platform_is_known_to_the_worker(platform, worker):
    deliver(worker, encoded(0), encoded(1))
    assert platform.replay()["accepted"] == 2
    assert deliver(worker, encoded(0)).duplicate == 1
    assert platform.reconcile()["inconsistent"] == 0
    assert [worker.state.reconcile("push")[1]] == [0]


def test_a_worker_writes_no_clock_and_derives_nothing(platform, folder):
    session = Session(folder, worker=True)
    before = session.store.last_commit(LOCAL_ADMIN)
    (folder / ".twinwright/clock.json").unlink(missing_ok=True)
    session.close()
    assert platform.session.store.last_commit(LOCAL_ADMIN) == before
    assert not (folder / ".twinwright/clock.json").exists()


def test_what_can_not_be_shared_is_told(platform, folder, tmp_path):
    embedded = workspace(tmp_path / "embedded", "push")
    with pytest.raises(UsageError, match="one process's"):
        Session(embedded, worker=True)
    told = twinwright("worker", workspace=embedded)
    assert told.code == 2
    assert 'engine = "postgres"' in told.json["error"]["message"]
    inbox = '\n[connectors.inbox]\ntype = "files"\nfolder = "/tmp"\n'
    for text, options, says in (
        ("", (), "no connector of the workspace can be shared"),
        (inbox, (), "no connector of the workspace can be shared"),
        (inbox, ("--connector", "inbox"), "two processes would both read all of 'inbox'"),
        (inbox, ("--connector", "nobody"), "there is no connector 'nobody'"),
    ):
        write(folder, {"twinwright.toml": (folder / "twinwright.toml").read_text().split("\n[connectors")[0] + text})
        told = twinwright("worker", *options, workspace=folder)
        assert (told.code, says in told.json["error"]["message"]) == (2, True)


def test_a_worker_of_a_store_to_which_nothing_is_applied_says_so(postgres, tmp_path):
    store = f'[store]\nengine = "postgres"\ndsn = "{postgres.dsn()}"\nschema = "{postgres.schema()}"\n'
    told = twinwright("worker", workspace=write(tmp_path, {"twinwright.toml": store}))
    assert told.code == 2
    assert "nothing is applied" in told.json["error"]["message"]
