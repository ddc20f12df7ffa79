"""Telemetry over HTTP: every format and encoding, keys, what is asked of a full queue, and what writers to InfluxDB send."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from tests.api.conftest import BASE, FILES, TOKEN, reading

from twinwright.api.app import create_app
from twinwright.api.compression import unzstd
from twinwright.api.tokens import TokenAuthority
from twinwright.errors import TooLargeError, UsageError
from twinwright.platform.local import LocalPlatform
from twinwright.telemetry import pipeline as pipelines
from twinwright.telemetry.payloads import MAX_PAYLOAD_BYTES

CONTRACTS = {
    "events": 'format: cloudevents\ntwin: "{subject}"\ntime: {field: time}\nobservations: [{path: pressure, field: data.p, unit: kPa}]',
    "points": 'format: line-protocol\ntwin: "{tags.unit}"\ntime: {field: timestamp}\n'
    "observations: [{path: pressure, field: fields.p, unit: kPa}]",
}
CODEC = pa.Codec("zstd")
LINE = b"pump,unit=pump-1,host=web\\ 1 p=%d,ok=t 17723520%02d000000000\n"
EVENT = {"specversion": "1.0", "id": "1", "source": "/plant", "type": "sample", "subject": "pump-1"}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlatform]:
    folder = tmp_path_factory.mktemp("push")
    for name, text in FILES.items() | {f"contracts/{name}.yaml": f"name: {name}\n{text}\n" for name, text in CONTRACTS.items()}.items():
        path: Path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    opened = LocalPlatform.open(folder)
    opened.apply()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def client(plant: LocalPlatform) -> Iterator[TestClient]:
    app = create_app(plant, tokens=TokenAuthority(TOKEN), metrics=plant.session.metrics)
    with TestClient(app, BASE, headers={"authorization": f"Bearer {TOKEN}"}, raise_server_exceptions=False) as one:
        yield one


def receipt(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    counts: dict[str, Any] = answer.json()
    assert counts["received"] == counts["accepted"] + counts["duplicate"] + sum(counts["dead_lettered"].values())
    return counts


# --- CloudEvents ---------------------------------------------------------------------------------------------------------


def event(second: int, pressure: object) -> dict[str, Any]:
    return EVENT | {"time": f"2026-03-01T09:00:{second:02d}Z", "data": {"p": pressure}}


def test_events_come_structured_in_batches_and_in_binary_mode(client: TestClient) -> None:
    kinds = {"content-type": "application/cloudevents+json; charset=utf-8"}
    assert receipt(client.post("/v1/telemetry/events", json=event(1, 1.5), headers=kinds))["accepted"] == 1
    kinds = {"content-type": "application/cloudevents-batch+json"}
    assert receipt(client.post("/v1/telemetry/events", json=[event(1, 1.5), event(2, 2.5)], headers=kinds))["duplicate"] == 1
    headers = {f"ce-{name}": value for name, value in event(1, 0).items() if name != "data"} | {"content-type": "application/json"}
    headers["ce-subject"] = "pump%2D1"
    counts = receipt(client.post("/v1/telemetry/events", content=b'{"p": 1.5}', headers=headers))
    assert (counts["received"], counts["duplicate"]) == (1, 1)


def test_the_attributes_of_binary_mode_go_with_a_dead_letter(client: TestClient) -> None:
    headers = {f"ce-{name}": value for name, value in event(3, 0).items() if name != "data"} | {"ce-subject": "pump-9"}
    assert receipt(client.post("/v1/telemetry/events", json={"p": 1}, headers=headers))["dead_lettered"] == {"unknown_twin": 1}
    (letter,) = client.get("/v1/dead-letters", params={"contract": "events"}).json()["items"]
    assert (letter["payload"], letter["captures"]["ce-subject"]) == ('{"p":1}', "pump-9")


def test_headers_without_a_version_are_no_event_and_an_attribute_given_twice_is_refused(client: TestClient) -> None:
    assert receipt(client.post("/v1/telemetry/pump", content=reading(1), headers={"ce-id": "1"}))["received"] == 1
    twice = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-id", "2")]
    answer = client.post("/v1/telemetry/events", content=b"{}", headers=twice)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidArgument")


# --- line protocol, and what writes it -----------------------------------------------------------------------------------


def written(client: TestClient, body: bytes, query: str = "bucket=points&org=plant", **headers: str) -> Any:
    """As Telegraf's output `influxdb_v2` does: gzip, in chunks, with a token of the scheme `Token`."""
    given = {"authorization": f"Token {TOKEN}", "content-encoding": "gzip", "content-type": "text/plain; charset=utf-8"} | headers
    packed = gzip.compress(body) if given["content-encoding"] == "gzip" else body
    return client.post(f"/api/v2/write?{query}", content=iter([packed[:20], packed[20:]]), headers=given)


