"""The guard over HTTP and websockets: who gets in, from where, and what everybody else is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import WebSocketDenialResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twinwright.api.app import create_app
from twinwright.api.boundary import Boundary
from twinwright.api.security import MAX_HEADERS, AllowedHosts, Guard
from twinwright.api.tokens import CODE_SECONDS, SESSION_SECONDS, TokenAuthority
from twinwright.clock import SECOND, ManualClock
from twinwright.observability.metrics import Metrics
from twinwright.platform.local import LocalPlatform

TOKEN = "a-token-of-tests-that-is-long-enough"
BASE = "http://127.0.0.1:8080"
BEARER = {"authorization": f"Bearer {TOKEN}"}
OWN = {"origin": BASE}


class Behind:
    """An application that tells whether it was reached, and lets a websocket speak."""

    def __init__(self) -> None:
        self.reached = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached += 1
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": message["text"]})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"reached"})


class Door:
    """One guard with a clock that is moved by hand, asked by plain ASGI."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.tokens = TokenAuthority(TOKEN, clock=self.clock)
        self.behind = Behind()
        hosts = AllowedHosts.of(["twins.example", "edge.example:8443"])
        self.app: ASGIApp = Boundary(Guard(self.behind, tokens=self.tokens, hosts=hosts), metrics=Metrics.create())

    def cookie(self) -> dict[str, str]:
        return {"cookie": f"other=1; twinwright-session-8080={self.tokens.open_session(self.tokens.new_code())}"}

    def ask(self, method: str = "GET", path: str = "/v1/twins", headers: Mapping[str, str] = BEARER, **scope: Any) -> int:
        """The status; a websocket that is let in counts as 101."""
        return asyncio.run(self._ask(method, path, headers, scope))

    def knock(self, headers: Mapping[str, str] = BEARER, **scope: Any) -> int:
        return self.ask("GET", "/console/_nicegui_ws/socket.io", headers, type="websocket", scheme="ws", **scope)

    async def _ask(self, method: str, path: str, headers: Mapping[str, str], extra: Mapping[str, Any]) -> int:
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in ({"host": "127.0.0.1:8080"} | dict(headers)).items()]
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "scheme": "http",
            "root_path": "",
            "server": ("127.0.0.1", 8080),
            "headers": [one for one in raw if one[1]],
            "extensions": {"websocket.http.response": {}},
            **extra,
        }
        sent: list[Message] = []
        kind = "websocket.connect" if scope["type"] == "websocket" else "http.request"
        coming = [{"type": kind, "body": b""}, {"type": "websocket.disconnect", "code": 1000}]

        async def receive() -> Message:
            return coming.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return 101 if sent[0]["type"] == "websocket.accept" else int(sent[0]["status"])


@pytest.fixture
def door() -> Door:
    return Door()


# --- credentials ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"cookie": f"twinwright-session-8080={TOKEN}"},
        {"cookie": "twinwright-session-8080="},
        {"x-token": TOKEN},
        {"authorization": "Bearer \udce4".encode("utf-8", "surrogateescape").decode("latin-1")},
    ],
)
@pytest.mark.parametrize("path", ["/", "/v1/twins", "/metrics", "/openapi.json", "/console/", "/nowhere", "/healthz/", "/login/"])
def test_without_a_valid_credential_nothing_is_reached(door: Door, headers: dict[str, str], path: str) -> None:
    assert door.ask(path=path, headers=headers) == 401
    assert door.knock({**OWN, **headers}) == 401
    assert door.behind.reached == 0


def test_a_valid_token_lets_in_over_http_and_websocket(door: Door) -> None:
    assert door.ask() == 200
    assert door.ask("POST") == 200
    assert door.ask(headers={"authorization": f"bearer {TOKEN}"}) == 200
    assert door.knock() == 101


def test_a_token_in_the_address_lets_nobody_in(door: Door) -> None:
    assert door.ask(headers={}, query_string=f"token={TOKEN}&access_token={TOKEN}".encode()) == 401


