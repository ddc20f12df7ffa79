"""A platform that is killed in the middle of a submitted sweep: the next one goes on with it, and every member is run to its end once."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.acceptance.running import Running, Up, until
from tests.platform.slow_plant import slow_plant, sweep

from twinwright.governance.principals import Principal
from twinwright.platform import run_queue
from twinwright.platform.local import LocalPlatform
from twinwright.simulation.run_requests import RequestStore

COUNT = 40


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What a platform leaves that was killed with a part of a sweep done; and the id of that request, which it had said was taken."""
    folder = slow_plant(tmp_path_factory.mktemp("killed") / "plant")
    up = Up(folder)
    try:
        with up.client() as client:
            answer = client.post("/v1/runs", json=sweep(COUNT, 0.1, "now"), params={"priority": "high"})
            assert answer.status_code == 202, answer.text
            place = answer.headers["location"]
            waits = client.post("/v1/runs", json=sweep(1, 0.0)).json()
            assert (waits["status"], waits["ahead"]) == ("waiting", 1)
            until(lambda: client.get(place).json()["done"])
        up.kill()
    finally:
        for left in list(Running.alive):
            left.kill()
    (folder / ".twinwright" / "socket").unlink(missing_ok=True)  # can't be copied
    return folder, answer.json()["id"]


def finished(folder: Path, id: str) -> None:
    """Go on with what is left, and look: every request is done, and each member of the sweep was kept once."""
    platform = LocalPlatform.open(folder)
    try:
        before = len(platform.runs())
        assert 0 < before < COUNT
        assert platform.run_request(id)["status"] == "waiting"
        done = platform.watch_request(id)
        assert (done["status"], done["ok"], done["failed"]) == ("done", COUNT, 0)
        runs = platform.runs()
        assert Counter(tuple(run["sweep"].items()) for run in runs) == Counter({(("k", float(index)),): 1 for index in range(COUNT)})
        assert set(platform.session.queue.runs(platform.principal, id)) == {run["id"] for run in runs}
        assert [one["scenario"] for one in platform.run_requests() if one["status"] == "waiting"] == ["sweep"]
    finally:
        platform.close()


def test_every_member_is_done_once_over_a_kill(killed: tuple[Path, str], tmp_path: Path) -> None:
    folder, id = killed
    finished(shutil.copytree(folder, tmp_path / "plant"), id)


def test_a_platform_goes_on_by_itself(killed: tuple[Path, str], tmp_path: Path) -> None:
    folder, id = killed
    up = Up(shutil.copytree(folder, tmp_path / "plant"))
    try:
        with up.client() as client:
            until(lambda: _all_done(client))
            assert client.get(f"/v1/run-requests/{id}").json()["ok"] == COUNT
            assert client.get(f"/v1/run-requests/{id}/results", params={"format": "csv"}).text.count("\n") == 3 * COUNT + 1
            assert len(client.get("/v1/runs").json()["value"]) == COUNT + 1
    finally:
        assert up.stop() == 0


def _all_done(client: httpx.Client) -> bool:
    return {one["status"] for one in client.get("/v1/run-requests").json()["value"]} == {"done"}


def test_a_queue_that_resolves_a_request_anew_is_caught(killed: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`now` would be another time: what had ended would be run again."""
    folder, id = killed
    monkeypatch.setattr(run_queue, "from_iso", lambda text: _later(text))
    with pytest.raises(AssertionError):
        finished(shutil.copytree(folder, tmp_path / "plant"), id)


def _later(text: str) -> int:
    from twinwright.clock import SECOND, from_iso

    return from_iso(text) + SECOND


def test_a_queue_that_is_kept_in_memory_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request whose record is not written is gone with the process."""
    folder = slow_plant(tmp_path / "plant")
    remembered = RequestStore.add

    def add(self: RequestStore, principal: Principal, body: dict[str, Any], most: int) -> dict[str, Any]:
        with monkeypatch.context() as patch:
            patch.setattr(self, "_records", _Nowhere(self._records))
            return remembered(self, principal, body, most)

    for broken in (False, True):
        if broken:
            monkeypatch.setattr(RequestStore, "add", add)
        platform = LocalPlatform.open(folder)
        platform.apply()
        id = platform.submit_run(sweep(1, 0.0))["id"]
        platform.close()
        again = LocalPlatform.open(folder)
        assert (id in {one["id"] for one in again.run_requests()}) is not broken
        again.close()


class _Nowhere:
    """Reads from a store, and writes nowhere."""

    def __init__(self, store: Any) -> None:
        self.records, self.record_versions, self.last_commit = store.records, store.record_versions, store.last_commit

    def put_record(self, *_: Any) -> int:
        return 0
