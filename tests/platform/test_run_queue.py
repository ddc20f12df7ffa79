"""What is submitted is remembered as it was asked, run in its turn, watched, cancelled and fetched."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tests.acceptance.running import until, write
from tests.platform.slow_plant import SLOW_PY, slow_plant, sweep

from twinwright.errors import InvalidError, NotFoundError, PlatformError, QueueFullError, RefusedError, TooLargeError
from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.platform import run_queue
from twinwright.platform.local import LocalPlatform
from twinwright.simulation.run_requests import MOST_LIVES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return slow_plant(tmp_path / "plant")


@pytest.fixture
def plant(folder: Path) -> Iterator[LocalPlatform]:
    platform = LocalPlatform.open(folder)
    platform.apply()
    yield platform
    platform.close()


def test_requests_run_by_priority_and_are_fetched(plant: LocalPlatform) -> None:
    low, normal, high = (plant.submit_run(sweep(count), priority=level) for count, level in ((1, "low"), (2, "normal"), (3, 50)))
    assert [one["id"] for one in plant.run_requests()] == [high["id"], normal["id"], low["id"]]
    assert [one["ahead"] for one in plant.run_requests()] == [0, 1, 2]
    assert (low["status"], low["total"], low["ahead"], high["ahead"], high["done"]) == ("waiting", 1, 0, 0, 0)
    with pytest.raises(RefusedError, match="the request is waiting"):
        plant.request_results(high["id"])
    told: list[tuple[int, int]] = []
    done = plant.watch_request(normal["id"][:8], progress=lambda *far: told.append(far))
    assert (done["status"], done["ok"], done["failed"], done["done"], done["ahead"]) == ("done", 2, 0, 2, None)
    assert told[0] == (0, 2) and told[-1] == (2, 2)
    assert [one["status"] for one in plant.run_requests()] == ["waiting", "done", "done"]  # what was before it has run, too
    table = pq.read_table(io.BytesIO(plant.request_results(high["id"])))
    assert table.column_names == ["run", "twin", "member", "sweep.k", "time", "y"]
    assert table["y"].to_pylist() == [0.0] * 3 + [2.0] * 3 + [4.0] * 3 and table.schema.field("y").metadata == {b"unit": b"V"}
    text = pyarrow.csv.read_csv(io.BytesIO(plant.request_results(high["id"], format="csv")))
    assert text.column_names[-1] == "y [V]" and text.num_rows == 9
    again = plant.simulate(sweep(3))["runs"]  # the same digests
    assert all(run["reused"] for run in again) and {run["id"] for run in again} == set(table["run"].to_pylist())


def test_a_request_is_what_was_asked_when_it_was(plant: LocalPlatform, folder: Path) -> None:
    """The files of the folder, what is applied and the clock go on; a request that waits does not."""
    write(folder, {"scenarios/given.yaml": _given(), "scenarios/u.csv": "time,value\n0,1\n2,3\n"})
    taken = plant.submit_run("given")
    expected = plant.simulate("given")["runs"]
    write(folder, {"scenarios/given.yaml": _given().replace("[1, 2]", "[7, 8]"), "scenarios/u.csv": "time,value\n0,9\n2,9\n"})
    write(folder, {"models/slow.py": SLOW_PY.replace("p[1] * u[0]", "p[1] + u[0]")})
    plant.apply()
    assert plant.watch_request(taken["id"])["status"] == "done"
    assert plant.session.queue.runs(LOCAL_ADMIN, taken["id"]) == [run["id"] for run in expected]


def _given() -> str:
    return (
        "name: given\nmodel: slow\ntwin: pump-1\nfrom: 2026-03-01T08:00:00Z\nhorizon: PT2S\n"
        "inputs: {u: {series: u.csv, unit: V}}\nparameters: {seconds: 0}\nsweep: {k: [1, 2]}\n"
    )


def test_history_is_as_known_when_it_was_asked(plant: LocalPlatform) -> None:
    from tests.api.conftest import reading

    from twinwright.telemetry.payloads import Payload

    plant.push("pump", [Payload(b"\n".join(reading(5 * k, 200.0, u=2.0) for k in range(30)))])
    asked = {**sweep(1, 0.0), "horizon": "PT1M", "inputs": {}}
    taken = plant.submit_run(asked)
    expected = plant.simulate(asked)["runs"][0]
    plant.push("pump", [Payload(b"\n".join(reading(5 * k + 2, 200.0, u=5.0) for k in range(30)))])
    assert plant.simulate(asked)["runs"][0]["digest"] != expected["digest"]
    plant.watch_request(taken["id"])
    assert plant.session.queue.runs(LOCAL_ADMIN, taken["id"]) == [expected["id"]]


def test_fresh_is_run_again_once(plant: LocalPlatform) -> None:
    before = {run["id"] for run in plant.simulate(sweep(2, 0.0))["runs"]}
    plant.watch_request(plant.submit_run(sweep(2, 0.0))["id"])
    assert {run["id"] for run in plant.runs()} == before
    plant.watch_request(plant.submit_run(sweep(2, 0.0), fresh=True)["id"])
    assert len(plant.runs()) == 4


def test_what_waits_and_what_runs_can_be_cancelled(plant: LocalPlatform) -> None:
    long, waits = plant.submit_run(sweep(500, 0.2)), plant.submit_run(sweep(1))
    plant.resume_runs()
    far = until(lambda: (now := plant.run_request(long["id"]))["done"] and now)
    assert far["status"] == "running" and far["eta_seconds"] > 0
    assert plant.cancel_request(waits["id"])["status"] == "cancelled"
    assert plant.cancel_request(long["id"])["status"] == "cancelled"
    after = plant.submit_run(sweep(1, 0.0))
    assert plant.watch_request(after["id"])["status"] == "done"  # the line moves on at once
    assert plant.run_request(long["id"])["status"] == "cancelled" and 1 < len(plant.runs()) < 500
    with pytest.raises(RefusedError, match="Only one that waits or runs"):
        plant.cancel_request(long["id"])
    with pytest.raises(RefusedError, match="the request is cancelled"):
        plant.request_results(long["id"])


def test_what_is_wrong_is_said_before_it_is_taken(plant: LocalPlatform, folder: Path) -> None:
    with pytest.raises(InvalidError, match="there is no model 'slaw'"):
        plant.submit_run({**sweep(1), "model": "slaw"})
    with pytest.raises(TooLargeError, match="runs"):
        plant.submit_run({**sweep(1), "sweep": {"lhs": 60_000, "k": [0, 1]}, "ensemble": {"size": 2}})
    with pytest.raises(NotFoundError):
        plant.submit_run("nothing")
    write(folder, {"twinwright.toml": "[api]\nconsole = false\n[simulation]\nqueue = 1\n"})
    plant.submit_run(sweep(1))
    with pytest.raises(QueueFullError):
        plant.submit_run(sweep(1))


def test_a_request_that_cannot_be_resolved_fails_and_the_next_one_runs(plant: LocalPlatform) -> None:
    bad = plant.submit_run({**sweep(1), "inputs": {}})  # nothing was ever observed of it
    good = plant.submit_run(sweep(1, 0.0))
    assert plant.watch_request(good["id"])["status"] == "done"
    failed = plant.run_request(bad["id"])
    assert failed["status"] == "failed" and failed["error"]["message"]


def test_a_request_with_which_the_platform_always_ends_is_given_up(plant: LocalPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the machine is too small for it: the platform would never come up again."""

    def away(*_: object, **__: object) -> None:
        raise PlatformError("the machine is away")

    taken = plant.submit_run(sweep(1))
    with monkeypatch.context() as patch:
        patch.setattr(type(plant.session.served.simulation), "simulate", away)
        for _ in range(MOST_LIVES):
            with pytest.raises(PlatformError, match="away"):
                plant.watch_request(taken["id"])
    waits = plant.run_request(taken["id"])
    assert waits["status"] == "waiting" and "away" in waits["error"]["message"]
    assert "3 times without having kept a run of it (the machine is away)" in plant.watch_request(taken["id"])["error"]["message"]


