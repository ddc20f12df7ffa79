"""A suspect clock as senders and probes see it: 503 with Retry-After and nothing taken, reads served, an administrator's word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.api.conftest import BASE, BEGIN, TOKEN, reading, write_workspace

from twinwright.api import answers
from twinwright.api.app import create_app
from twinwright.api.tokens import TokenAuthority
from twinwright.clock import HOUR, SECOND, ManualClock, from_iso
from twinwright.errors import ForbiddenError
from twinwright.governance.principals import Principal
from twinwright.platform.local import LocalPlatform
from twinwright.platform.session import Session


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(from_iso(BEGIN))


@pytest.fixture
def stepped(tmp_path: Path, clock: ManualClock) -> Iterator[LocalPlatform]:
    platform = LocalPlatform(Session(write_workspace(tmp_path), clock))
    platform.apply()
    clock.step(-HOUR)
    yield platform
    platform.close()


@pytest.fixture
def client(stepped: LocalPlatform) -> Iterator[TestClient]:
    app = create_app(stepped, tokens=TokenAuthority(TOKEN), metrics=stepped.session.metrics)
    with TestClient(app, BASE, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        yield client


def test_a_sender_is_told_to_come_back_and_then_all_of_it_is_taken(client: TestClient, clock: ManualClock) -> None:
    refused = client.post("/v1/telemetry/pump", content=reading(1), headers={"content-type": "application/json"})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    error = refused.json()["error"]
    assert error["code"] == "ClockSuspect"
    assert "behind where it should be" in error["message"]
    assert client.get("/v1/kpis").json()["counts"]["received"] == 0
    clock.step(HOUR)
    taken = client.post("/v1/telemetry/pump", content=reading(1), headers={"content-type": "application/json"})
    assert (taken.status_code, taken.json()["accepted"]) == (200, 1)


def test_probes_status_and_metrics_say_so_and_reads_are_served(client: TestClient) -> None:
    assert client.get("/readyz").json() == {"status": "paused"}
    status = answers.Status.model_validate(client.get("/v1/status").json())
    assert (status.clock.suspect, status.clock.step_seconds, status.clock.resumes_in_seconds) == (True, -3600.0, 600.0)
    assert "twinwright_clock_suspect 1.0" in client.get("/metrics").text
    assert client.get("/digitaltwins/pump-1").status_code == 200


def test_an_administrator_may_say_that_it_is_right(client: TestClient, stepped: LocalPlatform, clock: ManualClock) -> None:
    assert client.get("/v1/clock").json()["suspect"] is True
    assert client.post("/v1/clock/trust").json()["suspect"] is False
    clock.advance(SECOND)
    assert client.get("/readyz").json() == {"status": "ok"}
    [audit] = [one.body for one in stepped.session.store.records(stepped.principal, "audit") if one.id.startswith("clock")]
    assert audit["step_seconds"] == -3600.0
    with pytest.raises(ForbiddenError):
        stepped.as_principal(Principal("someone", frozenset({"writer"}))).trust_clock()


def test_the_next_process_knows_of_the_step(stepped: LocalPlatform, tmp_path: Path, clock: ManualClock) -> None:
    stepped.close()
    session = Session(tmp_path, clock)
    try:
        assert session.pipeline.guard.status().suspect
    finally:
        session.close()
    kept = tmp_path / ".twinwright/clock.json"
    for text in (b"", b"{", b'{"boot": 5}', b"\xff" * 100):
        kept.write_bytes(text)
        session = Session(tmp_path, clock)  # of the commits only this is known: they were made later than now
        try:
            assert session.pipeline.guard.status().step == -HOUR
        finally:
            session.close()
