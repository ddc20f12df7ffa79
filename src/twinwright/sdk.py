"""The platform of another machine: a client of its REST API with the methods of `twinwright.open`, and series as Arrow.

    from twinwright import sdk

    with sdk.connect("https://plant.example:8443", ca="plant.pem") as platform:
        print(platform.history("pump-1", "pressure", every="PT1M"))

What has no place in the API (`plan`, `apply`, files of the workspace, calibration) is an AttributeError that says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit

import httpx

from twinwright import errors
from twinwright.errors import PlatformError, TwinwrightError, UsageError
from twinwright.platform.interface import Platform
from twinwright.platform.opened import Opened
from twinwright.platform.remote import error_of
from twinwright.platform.wire import METHODS
from twinwright.telemetry.payloads import Payload, Receipt

TOKEN_VARIABLE: Final = "TWINWRIGHT_TOKEN"  # noqa: S105 - its name
TIMEOUT_SECONDS: Final = 60.0
# Reads: the method, its path, the names of its positional arguments; what is not in the path goes into the query.
_READS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "twins": ("/v1/twins", ()),
    "paths": ("/v1/twins/{twin}/paths", ("twin",)),
    "state": ("/digitaltwins/{twin}", ("twin",)),
    "component": ("/digitaltwins/{id}/components/{component}", ("id", "component")),
    "history": ("/v1/history/{twin}/{path}", ("twin", "path")),
    "relationship": ("/digitaltwins/{twin}/relationships/{id}", ("twin", "id")),
    "dead_letters": ("/v1/dead-letters", ()),
    "dead_letter": ("/v1/dead-letters/{id}", ("id",)),
    "kpi": ("/v1/kpis", ()),
    "status": ("/v1/status", ()),
    "clock": ("/v1/clock", ()),
    "scenarios": ("/v1/scenarios", ()),
    "runs": ("/v1/runs", ()),
    "run": ("/v1/runs/{id}", ("id",)),
    "parameter_sets": ("/v1/parameter-sets", ("model",)),
    "parameter_set": ("/v1/parameter-sets/{id}", ("id",)),
    "validations": ("/v1/validations", ()),
}
_LISTS: Final = frozenset({"twins", "paths", "scenarios", "runs", "parameter_sets", "validations"})
_QUERY_NAMES: Final = {"start": "from", "end": "to"}


def connect(url: str, token: str | None = None, *, ca: str | Path | None = None, timeout: float = TIMEOUT_SECONDS) -> Opened:
    """The platform at `url`, which is https, or http on this machine. Close it when done.

    `token` is by default that of the variable TWINWRIGHT_TOKEN. `ca` is a file of certificates to trust instead of the system's.
    Raises UsageError for an address, token or file that can't be used.
    """
    token = token or os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise UsageError("there is no token", where="token", remedy=f"Give `token`, or set {TOKEN_VARIABLE}")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise UsageError(f"'{url}' is no address of a platform", where="url", remedy="Give one such as https://plant.example:8443")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise UsageError("the token would go over the network unencrypted", where="url", remedy="Use https")
    if ca is not None and not Path(ca).is_file():
        raise UsageError("there is no such file", where=str(ca), remedy="Give a file of PEM certificates as `ca`")
    import ssl

    verify = ssl.create_default_context(cafile=None if ca is None else str(ca))
    client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, verify=verify, timeout=timeout, trust_env=False)
    return Opened.over(cast(Platform, RestPlatform(client)))


class RestPlatform:
    """Sends methods of `Platform` as requests; errors come back as what they were there."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def close(self) -> None:
        """Let go of the connections; the platform goes on."""
        self._client.close()

    def push(self, contract: str, payloads: Sequence[Payload], *, key: str | None = None) -> Receipt:
        """As `Platform.push`, of one payload without captures: a request has no place for more. Raises UsageError."""
        if len(payloads) != 1 or payloads[0].captures:
            raise UsageError("one payload without captures is sent at a time", where="payloads", remedy="Push each by itself")
        headers = {"content-type": "application/octet-stream", **({"idempotency-key": key} if key else {})}
        body = payloads[0].body
        return Receipt(**self._ask("POST", f"/v1/telemetry/{_part(contract)}", content=body, headers=headers).json())

    def retry_dead_letters(self, ids: Sequence[int] | None = None, *, contract: str | None = None) -> dict[str, Any]:
        asked = {"ids": None if ids is None else list(ids), "contract": contract}
        return cast(dict[str, Any], self._ask("POST", "/v1/dead-letters/retry", json=asked).json())

    def query(
        self, text: str, *, continuation: str | None = None, max_items: int | None = None, after: int | None = None
    ) -> dict[str, Any]:
        headers = {} if max_items is None else {"max-items-per-page": str(max_items)}
        params = {} if after is None else {"after": after}
        asked = {"query": text, "continuationToken": continuation}
        return cast(dict[str, Any], self._ask("POST", "/query", json=asked, headers=headers, params=params).json())

    def simulate(self, scenario: str | Mapping[str, Any]) -> dict[str, Any]:
        asked = {"scenario": scenario} if isinstance(scenario, str) else dict(scenario)
        return cast(dict[str, Any], self._ask("POST", "/v1/scenarios", json=asked).json())

    def verify_run(self, id: str) -> dict[str, Any]:
        return cast(dict[str, Any], self._ask("POST", f"/v1/runs/{_part(id)}/verify").json())

    def report(self, id: str) -> str:
        return self._ask("GET", f"/v1/reports/{_part(id)}").text

    def metrics(self) -> bytes:
        return self._ask("GET", "/metrics").content

    def __getattr__(self, name: str) -> Any:
        if name not in _READS:
            known = name in METHODS
            raise AttributeError(f"the API has no place for '{name}'; use the command, or `twinwright.open`" if known else name)
        return lambda *args, **options: self._read(name, args, options)

    def _read(self, name: str, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        template, names = _READS[name]
        given = {**dict(zip(names, args, strict=False)), **options}
        if len(args) > len(names) or not all(given.get(one) for one in names if f"{{{one}}}" in template):
            raise UsageError(f"`{name}` takes {', '.join(names) or 'named arguments alone'}", remedy="Name what is read")
        path = template.format(**{one: _part(str(given[one]), "/" if one == "path" else "") for one in names if f"{{{one}}}" in template})
        rest = {_QUERY_NAMES.get(one, one): value for one, value in given.items() if f"{{{one}}}" not in template and value is not None}
        answer = self._ask("GET", path, params=rest).json()
        return answer["value"] if name in _LISTS else answer

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            remedy = "See whether it is up, whether its certificate is trusted (`ca`), and the address"
            raise PlatformError(f"the platform did not answer: {error}", where=str(self._client.base_url), remedy=remedy) from error
        if answer.is_success:
            return answer
        try:
            told = answer.json()["error"]
        except (ValueError, KeyError, TypeError):
            raise PlatformError(f"it answered {answer.status_code}", where=str(answer.url), remedy="Is it a platform?") from None
        kind = next((one for one in _kinds(TwinwrightError) if one.code == told["code"]), PlatformError)
        raise error_of({"type": kind.__name__, "code": told["code"], "what": told["message"], "exit_code": kind.exit_code})


def _part(text: str, safe: str = "") -> str:
    return quote(text, safe=safe)


def _kinds(kind: type[TwinwrightError]) -> Iterator[type[TwinwrightError]]:
    for one in kind.__subclasses__():
        if hasattr(errors, one.__name__):
            yield one
        yield from _kinds(one)
