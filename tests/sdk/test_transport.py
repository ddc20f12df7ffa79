"""What is sent again, and what never is: against servers that fail in the ways that servers do."""

from __future__ import annotations

import contextlib
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinwright.errors import BusyError, PlatformError, TwinwrightError, UnauthorisedError
from twinwright.sdk.transport import MOST_WAIT, NOT_TAKEN, Transport

LOST = "lost"  # the request went out, and no answer came
DOWN = "down"  # nobody was there to take it
BUSY = {"error": {"code": "TooManyRequests", "message": "full"}}
outcomes = st.lists(st.sampled_from([200, 400, 429, 500, 503, LOST, DOWN]), min_size=6, max_size=6)


class Server:
    """Answers what it is told, one after the other, and counts the requests that reached it."""

    def __init__(self, *outcomes: int | str, kind: type[Transport] = Transport) -> None:
        self.outcomes, self.reached, self.asked, self.waited = list(outcomes), 0, 0, []
        client = httpx.Client(base_url="http://127.0.0.1", transport=httpx.MockTransport(self._answer))
        self.transport = kind(client, retries=4, sleep=self.waited.append)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        outcome = self.outcomes[min(self.asked, len(self.outcomes) - 1)]
        self.asked += 1
        if outcome == DOWN:
            raise httpx.ConnectError("refused", request=request)
        self.reached += 1
        if outcome == LOST:
            raise httpx.ReadError("reset", request=request)
        code = {401: "Unauthenticated", 429: "TooManyRequests"}.get(outcome, "InternalServerError")
        body = {} if outcome == 200 else {"error": {"code": code, "message": "no"}}
        return httpx.Response(outcome, json=body, headers={"retry-after": "3"} if outcome in NOT_TAKEN else {})


class Careless(Transport):
    """Sends everything again: the broken variant."""

    def ask(self, verb: str, path: str, **options: Any) -> httpx.Response:
        return super().ask(verb, path, safe=True, **options)


@given(outcomes)
def never_twice(kind: type[Transport], outcomes: list[int | str]) -> None:
    server = Server(*outcomes, kind=kind)
    with contextlib.suppress(TwinwrightError):
        server.transport.ask("POST", "/x")
    seen = server.outcomes[: server.asked]
    assert all(one in (*NOT_TAKEN, DOWN) for one in seen[:-1]), "only what was not taken was sent again"
    assert server.asked <= 5 and all(0 < wait <= MOST_WAIT for wait in server.waited)


def test_what_may_have_been_done_is_never_done_twice() -> None:
    never_twice(Transport)
    with pytest.raises(AssertionError, match="was sent again"):
        never_twice(Careless)


@given(outcomes)
def test_a_read_is_asked_again_until_it_is_answered(outcomes: list[int | str]) -> None:
    server = Server(*outcomes)
    first = next((at for at, one in enumerate(outcomes[:5]) if one not in (*NOT_TAKEN, LOST, DOWN)), None)
    if first is not None and outcomes[first] == 200:
        assert server.transport.ask("GET", "/x").is_success
    else:
        with pytest.raises(TwinwrightError):
            server.transport.ask("GET", "/x")
    assert server.asked == (5 if first is None else first + 1)


def test_the_platform_says_when_to_come_back() -> None:
    server = Server(429, 200)
    assert server.transport.ask("POST", "/x").is_success and server.waited == [3.0]
    with pytest.raises(BusyError):
        Server(429).transport.ask("POST", "/x")
    with pytest.raises(UnauthorisedError):
        Server(401).transport.ask("GET", "/x")


def test_a_body_that_is_used_up_is_not_sent_again() -> None:
    server = Server(DOWN)
    with pytest.raises(PlatformError, match="did not answer"):
        server.transport.ask("POST", "/x", again=False)
    assert server.asked == 1


def test_what_is_no_platform_is_told_so() -> None:
    client = httpx.Client(base_url="http://127.0.0.1", transport=httpx.MockTransport(lambda _: httpx.Response(404, text="<html>")))
    with pytest.raises(PlatformError, match="Is it a platform"):
        Transport(client).ask("GET", "/x")


def test_every_page_of_a_list_is_fetched_from_where_the_first_came() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "127.0.0.1", "the token goes nowhere else"
        page = {"value": [{"id": "2"}]}
        if request.url.params.get("continuationToken") is None:
            page = {"value": [{"id": "1"}], "nextLink": "https://elsewhere.example/models?continuationToken=MQ%3D%3D"}
        return httpx.Response(200, json=page)

    client = httpx.Client(base_url="http://127.0.0.1", transport=httpx.MockTransport(answer))
    assert [one["id"] for one in Transport(client).all("/models")] == ["1", "2"]
