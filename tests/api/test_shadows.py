"""What a shadow says over HTTP and gRPC as it is committed: a page, or a stream that goes on where its client was; and its switch."""

import asyncio
import json
import math

import grpc
import httpx
import pytest
from tests.api.conftest import TOKEN, reading, write_workspace

from twinwright.api import serving, streaming
from twinwright.api.app import create_app
from twinwright.api.rpc import v1_pb2, v1_pb2_grpc
from twinwright.api.rpc.server import RpcServer
from twinwright.api.server import Server
from twinwright.errors import NotFoundError
from twinwright.platform import local_simulation, shadow_stream
from twinwright.platform.local import LocalPlatform
from twinwright.telemetry.payloads import Payload

HEADERS = {"authorization": f"Bearer {TOKEN}"}
SHADOW = "name: live\nmodel: lag\ninterface: dtmi:test:Pump;1\nforecast: {horizon: PT20S, every: PT10S}\n"
LONG = 120.0


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    folder = write_workspace(tmp_path_factory.mktemp("plant"))
    (folder / "shadows").mkdir()
    (folder / "shadows/live.yaml").write_text(SHADOW)
    opened = LocalPlatform.open(folder)
    opened.apply()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def app(platform, tokens):
    return create_app(platform, tokens=tokens, metrics=platform.session.metrics)


@pytest.fixture(scope="module")
def server(app):
    with Server(app, port=0) as one:
        yield one


def follow(platform, first, last, unit="pump-1"):
    """Take some seconds of readings in and follow them. Gives the commit before."""
    before = platform.status()["commit"]
    platform.push("pump", [Payload(b"\n".join(reading(k, 200.0, unit, u=2.0) for k in range(first, last, 5)))])
    platform.shadow_run()
    return before


def taken(lines, count):
    """The data of so many events, each with its id."""
    found, id = [], None
    for line in lines:
        name, _, text = line.partition(": ")
        if name == "id":
            id = int(text)
        elif name == "data":
            found.append((id, json.loads(text)))
            if len(found) == count:
                return found
    raise AssertionError("the stream ended")


def values(said, kind, unit="pump-1"):
    return {
        time: value
        for one in said
        for series in one["series"]
        if (series["kind"], series["twin"]) == (kind, unit)
        for time, value in zip(series["times"], series["values"], strict=True)
    }


def pages(platform, after, **options):
    said = []
    while True:
        page = platform.shadow_said("live", after=after, **options)
        said += page["said"]
        if page["through"] >= page["last"]:
            return said
        after = page["through"]


def test_pages_say_what_history_has_once_it_is_committed(platform):
    before = follow(platform, 0, 60)
    assert platform.shadow_said("live")["said"] == []
    said = pages(platform, before)
    history = platform.history("pump-1", "pressure", lane="simulated")
    there = list(zip(history["source"], history["times"], history["values"], strict=True))
    assert values(said, "prediction") == {time: value for source, time, value in there if source == "shadow:live"}
    assert values(said, "forecast").items() >= {time: value for source, time, value in there if source != "shadow:live"}.items()
    assert {series["unit"] for one in said for series in one["series"]} == {"kPa"}
    assert [one["commit"] for one in said] == sorted({one["commit"] for one in said})
    follow(platform, 0, 10, "pump-2")
    assert {series["twin"] for one in pages(platform, before, twin="pump-2") for series in one["series"]} == {"pump-2"}
    for wrong in ({"name": "none"}, {"name": "live", "twin": "pump-9"}):
        with pytest.raises(NotFoundError):
            platform.shadow_said(after=0, **wrong)


def test_a_stream_goes_on_where_its_client_was(platform, server):
    before = follow(platform, 60, 90)
    address = f"{server.url}/v1/shadows/live/said"
    asked = {"headers": {**HEADERS, "accept": "text/event-stream"}, "timeout": LONG}
    with httpx.stream("GET", address, params={"since": before}, **asked) as answer:
        [(id, first)] = taken(answer.iter_lines(), 1)
    assert id == first["commit"] > before
    follow(platform, 90, 120)
    asked["headers"]["last-event-id"] = str(id)
    with httpx.stream("GET", address, **asked) as answer:
        lines = answer.iter_lines()
        [(_, second)] = taken(lines, 1)
        assert min(values([second], "prediction")) > max(values([first], "prediction"))
        third = follow(platform, 120, 150)
        [(id, _)] = taken(lines, 1)
        assert id > third
    page = httpx.get(address, params={"since": before}, headers=HEADERS, timeout=LONG).json()
    assert page["said"][:2] == [first, second]
    for wrong, status in (({"since": 10**6}, 400), ({"twin": "pump-9", "since": 0}, 404)):
        assert httpx.get(address, params=wrong, headers=HEADERS, timeout=LONG).status_code == status
    assert httpx.get(address, timeout=LONG).status_code == 401