def test_two_credentials_of_one_kind_are_none(door: Door) -> None:
    twice = [(b"host", b"127.0.0.1:8080"), (b"authorization", f"Bearer {TOKEN}".encode()), (b"authorization", b"Bearer x")]
    assert _with_raw(door, twice) == 401


def test_a_wrong_token_is_not_saved_by_a_valid_cookie(door: Door) -> None:
    assert door.ask(headers={**door.cookie(), "authorization": "Bearer wrong"}) == 401


def test_a_session_lets_in_over_http_and_websocket(door: Door) -> None:
    cookie = door.cookie()
    assert door.ask(headers=cookie) == 200
    assert door.ask("POST", headers={**cookie, **OWN}) == 200
    assert door.knock({**cookie, **OWN}) == 101


def test_a_session_of_another_port_is_none_here(door: Door) -> None:
    cookie = door.cookie()["cookie"].replace("-8080", "-9090")
    assert door.ask(headers={"cookie": cookie}) == 401


def test_a_cookie_set_by_another_program_beside_ours_does_not_lock_out(door: Door) -> None:
    assert door.ask(headers={"cookie": "twinwright-session-8080=theirs; " + door.cookie()["cookie"]}) == 200


def test_a_session_ends_in_time(door: Door) -> None:
    cookie = door.cookie()
    door.clock.advance(SESSION_SECONDS * SECOND)
    assert door.ask(headers=cookie) == 401
    assert door.knock({**cookie, **OWN}) == 401


def test_an_open_websocket_ends_with_its_session(door: Door) -> None:
    id = door.tokens.open_session(door.tokens.new_code())
    headers = [(b"host", b"127.0.0.1:8080"), (b"origin", BASE.encode()), (b"cookie", f"twinwright-session-8080={id}".encode())]
    scope: Scope = {
        "type": "websocket",
        "path": "/x",
        "query_string": b"",
        "scheme": "ws",
        "server": ("127.0.0.1", 8080),
        "headers": headers,
    }
    coming: list[Message] = [{"type": "websocket.connect"}, *({"type": "websocket.receive", "text": text} for text in ("one", "two"))]
    said: list[str] = []

    async def receive() -> Message:
        return coming.pop(0)

    async def send(message: Message) -> None:
        if message["type"] == "websocket.send":
            said.append(message["text"])
            door.tokens.close_session(id)

    asyncio.run(door.app(scope, receive, send))
    assert said == ["one"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/login"])
def test_only_health_and_login_are_open(door: Door, path: str) -> None:
    assert door.ask(path=path, headers={}) == 200
    assert door.ask(path=path, headers={}, type="websocket", scheme="ws") == 401


# --- Host, Origin, Sec-Fetch-Site ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080", "twins.example", "twins.example:8080", "edge.example:8443"]
)
def test_our_own_hosts_are_answered(door: Door, host: str) -> None:
    assert door.ask(headers={**BEARER, "host": host}) == 200
    assert door.knock({**BEARER, "host": host, "origin": f"http://{host}"}) == 101


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8080",
        "127.0.0.1",
        "127.0.0.1:9090",
        "localhost",
        "localhost.:8080",
        "127.0.0.1.evil.example:8080",
        "evil.example#127.0.0.1:8080",
        "user@127.0.0.1:8080",
        "127.0.0.1:8080, evil.example",
        "0.0.0.0:8080",
        "edge.example",
        "edge.example:8080",
        "2130706433:8080",
        "[::ffff:127.0.0.1]:8080",
    ],
)
def test_a_rebound_name_gets_nothing_even_with_a_credential(door: Door, host: str) -> None:
    assert door.ask(headers={**BEARER, "host": host}) == 421
    assert door.ask(path="/healthz", headers={"host": host}) == 421
    assert door.knock({**BEARER, "host": host, "origin": f"http://{host}"}) == 421
    assert door.behind.reached == 0


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30))
def test_no_host_but_the_allowed_is_admitted(host: str) -> None:
    allowed = {"127.0.0.1:8080", "localhost:8080", "[::1]:8080", "a.example", "a.example:8080"}
    assert AllowedHosts.of(["a.example"]).admits(host, "http", 8080) == (host.lower() in allowed)


