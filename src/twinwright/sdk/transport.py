"""Requests and their answers: what failed becomes the error that it was there, and what is safe is sent again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import httpx

from twinwright.errors import PlatformError, TwinwrightError
from twinwright.platform.remote import error_of, kind_of

NOT_TAKEN: Final = frozenset({429, 503})  # nothing of the request was taken: any may be sent again
MOST_WAIT: Final = 10.0  # seconds, whatever Retry-After says
_FIRST_WAIT: Final = 0.2
FORK_HEADER: Final = "twinwright-fork"
LONG: Final = httpx.Timeout(30.0, read=None)  # of what answers when it has ended: runs, calibrations, files


class Transport:
    """Asks one platform. `retries` is how often a request is sent again, `sleep` how the time until then goes by, `fork` where in it."""

    def __init__(
        self, client: httpx.Client, *, retries: int = 4, sleep: Callable[[float], None] = time.sleep, fork: str | None = None
    ) -> None:
        self._client, self._retries, self._sleep, self._fork = client, retries, sleep, fork

    def close(self) -> None:
        """Let go of the connections; the platform goes on."""
        if self._fork is None:  # a fork speaks through those of what it was asked of
            self._client.close()

    def inside(self, fork: str) -> Transport:
        """The same platform, in a fork."""
        return Transport(self._client, retries=self._retries, sleep=self._sleep, fork=fork)

    def _headers(self, options: Mapping[str, Any]) -> dict[str, str]:
        mine = {} if self._fork is None else {FORK_HEADER: self._fork}
        return {**options.get("headers", {}), **mine}

    def ask(self, verb: str, path: str, *, safe: bool | None = None, again: bool = True, **options: Any) -> httpx.Response:
        """The answer, a success. `safe`: it may have been done already and be sent again (default: reads); `again`: its body is still
        there to be sent again.

        Raises what the platform raised, and PlatformError where it did not answer.
        """
        safe = verb == "GET" if safe is None else safe
        options["headers"] = self._headers(options)
        for left in range(self._retries if again else 0, -1, -1):
            try:
                answer = self._client.request(verb, path, **options)
            except httpx.HTTPError as error:
                never_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
                if left and (safe or never_sent) and not _is_distrust(error):
                    self._wait(left, None)
                    continue
                raise self._silence(error) from error
            if answer.is_success:
                return answer
            if not left or answer.status_code not in NOT_TAKEN:
                raise told(answer)
            self._wait(left, answer.headers.get("retry-after"))
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def stream(self, verb: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        """An answer that is read as it comes. Raises as `ask`; nothing is sent again."""
        try:
            with self._client.stream(verb, path, **{**options, "headers": self._headers(options)}) as answer:
                if not answer.is_success:
                    answer.read()
                    raise told(answer)
                yield answer
        except httpx.HTTPError as error:
            raise self._silence(error) from error

    def json(self, verb: str, path: str, **options: Any) -> Any:
        """The JSON of an answer."""
        return self.ask(verb, path, **options).json()

    def all(self, path: str, params: Mapping[str, Any] | None = None, **options: Any) -> list[dict[str, Any]]:
        """The items of every page of a list."""
        found: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            page = page_of(self.json("GET", path, params={**(params or {}), **token}, **options))
            found += page["value"]
            if page["continuationToken"] is None:
                return found
            token = {"continuationToken": page["continuationToken"]}

    def _wait(self, left: int, retry_after: str | None) -> None:
        told = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
        self._sleep(min(MOST_WAIT, max(told, _FIRST_WAIT * 2 ** (self._retries - left))))

    def _silence(self, error: httpx.HTTPError) -> PlatformError:
        remedy = "See whether it is up, whether its certificate is trusted (`ca`), and the address"
        return PlatformError(f"the platform did not answer: {error}", where=str(self._client.base_url), remedy=remedy)


def page_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """A page of a list that tells where it goes on, by a link or by itself: `value continuationToken`."""
    link = answer.get("nextLink")
    token = parse_qs(urlsplit(link).query)["continuationToken"][0] if link else answer.get("continuationToken")
    return {"value": answer["value"], "continuationToken": token}


def told(answer: httpx.Response) -> TwinwrightError:
    """The error that an answer tells, as the class that it was there."""
    try:
        error = answer.json()["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return PlatformError(f"it answered {answer.status_code}", where=str(answer.url), remedy="Is it a platform?")
    return error_like({**error, "code": code, "message": message})


def error_like(told: Mapping[str, Any]) -> TwinwrightError:
    """The error of an error object, saying what was said there."""
    kind, message = kind_of(told["code"]), told["message"]
    problems = [
        {"message": str(one["message"]), "remedy": "", "path": one.get("target"), "code": str(one["code"])}
        for one in told.get("details") or ()
    ]
    known = {"type": kind.__name__, "code": told["code"], "message": message, "what": message, "exit_code": kind.exit_code}
    return error_of({**known, "errors": problems, "correlation_id": told.get("correlation_id")})


def part(text: str, safe: str = "") -> str:
    """A text as one part of a path."""
    return quote(str(text), safe=safe)


def given(**options: Any) -> dict[str, Any]:
    """Those that are not None; in a query truth is written small."""
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in options.items() if value is not None}


def _is_distrust(error: httpx.HTTPError) -> bool:
    """Whether the certificate is not trusted, which waiting does not mend."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)