def test_the_same_over_grpc_with_places_to_go_on_from_and_the_switch(platform, app, tokens):
    before = follow(platform, 150, 180)
    seen = {"metadata": (("authorization", f"Bearer {TOKEN}"),), "timeout": LONG}
    with RpcServer(app, tokens=tokens) as rpc, grpc.insecure_channel(rpc.address) as channel:
        client = v1_pb2_grpc.TwinwrightStub(channel)
        stream = client.WatchShadow(v1_pb2.WatchShadowRequest(name="live", after=before, twin="pump-1"), **seen)
        said = next(one for one in stream if one.series)
        stream.cancel()
        [told] = platform.shadow_said("live", after=before, twin="pump-1")["said"]
        assert (said.commit, said.position, said.left_out) == (told["commit"], told["commit"], 0)
        assert [list(one.values) for one in said.series] == [one["values"] for one in told["series"]]
        stopped = client.StopShadow(v1_pb2.ShadowSwitchRequest(name="live"), **seen)
        assert (stopped.state, platform.shadow("live")["state"]) == ("stopped", "stopped")
        there = platform.shadow("live")["items"]
        follow(platform, 180, 210)
        assert platform.shadow("live")["items"] == there
        assert client.StartShadow(v1_pb2.ShadowSwitchRequest(name="live"), **seen).state == "following"
        platform.shadow_run()
        assert platform.shadow("live")["items"] != there


def test_what_is_said_no_more_is_null_and_a_commit_with_too_much_is_told_without(platform, monkeypatch):
    before = follow(platform, 62, 63)  # late: what came after it is said otherwise
    said = pages(platform, before)
    assert not any(math.isnan(one) for one in values(said, "prediction").values())
    (platform.session.folder / "shadows/live.yaml").unlink()
    platform.apply()
    text, before = SHADOW, platform.status()["commit"]
    platform.shadow_run()
    (platform.session.folder / "shadows/live.yaml").write_text(text)
    platform.apply()
    withdrawn = values(pages(platform, before), "prediction")
    assert withdrawn
    assert set(withdrawn.values()) == {None}
    monkeypatch.setattr(shadow_stream, "PAGE_VALUES", 3)
    before = platform.status()["commit"]
    platform.shadow_run()
    [one] = pages(platform, before)
    assert one["series"] == []
    assert one["left_out"] > 3


async def takes_one(app, since):
    """A client that asks for the stream and takes nothing after the first thing said. Gives what it took, when it is hung up on."""
    head = {"accept": "text/event-stream", "host": "127.0.0.1", **HEADERS}
    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET", "scheme": "http"}
    scope |= {"path": "/v1/shadows/live/said", "query_string": f"since={since}".encode(), "root_path": "", "state": {}}
    scope |= {"headers": [(name.encode(), value.encode()) for name, value in head.items()]}
    scope |= {"raw_path": scope["path"].encode(), "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1)}
    begun = iter([{"type": "http.request", "body": b"", "more_body": False}])
    taken = []

    async def receive():
        return next(begun, None) or await asyncio.Event().wait()

    async def send(message):
        if any(b"event: said" in one for one in taken):
            await asyncio.Event().wait()
        taken.append(message.get("body", b""))

    await app(scope, receive, send)
    return taken


def test_who_takes_nothing_is_read_no_page_ahead_is_hung_up_on_and_goes_on_where_it_was(platform, tokens, monkeypatch):
    pages_read, said_since = [], local_simulation.said_since
    monkeypatch.setattr(local_simulation, "said_since", lambda *asked: pages_read.append(asked) or said_since(*asked))
    monkeypatch.setattr(streaming, "NOT_TAKEN", 0.05)
    monkeypatch.setattr(serving, "MOST_STREAMS", 1)
    app = create_app(platform, tokens=tokens, metrics=platform.session.metrics)
    before = follow(platform, 210, 240)
    for more in range(240, 300, 10):
        follow(platform, more, more + 10)
    monkeypatch.setattr(shadow_stream, "PAGE_COMMITS", 4)
    for _ in range(2):  # its place is free again
        pages_read.clear()
        taken = asyncio.run(takes_one(app, before))
        assert len(pages_read) <= 2, "pages are read that nobody takes"
        [id] = [int(text.split(b"\n")[0].removeprefix(b"id: ")) for text in taken if b"event: said" in text]
        follow(platform, 300, 301)  # the shadow goes on
    said = pages(platform, before)
    assert said[0]["commit"] == id
    assert len(said) > 5
    assert said[1:] == pages(platform, id)