def test_two_hosts_are_none(door: Door) -> None:
    twice = [(b"host", b"127.0.0.1:8080"), (b"host", b"evil.example"), (b"authorization", f"Bearer {TOKEN}".encode())]
    assert _with_raw(door, twice) == 421


def _with_raw(door: Door, raw: list[tuple[bytes, bytes]]) -> int:
    original = door.app

    async def with_raw(scope: Scope, receive: Receive, send: Send) -> None:
        await original({**scope, "headers": raw}, receive, send)

    door.app = with_raw
    return door.ask()


HOSTILE = [
    "http://evil.example",
    "http://127.0.0.1:9090",
    "http://localhost:8080",
    "null",
    "https://127.0.0.1:8080.evil.example",
    "http://127.0.0.1:8080/",
    "http://a@127.0.0.1:8080",
    "ftp://127.0.0.1:8080",
]


@pytest.mark.parametrize("origin", HOSTILE)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "ANYTHING"])
def test_no_page_of_another_origin_changes_anything(door: Door, origin: str, method: str) -> None:
    for credential in (BEARER, door.cookie()):
        assert door.ask(method, headers={**credential, "origin": origin}) == 403
        assert door.knock({**credential, "origin": origin}) == 403
    assert door.behind.reached == 0


def test_a_session_alone_changes_nothing_without_an_origin(door: Door) -> None:
    assert door.ask("POST", headers=door.cookie()) == 403
    assert door.knock(door.cookie()) == 403
    assert door.ask("POST") == 200, "a program with the token sends none"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "anything"])
def test_what_a_browser_calls_another_site_is_refused_for_reads_too(door: Door, site: str) -> None:
    for credential in (BEARER, door.cookie()):
        raw = {**credential, **OWN, "sec-fetch-site": site or " "}
        assert door.ask(headers=raw) == 403
        assert door.ask("POST", headers=raw) == 403
        assert door.knock(raw) == 403


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_our_own_pages_and_typed_addresses_are_answered(door: Door, site: str) -> None:
    assert door.ask(headers={**door.cookie(), "sec-fetch-site": site}) == 200