def counted(answer: Any) -> dict[str, Any]:
    assert (answer.status_code, answer.content) == (204, b"")
    found: dict[str, Any] = json.loads(answer.headers["twinwright-receipt"])
    return found


def test_telegraf_can_be_pointed_here(client: TestClient) -> None:
    body = b"".join(LINE % (at, at) for at in range(5))
    assert counted(written(client, body))["accepted"] == 5
    assert counted(written(client, body))["duplicate"] == 5
    counts = counted(written(client, body + b"broken\n" + LINE.replace(b"pump-1", b"pump-9") % (7, 7)))
    assert (counts["received"], counts["dead_lettered"]) == (7, {"malformed": 1, "unknown_twin": 1})
    assert client.get("/v1/history/pump-1/pressure").json()["values"][:1]


def test_a_precision_holds_for_its_request(client: TestClient) -> None:
    line = b"pump,unit=pump-2 p=3 1772352000"
    assert counted(written(client, line, "bucket=points&precision=s"))["accepted"] == 1
    assert counted(written(client, line + b"000", "bucket=points&precision=ms"))["duplicate"] == 1
    assert receipt(client.post("/v1/telemetry/points?precision=us", content=line + b"000000"))["duplicate"] == 1
    assert receipt(client.post("/v1/telemetry/points", content=line + b"000000000"))["duplicate"] == 1
    assert client.post("/v1/telemetry/points?precision=m", content=line).status_code == 422
    assert written(client, line, "bucket=points&precision=m").status_code == 422