def test_a_platform_that_stops_leaves_the_rest_to_the_next_one(folder: Path) -> None:
    first = LocalPlatform.open(folder)
    first.apply()
    first.resume_runs()
    taken = first.submit_run(sweep(40, 0.1))
    until(lambda: first.run_request(taken["id"])["done"])
    watcher = threading.Thread(target=_watched, args=(first, taken["id"]))
    watcher.start()
    first.close()
    watcher.join(60)
    assert not watcher.is_alive()
    second = LocalPlatform.open(folder)
    try:
        kept = len(second.runs())
        assert 0 < kept < 40
        assert second.watch_request(taken["id"])["ok"] == 40
        assert len(second.runs()) == 40
    finally:
        second.close()


def _watched(platform: LocalPlatform, id: str) -> None:
    with pytest.raises(PlatformError):
        platform.watch_request(id)


def test_a_cancel_is_not_undone_by_what_is_noted_of_the_run(plant: LocalPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that notes how often it began without looking is caught."""

    def check() -> None:
        taken = plant.submit_run(sweep(2, 0.0), fresh=True)
        plant.watch_request(taken["id"], progress=lambda done, _: done == 1 and cancelled.append(plant.cancel_request(taken["id"])))
        assert plant.run_request(taken["id"])["status"] == "cancelled"

    cancelled: list[object] = []
    queue = run_queue.RunQueue
    with monkeypatch.context() as patch:
        body = plant.session.queue._requests
        patch.setattr(
            queue, "_finish", lambda self, who, what, status, **more: body.finish(who, what, status, "2026-03-01T08:00:00Z", **more)
        )
        with pytest.raises(AssertionError):
            check()
    check()
    assert cancelled
