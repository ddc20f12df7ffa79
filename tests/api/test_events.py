"""Events over HTTP: a page, or a stream that goes on where its client was; who is slow hurts only himself."""

import json
import socket
import threading

import httpx
import pytest
from tests.api.conftest import TOKEN, reading

from twinwright.api.app import create_app
from twinwright.api.server import Server
from twinwright.telemetry.payloads import Payload

HEADERS = {"authorization": f"Bearer {TOKEN}"}
STREAM = {**HEADERS, "accept": "text/event-stream"}


@pytest.fixture(scope="module")
def server(platform, tokens):
    with Server(create_app(platform, tokens=tokens, metrics=platform.session.metrics), port=0) as one:
        yield one


class Following:
    """A client of the stream in a thread: `events`, and the last id that came."""

    def __init__(self, url, last=None, **query):
        self.events, self.last, self.begun, self.changed = [], last, threading.Event(), threading.Condition()
        headers = STREAM if last is None else {**STREAM, "last-event-id": str(last)}
        self._client = httpx.Client(timeout=120)
        self._stream = self._client.stream("GET", f"{url}/v1/events", params=query, headers=headers)
        self._answer = self._stream.__enter__()
        assert self._answer.status_code == 200, self._answer.read()
        threading.Thread(target=self._read, daemon=True).start()
        assert self.begun.wait(30)

    def _read(self):
        try:
            for line in self._answer.iter_lines():
                name, _, text = line.partition(": ")
                with self.changed:
                    if name == "id":
                        self.last = text
                    elif name == "data":
                        self.events.append(json.loads(text))
                    self.changed.notify_all()
                self.begun.set()
        except httpx.HTTPError:
            pass

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.events) >= count, 120), self.events

    def close(self):
        self._answer.close()


def push(platform, second, pressure):
    platform.push("pump", [Payload(reading(second, pressure))])


def pressures(events):
    return [event["data"]["patch"][0]["value"] for event in events]


def test_a_stream_goes_on_where_its_client_was(server, platform):
    first = Following(server.url, filter="type = 'Microsoft.DigitalTwins.Twin.Update'")
    push(platform, 3_000, 301.0)
    push(platform, 3_001, 302.0)
    first.wait_for(2)
    first.close()
    push(platform, 3_002, 303.0)
    again = Following(server.url, first.last)
    push(platform, 3_003, 304.0)
    again.wait_for(2)
    again.close()
    assert pressures(first.events) == [301.0, 302.0]
    assert pressures(again.events) == [303.0, 304.0]


def test_who_does_not_read_hinders_nobody(server, platform):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        asked = f"GET /v1/events?since=0 HTTP/1.1\r\nhost: {host}:{port}\r\nauthorization: Bearer {TOKEN}\r\n"
        head = f"{asked}accept: text/event-stream\r\n\r\n"
        slow.sendall(head.encode())
        quick = Following(server.url)
        for second in range(3_100, 3_105):
            push(platform, second, second - 3_000.0)
        quick.wait_for(5)
        quick.close()


def test_a_page_is_asked_on_from_where_it_ended(client, platform):
    asked, found = {"since": 0}, []
    while True:
        page = client.get("/v1/events", params=asked).json()
        found += page["events"]
        if page["through"] >= page["last"]:
            break
        asked = {"place": page["place"]}
    assert found[0]["event"]["type"] == "Microsoft.DigitalTwins.Twin.Create"
    assert [one["commit"] for one in found] == sorted(one["commit"] for one in found)
    assert client.get("/v1/events").json()["events"] == []


def test_a_stream_has_the_door_that_everything_has(anonymous, client):
    assert anonymous.get("/v1/events", headers={"accept": "text/event-stream"}).status_code == 401
    for query, headers in (({"filter": "typo = 1"}, {}), ({}, {"last-event-id": "x"}), ({"since": 10**9}, {})):
        answer = client.get("/v1/events", params=query, headers={"accept": "text/event-stream", **headers})
        assert answer.status_code == 400, answer.text


def test_webhooks_are_listed(client):
    assert client.get("/v1/webhooks").json() == {"value": []}
    assert client.get("/v1/webhooks/none/dead-letters").json() == {"value": []}
    assert client.post("/v1/webhooks/none/retry").status_code == 404
