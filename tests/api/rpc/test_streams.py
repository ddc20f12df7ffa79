"""Streams go at the pace of who reads them, are resumed where they were, and let go of who does not read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from fastapi.testclient import TestClient
from starlette.types import ASGIApp
from tests.api.conftest import reading
from tests.api.rpc.conftest import LONG, Client, failure, history, refuses

from twinwright.api.rpc import calls, v1_pb2
from twinwright.api.rpc.server import RpcServer
from twinwright.api.serving import MOST_STREAMS
from twinwright.api.tokens import TokenAuthority
from twinwright.platform.local import LocalPlatform
from twinwright.telemetry.payloads import Payload

Codes = grpc.StatusCode


def test_history_is_one_arrow_stream_with_its_unit(client: Client, rest: TestClient) -> None:
    table = history(client, twin="pump-1", path="pressure", unit="bar", end="2026-03-01T08:05:00Z")
    plain = rest.get("/v1/history/pump-1/pressure", params={"unit": "bar", "to": "2026-03-01T08:05:00Z"}).json()
    assert table["values"].to_pylist() == plain["values"] and table["source"].to_pylist() == plain["source"]
    assert table.schema.field("values").metadata == {b"unit": b"bar"} and table.schema.metadata == {
        b"twin": b"pump-1",
        b"path": b"pressure",
    }
    empty = history(client, twin="pump-1", path="pressure", start="2030-01-01T00:00:00Z")
    assert empty.num_rows == 0 and empty.schema.names == table.schema.names


def test_a_stream_of_payloads_has_a_receipt_for_each_and_ends_at_the_first_that_is_refused(client: Client) -> None:
    def sent() -> Iterator[v1_pb2.PushRequest]:
        for second in range(2_000, 2_003):
            yield v1_pb2.PushRequest(contract="pump", payload=reading(second, second - 1_000.0))
        yield v1_pb2.PushRequest(contract="nothing", payload=reading(2_003))
        yield v1_pb2.PushRequest(contract="pump", payload=reading(2_004))

    receipts: list[v1_pb2.Receipt] = []
    with pytest.raises(grpc.RpcError) as caught:
        receipts.extend(client.PushStream(sent()))
    assert [one.accepted for one in receipts] == [1, 1, 1] and sorted(one.token for one in receipts) == [one.token for one in receipts]
    assert failure(caught.value)[0] == Codes.NOT_FOUND
    table = history(
        client, twin="pump-1", path="pressure", start="2026-03-01T08:33:20Z", end="2026-03-01T08:34:00Z", after=receipts[-1].token
    )
    assert table["values"].to_pylist() == [1_000.0, 1_001.0, 1_002.0]


def test_events_go_on_where_their_client_was_and_end_when_he_goes(client: Client, platform: LocalPlatform) -> None:
    begun = client.GetStatus(v1_pb2.StatusRequest()).commit
    stream = client.Events(v1_pb2.EventsRequest(after=begun, filter="type = 'Microsoft.DigitalTwins.Twin.Update'"))
    platform.push("pump", [Payload(reading(3_000, 301.0))])
    one = next(one for one in stream if one.json)
    assert json.loads(one.json)["data"]["patch"][0]["value"] == 301.0 and one.position > begun
    platform.push("pump", [Payload(reading(3_001, 302.0))])
    stream.cancel()
    again = client.Events(v1_pb2.EventsRequest(after=one.position))
    assert json.loads(next(one for one in again if one.json).json)["data"]["patch"][0]["value"] == 302.0
    again.cancel()
    assert refuses(Codes.INVALID_ARGUMENT, lambda: next(client.Events(v1_pb2.EventsRequest(filter="typo = 1"))))


def test_a_reader_who_takes_nothing_is_let_go_of_and_hinders_nobody(
    app: ASGIApp, tokens: TokenAuthority, platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled, begun = [], calls.StalledError.__init__
    monkeypatch.setattr(calls.StalledError, "__init__", lambda self, *given: stalled.append(self) or begun(self, *given))
    platform.push("pump", [Payload(b"\n".join(reading(k, 100.0 + k % 1_000) for k in range(3_600)))])
    window = [("grpc.http2.bdp_probe", 0)]  # 64 KiB are taken unread, and no more
    with RpcServer(app, tokens=tokens, stalled=0.5) as served, grpc.insecure_channel(served.address, window) as channel:
        client = Client(channel)
        slow = [client.History(v1_pb2.HistoryRequest(twin="pump-1", path="pressure")) for _ in range(2)]
        until(lambda: len(stalled) == 2)
        assert client.ListTwins(v1_pb2.ListTwinsRequest()).twins, "others are served meanwhile"
        until(lambda: serving(app).streams._value == MOST_STREAMS)
        for one in slow:
            with pytest.raises(grpc.RpcError) as caught:
                list(one)
            code, told = failure(caught.value)
            assert (code, told.code) == (Codes.DEADLINE_EXCEEDED, "Stalled")


def until(true: Any) -> None:
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def serving(app: Any) -> Any:
    while not hasattr(app, "state"):  # what is wrapped around it
        app = app.app
    return app.state.serving


def test_a_client_that_cancels_frees_its_place(client: Client, app: ASGIApp) -> None:
    places = serving(app).streams
    until(lambda: places._value == MOST_STREAMS)  # those of other tests have gone
    stream = client.Events(v1_pb2.EventsRequest(after=0))
    next(stream)
    assert places._value == MOST_STREAMS - 1
    stream.cancel()
    until(lambda: places._value == MOST_STREAMS)


def test_a_server_that_stops_tells_who_follows(app: ASGIApp, tokens: TokenAuthority) -> None:
    with RpcServer(app, tokens=tokens) as served:
        channel = grpc.insecure_channel(served.address)
        stream = Client(channel).Events(v1_pb2.EventsRequest(after=0))
        next(stream)
    with channel, pytest.raises(grpc.RpcError) as caught:
        list(stream)
    assert failure(caught.value)[0] == Codes.UNAVAILABLE
