"""Bodies, threads and failures: what is too much is refused in the one shape that errors have, and nothing breaks."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import example, given
from hypothesis import strategies as st

from twinwright.api import bodies
from twinwright.api.app import create_app
from twinwright.api.bodies import nesting
from twinwright.api.compression import gunzip
from twinwright.api.serving import Serving
from twinwright.api.tokens import TokenAuthority
from twinwright.api.workers import Workers
from twinwright.errors import BusyError, PlatformError, StoreError, TooLargeError, TwinwrightError, UsageError
from twinwright.observability.logs import correlated, current_correlation
from twinwright.platform.local import LocalPlatform
from twinwright.telemetry.payloads import MAX_PAYLOAD_BYTES

TOKEN = "a-token-of-tests-that-is-long-enough"
BASE = "http://127.0.0.1:8080"


def error_of(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body.keys() == {"error"} and {"code", "message", "correlation_id"} <= body["error"].keys()
    assert body["error"]["correlation_id"] == response.headers["x-correlation-id"]
    assert "Traceback" not in response.text and 'File "' not in response.text
    return body["error"]


# --- one shape -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NotFound"),
        ("GET", "/digitaltwins/nobody", 404, "DigitalTwinNotFound"),
        ("GET", "/v1/twins/nobody/paths", 404, "DigitalTwinNotFound"),
        ("GET", "/v1/history/pump-1/nothing", 404, "NotFound"),
        ("GET", "/v1/runs/nothing", 404, "NotFound"),
        ("POST", "/v1/runs/nothing/verify", 404, "NotFound"),
        ("GET", "/v1/parameter-sets/nothing", 404, "NotFound"),
        ("GET", "/v1/reports/nothing", 404, "NotFound"),
        ("GET", "/v1/dead-letters/999999", 404, "NotFound"),
        ("POST", "/v1/telemetry/nothing", 404, "NotFound"),
        ("PUT", "/v1/twins", 405, "MethodNotAllowed"),
        ("GET", "/v1/history/pump-1/pressure?from=yesterday", 400, "InvalidArgument"),
        ("GET", "/v1/history/pump-1/pressure?unit=furlong", 400, "UnitInvalid"),
        ("GET", "/v1/history/pump-1/pressure?every=1h", 400, "InvalidArgument"),
        ("GET", "/v1/kpis?window=long", 400, "InvalidArgument"),
        ("GET", "/v1/dead-letters?limit=0", 422, "ValidationFailed"),
        ("GET", "/v1/dead-letters/first", 404, "NotFound"),
        ("GET", "/v1/twins?after=-1", 422, "ValidationFailed"),
        ("POST", "/v1/scenarios", 400, "InvalidArgument"),
    ],
)
def test_every_error_has_the_one_shape(client: TestClient, method: str, path: str, status: int, code: str) -> None:
    assert error_of(client.request(method, path), status)["code"] == code


def test_a_refused_method_is_told_the_allowed_ones(client: TestClient) -> None:
    assert client.delete("/v1/twins").headers["allow"] == "GET"


def test_errors_before_any_route_have_the_same_shape(anonymous: TestClient, client: TestClient) -> None:
    answer = anonymous.get("/v1/twins")
    assert error_of(answer, 401)["code"] == "Unauthenticated" and answer.headers["www-authenticate"].startswith("Bearer")
    error_of(anonymous.get("/v1/twins", headers={"host": "evil.example"}), 421)
    error_of(client.post("/v1/scenarios", headers={"origin": "http://evil.example"}), 403)
    error_of(client.get("/v1/twins", headers={"x-long": "x" * 40_000}), 431)
    error_of(anonymous.get("/login"), 422)


def test_a_correlation_id_is_taken_from_the_client_and_made_harmless(client: TestClient) -> None:
    assert client.get("/v1/twins", headers={"x-correlation-id": "order-7"}).headers["x-correlation-id"] == "order-7"
    assert client.get("/v1/twins", headers={"x-ms-client-request-id": "a b<c>"}).headers["x-correlation-id"] == "abc"
    assert len(client.get("/v1/twins").headers["x-correlation-id"]) == 16


class Failing(LocalPlatform):
    """The real platform, but for one method that fails as a test says."""

    error: BaseException = RuntimeError("secret detail")

    def as_principal(self, principal: Any) -> Failing:
        return self

    def twins(self) -> list[dict[str, Any]]:
        raise self.error


@pytest.fixture
def failing(platform: LocalPlatform) -> Iterator[tuple[TestClient, Failing]]:
    broken = Failing(platform.session)
    app = create_app(broken, tokens=TokenAuthority(TOKEN), metrics=platform.session.metrics)
    with TestClient(app, BASE, headers={"authorization": f"Bearer {TOKEN}"}, raise_server_exceptions=False) as client:
        yield client, broken


def test_what_nobody_foresaw_is_logged_and_not_told(failing: tuple[TestClient, Failing], caplog: pytest.LogCaptureFixture) -> None:
    client, _ = failing
    error = error_of(client.get("/v1/twins"), 500)
    assert "secret detail" not in json.dumps(error)
    assert error["correlation_id"] in error["message"]
    assert "secret detail" in caplog.text and error["correlation_id"] in caplog.text


def test_a_failure_of_the_platform_makes_it_not_ready(failing: tuple[TestClient, Failing]) -> None:
    client, broken = failing
    broken.error = StoreError("the disk is full", where="/some/path")
    assert error_of(client.get("/v1/twins"), 500)["code"] == "StoreFailed"
    not_ready = error_of(client.get("/readyz"), 503)
    assert "disk" not in json.dumps(not_ready)
    assert client.get("/healthz").status_code == 200


PUBLIC = [kind for kind in TwinwrightError.__subclasses__() if not kind.__name__.startswith("_")]  # whatever else has been imported


@pytest.mark.parametrize("error", PUBLIC)
def test_every_error_of_the_tree_keeps_its_status_and_code(failing: tuple[TestClient, Failing], error: type[TwinwrightError]) -> None:
    client, broken = failing
    broken.error = error("it is so", retry_after=3.2) if error is BusyError else error("it is so")
    answer = client.get("/v1/twins")
    assert error_of(answer, error.http_status)["code"] == error.code
    assert answer.headers.get("retry-after") == ("4" if error is BusyError else None)


# --- bodies --------------------------------------------------------------------------------------------------------------


def test_too_large_a_body_is_refused_before_anything_is_taken(client: TestClient) -> None:
    before = client.get("/v1/status").json()["commit"]
    for body in (b" " * (MAX_PAYLOAD_BYTES + 1), gzip.compress(b" " * (MAX_PAYLOAD_BYTES + 1))):
        headers = {"content-encoding": "gzip"} if body[:1] == b"\x1f" else {}
        assert error_of(client.post("/v1/telemetry/pump", content=body, headers=headers), 413)["code"] == "TooLarge"
    in_chunks = (b" " * 65_536 for _ in range(300))
    error_of(client.post("/v1/telemetry/pump", content=in_chunks), 413)
    error_of(client.post("/v1/scenarios", content=b" " * (bodies.MAX_DOCUMENT_BYTES + 1)), 413)
    assert client.get("/v1/status").json()["commit"] == before


@pytest.mark.parametrize(
    "headers", [{"content-type": "image/png"}, {"content-type": "application/x-www-form-urlencoded"}, {"content-encoding": "br"}]
)
def test_an_unknown_type_or_encoding_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    error_of(client.post("/v1/telemetry/pump", content=b"{}", headers=headers), 415)
    error_of(client.post("/v1/scenarios", content=b"{}", headers=headers), 415)


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"{}", mtime=0)[:-4], b"\x1f\x8b"])
def test_a_broken_gzip_is_refused_whole(client: TestClient, body: bytes) -> None:
    error_of(client.post("/v1/telemetry/pump", content=body, headers={"content-encoding": "gzip"}), 400)


@pytest.mark.parametrize("body", [b"{", b"\xff", b'"step"', b"[]", b"{}", b"1", b'{"scenario": 7}', b'{"scenario": "step", "more": 1}'])
def test_a_body_that_is_no_scenario_is_refused(client: TestClient, body: bytes) -> None:
    error_of(client.post("/v1/scenarios", content=body), 400)


@pytest.mark.parametrize(
    "body", [b"[1]", b'{"ids": 1}', b'{"ids": [true]}', b'{"ids": [-1]}', b'{"ids": ["1"]}', b'{"contract": 1}', b'{"id": [1]}']
)
def test_a_body_that_is_no_retry_is_refused(client: TestClient, body: bytes) -> None:
    error_of(client.post("/v1/dead-letters/retry", content=body), 400)


def test_deep_documents_are_refused_before_they_are_read(client: TestClient) -> None:
    error_of(client.post("/v1/scenarios", content=b'{"a":' * 65 + b"1" + b"}" * 65), 413)
    error_of(client.post("/v1/scenarios", content=b"[" * 1_000_000), 413)


def test_a_slow_body_is_given_up(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    monkeypatch.setattr("starlette.requests.Request.stream", lambda self: _forever())
    error_of(client.post("/v1/telemetry/pump", content=b"{}"), 408)


async def _forever() -> Any:
    await asyncio.sleep(60)
    yield b""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(json_values)
@example({'["\\"]{': ['"[[[[', "\\"]})
def test_nesting_is_that_of_the_document(value: Any) -> None:
    def depth(one: Any) -> int:
        if isinstance(one, dict):
            return 1 + max(map(depth, one.values()), default=0)
        return 1 + max(map(depth, one), default=0) if isinstance(one, list) else 0

    assert nesting(json.dumps(value).encode()) == depth(value)


@pytest.mark.parametrize("body", [b'"\\"' * 500_000, b'"' + b'\\"' * 500_000, b"\\" * 1_000_000, b'"a' * 500_000])
def test_nesting_takes_linear_time_for_hostile_bodies(body: bytes) -> None:
    started = time.perf_counter()
    nesting(body)
    assert time.perf_counter() - started < 20  # milliseconds; in quadratic time it would be an hour


@given(st.lists(st.binary(max_size=200), max_size=4), st.integers(0, 600))
def test_gunzip_gives_all_members_or_refuses_past_the_limit(parts: list[bytes], limit: int) -> None:
    body = b"".join(gzip.compress(part) for part in parts)
    whole = b"".join(parts)
    if len(whole) > limit:
        with pytest.raises(TooLargeError):
            gunzip(body, limit)
    else:
        assert gunzip(body, limit) == whole


def test_a_bomb_never_grows_past_the_limit() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = bomb.compress(b"\0" * 200_000_000) + bomb.flush()
    with pytest.raises(TooLargeError):
        gunzip(body, 1_000_000)


def test_many_empty_members_are_refused() -> None:
    with pytest.raises(TooLargeError, match="members"):
        gunzip(gzip.compress(b"") * 10_000, 1_000_000)


@given(st.binary(max_size=100))
def test_gunzip_of_anything_is_bytes_or_a_usage_error(body: bytes) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(gunzip(b"\x1f\x8b\x08" + body, 10_000), bytes)


# --- threads -------------------------------------------------------------------------------------------------------------


def test_a_full_line_refuses_and_empties_again() -> None:
    async def scenario() -> None:
        workers, gate = Workers("tests", threads=1, waiting=1, retry_after=7), threading.Event()
        running = [asyncio.ensure_future(workers.run(gate.wait)) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(BusyError) as refused:
            await workers.run(gate.wait)
        assert refused.value.retry_after == 7
        gate.set()
        assert await asyncio.gather(*running) == [True, True]
        assert await workers.run(lambda: "free again") == "free again"
        workers.close()

    asyncio.run(scenario())


def test_who_hangs_up_does_not_free_a_thread_that_still_works() -> None:
    async def scenario() -> None:
        workers, gate, works = Workers("tests", threads=1, waiting=0), threading.Event(), threading.Event()
        running = asyncio.ensure_future(workers.run(lambda: works.set() or gate.wait()))
        while not works.is_set():
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.sleep(0.01)
        with pytest.raises(BusyError):
            await workers.run(gate.wait)
        gate.set()
        workers.close()

    asyncio.run(scenario())


def test_errors_and_correlation_ids_cross_the_threads() -> None:
    async def scenario() -> None:
        workers = Workers("tests", threads=1, waiting=1)
        with correlated("here"):
            assert await workers.run(current_correlation) == "here"

        def fail() -> None:
            raise PlatformError("down")

        with pytest.raises(PlatformError, match="down"):
            await workers.run(fail)
        workers.close()
        with pytest.raises(RuntimeError):
            await workers.run(fail)

    asyncio.run(scenario())


def test_long_simulations_block_no_read_and_are_refused_beyond_the_line(platform: LocalPlatform) -> None:
    gate = threading.Event()

    class Busy(LocalPlatform):
        def as_principal(self, principal: Any) -> Busy:
            return self

        def simulate(self, scenario: Any, **options: Any) -> dict[str, Any]:
            gate.wait(120)
            return {"runs": []}

    app = create_app(Busy(platform.session), tokens=TokenAuthority(TOKEN), metrics=platform.session.metrics)
    with TestClient(app, BASE, headers={"authorization": f"Bearer {TOKEN}"}, raise_server_exceptions=False) as client:
        statuses: list[int] = []

        def simulate() -> None:
            statuses.append(client.post("/v1/scenarios", json={"scenario": "step"}).status_code)

        threads = [threading.Thread(target=simulate) for _ in range(10)]
        for thread in threads:
            thread.start()
        started = time.monotonic()
        while len(statuses) < 2 and time.monotonic() - started < 60:
            time.sleep(0.01)
        assert client.get("/v1/twins").status_code == 200
        assert statuses == [429, 429]
        gate.set()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200] * 8 + [429] * 2


def test_the_lines_are_separate(platform: LocalPlatform) -> None:
    serving = Serving(platform, TokenAuthority(TOKEN))
    assert len({id(one) for one in (serving.reads, serving.telemetry, serving.runs)}) == 3
    serving.close()