def test_refusals_are_told_as_influxdb_tells_them(client: TestClient) -> None:
    for answer, status, code in (
        (written(client, b"m x=1", "bucket=none"), 404, "not found"),
        (written(client, b"not gzip at all", **{"content-encoding": "zstd"}), 400, "invalid"),
        (written(client, b"", **{"content-type": "image/png"}), 415, "invalid"),
        (written(client, b" " * (MAX_PAYLOAD_BYTES + 1)), 413, "request too large"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json()["message"]
    assert written(client, b"m x=1", authorization="Token wrong").status_code == 401
    assert written(client, b"m x=1", authorization=f"Basic {TOKEN}").status_code == 401
    assert written(client, b"m x=1", "org=plant").status_code == 422


# --- encodings -----------------------------------------------------------------------------------------------------------


def test_zstd_is_read_as_gzip_is(client: TestClient) -> None:
    body = b"\n".join(reading(1000 + second) for second in range(50))
    packed = CODEC.compress(body, asbytes=True)
    assert receipt(client.post("/v1/telemetry/pump", content=packed, headers={"content-encoding": "zstd"}))["accepted"] == 50
    assert receipt(client.post("/v1/telemetry/pump", content=gzip.compress(body), headers={"content-encoding": "gzip"}))["duplicate"] == 50


@pytest.mark.parametrize("body", [b"no zstd", CODEC.compress(b"x" * 1000, asbytes=True)[:-3], b"\x28\xb5\x2f\xfd"])
def test_a_broken_zstd_is_refused_whole(client: TestClient, body: bytes) -> None:
    answer = client.post("/v1/telemetry/pump", content=body, headers={"content-encoding": "zstd"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidArgument")


def test_a_zstd_bomb_never_grows_past_the_limit(client: TestClient) -> None:
    bomb = CODEC.compress(bytes(200_000_000), asbytes=True)
    assert len(bomb) < 100_000
    before = pa.total_allocated_bytes()
    with pytest.raises(TooLargeError):
        unzstd(bomb, 1_000_000)
    assert pa.total_allocated_bytes() - before < 2_000_000
    assert client.post("/v1/telemetry/pump", content=bomb, headers={"content-encoding": "zstd"}).status_code == 413


@given(st.lists(st.binary(max_size=200), max_size=4), st.integers(0, 600))
def test_unzstd_gives_all_frames_or_refuses_past_the_limit(parts: list[bytes], limit: int) -> None:
    body, whole = b"".join(CODEC.compress(part, asbytes=True) for part in parts), b"".join(parts)
    if len(whole) > limit:
        with pytest.raises(TooLargeError):
            unzstd(body, limit)
    else:
        assert unzstd(body, limit) == whole


@given(st.binary(max_size=100))
def test_unzstd_of_anything_is_bytes_or_a_usage_error(body: bytes) -> None:
    for candidate in (body, b"\x28\xb5\x2f\xfd" + body):
        try:
            assert len(unzstd(candidate, 10_000)) <= 10_000
        except UsageError:
            continue


# --- keys ----------------------------------------------------------------------------------------------------------------


def test_a_key_gets_the_same_receipt_again(client: TestClient) -> None:
    def push(body: bytes, key: str = "order-7") -> Any:
        return client.post("/v1/telemetry/pump", content=body, headers={"idempotency-key": key})

    body = reading(2000) + b"\n" + reading(2001, "much")
    first = push(body)
    assert receipt(first)["received"] == 2
    received = client.get("/v1/kpis").json()["counts"]["received"]
    assert push(body).content == first.content
    assert client.get("/v1/kpis").json()["counts"]["received"] == received
    answer = push(reading(2002))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "IdempotencyKeyReused")
    assert client.get("/v1/kpis").json()["counts"]["received"] == received
    assert receipt(push(body, '"another"'))["duplicate"] == 1
    for key in ("", " ", "x" * 256, "two words"):
        assert push(reading(2003), key).status_code == 422


def test_writers_of_line_protocol_may_name_their_requests_too(client: TestClient) -> None:
    line = b"pump,unit=pump-1 p=3 1772352100000000000"
    first = written(client, line, **{"idempotency-key": "k"})
    assert counted(written(client, line, **{"idempotency-key": "k"})) == counted(first)
    answer = written(client, line + b"0", **{"idempotency-key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


# --- a full queue --------------------------------------------------------------------------------------------------------


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_full_queue_says_when_to_come_back_and_loses_nothing(
    client: TestClient, plant: LocalPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines, "QUEUE_BYTES", 20_000)
    before = client.get("/v1/kpis").json()["counts"]
    bodies = [b"\n".join(reading(60 * number + at, unit="pump-2") for at in range(60)) for number in range(6)]
    answers: dict[int, Any] = {}

    def push(number: int) -> None:
        answers[number] = client.post("/v1/telemetry/pump", content=bodies[number])

    threads = [threading.Thread(target=push, args=[number]) for number in range(len(bodies))]
    with plant.session.state.lock:  # the store is slow: nothing is committed
        for thread in threads:
            thread.start()
        until(lambda: len(answers) >= 1)
        refused = client.post("/v1/telemetry/pump", content=bodies[0])
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "TooManyRequests")
        assert int(refused.headers["retry-after"]) >= 1
        line = written(client, LINE % (50, 50) * 100)
        assert (line.status_code, line.json()["code"], line.headers["retry-after"]) == (429, "too many requests", "1")
        assert client.get("/v1/dead-letters").status_code == 200  # reading goes on
    for thread in threads:
        thread.join(60)
    statuses = {number: answer.status_code for number, answer in answers.items()}
    assert set(statuses.values()) == {200, 429}
    again = [receipt(client.post("/v1/telemetry/pump", content=body)) for body in bodies]
    assert [one["duplicate"] for one in again] == [60 if statuses[number] == 200 else 0 for number in range(len(bodies))]
    after = client.get("/v1/kpis").json()["counts"]
    assert after["accepted"] - before["accepted"] == 60 * len(bodies)