def test_a_link_from_elsewhere_opens_pages_and_nothing_else(door: Door) -> None:
    link = {**door.cookie(), "sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert [door.ask(path=path, headers=link) for path in ("/", "/console", "/console/runs", "/login")] == [200] * 4
    assert [door.ask(path=path, headers=link) for path in ("/v1/twins", "/consoles", "/metrics")] == [403] * 3
    assert door.ask(path="/console/", headers={**link, "sec-fetch-dest": "iframe"}) == 403
    assert door.ask("POST", path="/console/", headers={**link, **OWN}) == 403


def test_behind_tls_the_origin_is_https_and_the_cookie_is_bound_to_the_host(door: Door) -> None:
    id = door.tokens.open_session(door.tokens.new_code())
    cookie = {"cookie": f"__Host-twinwright-session-8080={id}"}
    assert door.ask("POST", headers={**cookie, "origin": "https://127.0.0.1:8080"}, scheme="https") == 200
    assert door.ask("POST", headers={**cookie, "origin": BASE}, scheme="https") == 403
    assert door.ask(headers={"cookie": f"twinwright-session-8080={id}"}, scheme="https") == 401


# --- heads ---------------------------------------------------------------------------------------------------------------


def test_oversized_heads_are_refused(door: Door) -> None:
    assert door.ask(headers={**BEARER, "x-long": "x" * 40_000}) == 431
    assert door.ask(headers={**BEARER, **{f"x-{k}": "x" for k in range(MAX_HEADERS)}}) == 431
    assert door.ask(query_string=b"q=" + b"x" * 10_000) == 431


# --- the whole application -----------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(platform: LocalPlatform) -> Iterator[tuple[TestClient, TokenAuthority, ManualClock]]:
    clock = ManualClock()
    tokens = TokenAuthority(TOKEN, clock=clock)
    app = create_app(platform, tokens=tokens, metrics=platform.session.metrics)
    with TestClient(app, BASE, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, tokens, clock


def test_a_code_opens_one_session_once(fresh: tuple[TestClient, TokenAuthority, ManualClock]) -> None:
    client, tokens, _ = fresh
    code = tokens.new_code()
    first = client.get("/login", params={"code": code})
    assert (first.status_code, first.headers["location"]) == (303, "/console/")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie and code not in cookie
    assert client.get("/v1/twins").status_code == 200
    assert client.post("/v1/dead-letters/retry").status_code == 403
    assert client.post("/v1/dead-letters/retry", headers=OWN).status_code == 200
    assert TestClient(client.app, BASE).get("/login", params={"code": code}).status_code == 401


def test_a_code_expires(fresh: tuple[TestClient, TokenAuthority, ManualClock]) -> None:
    client, tokens, clock = fresh
    code = tokens.new_code()
    clock.advance(CODE_SECONDS * SECOND)
    refused = client.get("/login", params={"code": code})
    assert refused.status_code == 401 and "set-cookie" not in refused.headers


def test_guesses_do_not_use_up_a_code(fresh: tuple[TestClient, TokenAuthority, ManualClock]) -> None:
    client, tokens, _ = fresh
    code = tokens.new_code()
    for guess in (code[:-1], code + "x", code.swapcase(), "x"):
        assert client.get("/login", params={"code": guess}).status_code == 401
    assert client.head("/login", params={"code": code}).status_code == 405
    assert client.get("/login", params={"code": code}).status_code == 303


def test_over_tls_the_cookie_is_secure(platform: LocalPlatform) -> None:
    tokens = TokenAuthority(TOKEN)
    app = create_app(platform, tokens=tokens, metrics=platform.session.metrics)
    answer = TestClient(app, "https://127.0.0.1:8080", follow_redirects=False).get("/login", params={"code": tokens.new_code()})
    assert answer.headers["set-cookie"].startswith("__Host-") and "; Secure" in answer.headers["set-cookie"]


def test_logging_out_ends_the_session(fresh: tuple[TestClient, TokenAuthority, ManualClock]) -> None:
    client, tokens, _ = fresh
    cookie = client.get("/login", params={"code": tokens.new_code()}).headers["set-cookie"].partition(";")[0]
    answer = client.post("/logout", headers=OWN)
    assert answer.status_code == 204 and "Max-Age=0" in answer.headers["set-cookie"]
    assert client.get("/v1/twins", headers={"cookie": cookie}).status_code == 401


def test_a_visitor_without_a_session_is_shown_a_page(anonymous: TestClient) -> None:
    answer = anonymous.get("/v1/twins", headers={"accept": "text/html,*/*"})
    assert (
        answer.status_code == 401 and "twinwright up" in answer.text and "default-src 'none'" in answer.headers["content-security-policy"]
    )


def test_every_answer_has_safe_headers_and_none_for_sharing(anonymous: TestClient, client: TestClient) -> None:
    answers = [
        anonymous.get("/v1/twins"),
        anonymous.get("/healthz"),
        client.get("/v1/twins"),
        client.get("/nowhere"),
        client.put("/v1/twins"),
    ]
    answers += [
        client.get("/v1/twins", headers={"host": "evil.example"}),
        client.options("/v1/twins", headers={"origin": "http://evil.example"}),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_websocket_nobody_serves_is_refused_after_the_guard(anonymous: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as denied, anonymous.websocket_connect("ws://127.0.0.1:8080/v1/events"):
        pass
    assert denied.value.status_code == 401 and denied.value.json()["error"]["code"] == "Unauthenticated"
