"""How many bytes of bodies are in memory is bounded over all requests, and who is refused has had nothing taken."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.api.conftest import BASE, TOKEN, reading

from twinwright.api.app import create_app
from twinwright.api.body_bytes import MOST_BODY_BYTES, BodyBytes
from twinwright.api.tokens import TokenAuthority
from twinwright.platform.local import LocalPlatform
from twinwright.telemetry.payloads import MAX_PAYLOAD_BYTES

MOST = 2_000_000
LARGE = reading(1) + b" " * 600_000
AUTHORIZED = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}


class Held(LocalPlatform):
    """Pushes wait at a gate, and are counted there."""

    gate: threading.Event
    waiting: list[int]

    def as_principal(self, principal: Any) -> Held:
        return self

    def push(self, contract: str, payloads: Any, **options: Any) -> Any:
        self.waiting.append(len(payloads[0].body))
        assert self.gate.wait(60)
        return super().push(contract, payloads, **options)


@pytest.fixture
def held(platform: LocalPlatform) -> Held:
    made = Held(platform.session)
    made.gate, made.waiting = threading.Event(), []
    return made


@pytest.fixture
def bounded(held: Held) -> Iterator[TestClient]:
    app = create_app(held, tokens=TokenAuthority(TOKEN), metrics=held.session.metrics)
    inner = app.app.app
    assert isinstance(inner, BodyBytes) and inner.most == MOST_BODY_BYTES >= 4 * MAX_PAYLOAD_BYTES
    inner.most = MOST
    with TestClient(app, BASE, headers=AUTHORIZED, raise_server_exceptions=False) as one:
        yield one


def metric(held: Held, name: str) -> float:
    return held.session.metrics.value(f"twinwright_http_{name}")


def received(held: Held) -> int:
    return int(held.session.store.counts(held.principal)["pump"].received)


def until(check: Any) -> None:
    deadline = time.monotonic() + 60
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_too_much_at_once_is_refused_and_taken_when_there_is_room(bounded: TestClient, held: Held) -> None:
    before, refused_before = received(held), metric(held, "bodies_refused_total")
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(bounded.post, "/v1/telemetry/pump", content=LARGE) for _ in range(3)]
        until(lambda: len(held.waiting) == 3)
        assert metric(held, "body_bytes") == 3 * len(LARGE) <= MOST
        refused = bounded.post("/v1/telemetry/pump", content=LARGE)
        assert (refused.status_code, refused.json()["error"]["code"], refused.headers["retry-after"]) == (429, "TooManyRequests", "1")
        assert metric(held, "bodies_refused_total") == refused_before + 1
        assert bounded.get("/v1/twins").status_code == 200  # what has no body is not concerned
        held.gate.set()
        assert [one.result().status_code for one in answers] == [200] * 3
    assert received(held) == before + 3
    assert metric(held, "body_bytes") == 0
    assert bounded.post("/v1/telemetry/pump", content=LARGE).status_code == 200


def test_a_small_body_counts_as_what_it_becomes(bounded: TestClient, held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinwright.api.bodies.MAX_PAYLOAD_BYTES", 700_000)
    packed = gzip.compress(LARGE)
    assert len(packed) < 10_000
    with ThreadPoolExecutor(3) as pool:
        headers = {"content-encoding": "gzip"}
        answers = [pool.submit(bounded.post, "/v1/telemetry/pump", content=packed, headers=headers) for _ in range(3)]
        until(lambda: len(held.waiting) == 3)
        assert metric(held, "body_bytes") == 3 * len(LARGE)
        assert bounded.post("/v1/telemetry/pump", content=packed, headers=headers).status_code == 429
        held.gate.set()
        assert [one.result().status_code for one in answers] == [200] * 3
    assert metric(held, "body_bytes") == 0


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"x" * (MOST + 1), {}, 429),
        (b"{" * 1000, {"content-encoding": "gzip"}, 429),  # it might become 16 MiB
        (b"x", {"content-type": "image/png"}, 415),
    ],
)
def test_what_fails_gives_its_bytes_back(content: bytes, headers: dict[str, str], status: int, bounded: TestClient, held: Held) -> None:
    held.gate.set()
    assert bounded.post("/v1/telemetry/pump", content=content, headers=headers).status_code == status
    assert metric(held, "body_bytes") == 0
