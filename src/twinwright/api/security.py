"""The guard at the door, for HTTP requests and websocket upgrades alike. Nothing behind it is reached without passing.

What it holds against, and how:

- **DNS rebinding**: the Host must be one that this server answers to, with its port.
- **Hostile pages**: every unsafe method and every websocket upgrade needs an Origin of ours where a browser sends one, and a session
  cookie is never enough without it. Ports of one host are the same *site* to a browser, so `SameSite=Strict` alone does not keep a page
  of another local port out: `Sec-Fetch-Site` must be `same-origin` or `none` (typed, bookmarked) where it is sent, the opening of a
  console page or login link apart. There are no CORS headers, and answers may be embedded by nobody.
- **Everyone else**: a bearer token or a session cookie, compared in constant time; open are only the health checks and the login.

A browser sends cookies to every port of a host. Another *program* that listens on the same host name and that the user opens in the
same browser is shown the session cookie; sessions are therefore short, and never hold the token. Give servers names of their own
where such programs are not trusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twinwright.api.errors import HeadersTooLargeError, MisdirectedError, error_response
from twinwright.api.tokens import SESSION_SECONDS, TokenAuthority
from twinwright.errors import ForbiddenError, TwinwrightError, UnauthorisedError
from twinwright.governance.principals import Principal

PRINCIPAL: Final = "twinwright.principal"  # where the guard leaves the principal in the scope
HEALTH_PATHS: Final = frozenset({"/healthz", "/readyz"})
LOGIN_PATH: Final = "/login"
CONSOLE_PATH: Final = "/console"
LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 32 * 1024
MAX_TARGET_BYTES: Final = 8 * 1024
_SCHEMES: Final = frozenset({"bearer", "token"})  # `Token` is what writers to InfluxDB say
_POLICY_VIOLATION: Final = 1008  # RFC 6455, section 7.4.1
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The Host headers that a server answers to: loopback names with its port, and `configured` ones (`name` or `name:port`)."""

    configured: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, names: Iterable[str]) -> AllowedHosts:
        return cls(frozenset(name.strip().lower() for name in names if name.strip()))

    def admits(self, host: str, scheme: str, port: int | None) -> bool:
        """Whether a Host header names this server, which speaks `scheme` on `port`."""
        return host.lower() in _names(self.configured, scheme, port)


@lru_cache(maxsize=64)
def _names(configured: frozenset[str], scheme: str, port: int | None) -> frozenset[str]:
    with_port = {f"{one}:{port}" for one in (*LOOPBACK_NAMES, *configured)}
    return configured | with_port | (set(LOOPBACK_NAMES) if port == _DEFAULT_PORTS[scheme] else set())


class Headers:
    """What the guard reads of a request; a header that must be unique and is not counts as a false one."""

    def __init__(self, scope: Scope) -> None:
        self._raw: list[tuple[bytes, bytes]] = list(scope["headers"])

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self._raw if key.lower() == name]

    def one(self, name: bytes) -> str | None:
        """The header, None where it is absent, and an empty text (that nothing accepts) where it is given twice."""
        found = self.all(name)
        return None if not found else found[0].strip() if len(found) == 1 else ""

    def cookies(self, name: str) -> list[str]:
        pairs = (part.strip().partition("=") for line in self.all(b"cookie") for part in line.split(";"))
        return [value for key, _, value in pairs if key == name]

    def size(self) -> tuple[int, int]:
        """How many headers there are, and their bytes."""
        return len(self._raw), sum(len(name) + len(value) for name, value in self._raw)


class Guard:
    """ASGI middleware: admits a request with its principal in the scope, or answers it with the error object itself."""

    def __init__(self, app: ASGIApp, *, tokens: TokenAuthority, hosts: AllowedHosts) -> None:
        self.app = app
        self._tokens = tokens
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope)
        try:
            _check_size(scope, headers)
            self._check_host(scope, headers)
            self._check_origin(scope, headers)
            if scope["type"] == "websocket" or scope["path"] not in HEALTH_PATHS | {LOGIN_PATH}:
                scope[PRINCIPAL] = self._principal(scope, headers)
        except TwinwrightError as error:
            await _refuse(error, scope, headers, receive, send)
            return
        await self.app(scope, self._while_valid(scope, headers, receive), send)

    def _check_host(self, scope: Scope, headers: Headers) -> None:
        host = headers.one(b"host")
        if not host or not self._hosts.admits(host, http_scheme(scope), _port(scope)):
            raise MisdirectedError(
                "this server does not answer to that Host", remedy="Add the name to `allowed_hosts` if it is one of its own"
            )

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        upgrade = scope["type"] == "websocket"
        origin, site = headers.one(b"origin"), headers.one(b"sec-fetch-site")
        if site is not None and site not in ("same-origin", "none") and not _opens_a_page(scope, headers):
            raise ForbiddenError(f"a page of another origin ({site or 'unknown'}) may not ask", remedy="Open the console itself")
        if not upgrade and scope["method"] in SAFE_METHODS:
            return
        if origin is not None and not _same_origin(origin, headers.one(b"host") or "", http_scheme(scope)):
            raise ForbiddenError("the Origin is not this server", remedy="Only pages of this server may change anything here")
        if origin is None and headers.one(b"authorization") is None and self._session(scope, headers) is not None:
            raise ForbiddenError(
                "a session needs an Origin for this", remedy="Send `Authorization: Bearer <token>` where there is no browser"
            )

    def _principal(self, scope: Scope, headers: Headers) -> Principal:
        authorization = headers.one(b"authorization")
        if authorization is not None:
            return principal_of(self._tokens, authorization)
        session = self._session(scope, headers)
        if session is None:
            raise UnauthorisedError(
                "no credential", remedy="Send `Authorization: Bearer <token>`, or open the link that `twinwright up` prints"
            )
        return session

    def _session(self, scope: Scope, headers: Headers) -> Principal | None:
        for id in headers.cookies(cookie_name(scope))[:4]:  # another program on this host may have set one of the same name
            try:
                return self._tokens.session(id)
            except UnauthorisedError:
                continue
        return None

    def _while_valid(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """A websocket outlives the request that opened it: once its session has ended, so has the socket."""
        if scope["type"] != "websocket" or headers.one(b"authorization") is not None:
            return receive

        async def checked() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and self._session(scope, headers) is None:
                return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION, "reason": "the session has ended"}
            return message

        return checked


def principal_of(tokens: TokenAuthority, authorization: str) -> Principal:
    """Whom `Bearer <token>` stands for. Raises UnauthorisedError."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() not in _SCHEMES or not token.strip():
        raise UnauthorisedError("the Authorization header is not `Bearer <token>`", remedy="Send the token of .twinwright/token so")
    return tokens.authenticate(token.strip())


def http_scheme(scope: Scope) -> str:
    """`http` or `https`, for websockets too."""
    return "https" if scope.get("scheme") in ("https", "wss") else "http"


def cookie_name(scope: Scope) -> str:
    """Servers on several ports of a host share a browser's cookies: each has a name of its own."""
    prefix = "__Host-" if http_scheme(scope) == "https" else ""
    return f"{prefix}twinwright-session-{_port(scope)}"


def session_cookie(scope: Scope, id: str, *, seconds: int = SESSION_SECONDS) -> str:
    """The Set-Cookie header of a session: out of reach of scripts, and of requests that begin on other sites."""
    secure = "; Secure" if http_scheme(scope) == "https" else ""
    return f"{cookie_name(scope)}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def session_ids(scope: Scope) -> list[str]:
    """The session ids that a request carries, valid or not."""
    return Headers(scope).cookies(cookie_name(scope))


def _port(scope: Scope) -> int | None:
    server = scope.get("server")
    return server[1] if server else None


def _check_size(scope: Scope, headers: Headers) -> None:
    count, size = headers.size()
    target = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
    if count > MAX_HEADERS or size > MAX_HEADER_BYTES or target > MAX_TARGET_BYTES:
        limits = f"at most {MAX_TARGET_BYTES} bytes of path and query, {MAX_HEADERS} headers, {MAX_HEADER_BYTES} bytes of them"
        raise HeadersTooLargeError("the head of the request is too large", remedy=f"Send less: {limits}")


def _opens_a_page(scope: Scope, headers: Headers) -> bool:
    """Following a link to the console or to a login from elsewhere: the page opens in a window of its own and tells nobody else."""
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return False
    is_page = scope["path"] in ("/", LOGIN_PATH, CONSOLE_PATH) or scope["path"].startswith(f"{CONSOLE_PATH}/")
    return is_page and headers.one(b"sec-fetch-mode") == "navigate" and headers.one(b"sec-fetch-dest") == "document"


def _same_origin(origin: str, host: str, scheme: str) -> bool:
    """Behind a proxy that ends TLS the browser's scheme is https where ours is http; never the other way round."""
    parts = urlsplit(origin)
    return parts.scheme in {scheme, "https"} and parts.netloc.lower() == host.lower() and origin == f"{parts.scheme}://{parts.netloc}"


async def _refuse(error: TwinwrightError, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
    response = _sign_in_page(error) if _is_visit(error, scope, headers) else error_response(error)
    if scope["type"] == "http":
        await response(scope, receive, send)
        return
    await receive()  # the connect, which comes first
    if "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", "status": response.status_code, "headers": response.raw_headers})
        await send({"type": "websocket.http.response.body", "body": bytes(response.body)})
    else:
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})


def _is_visit(error: TwinwrightError, scope: Scope, headers: Headers) -> bool:
    return error.http_status == 401 and scope["type"] == "http" and "text/html" in (headers.one(b"accept") or "")


def _sign_in_page(error: TwinwrightError) -> Response:
    return HTMLResponse(SIGN_IN_PAGE, error.http_status, {"content-security-policy": PAGE_POLICY, "www-authenticate": "Bearer"})


PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
SIGN_IN_PAGE: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in - Twinwright</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><style>
body{font:16px/1.55 system-ui,sans-serif;margin:0;min-height:100vh;display:grid;place-items:center;background:light-dark(#f6f7f8,#12161a);
color:light-dark(#1c2329,#e4e8eb)}main{max-width:26rem;padding:2rem}h1{font-size:1.25rem;margin:0 0 .5rem}p{margin:0 0 1rem;
color:light-dark(#5c6770,#9aa5ae)}code{font:.9em ui-monospace,monospace;color:light-dark(#1c2329,#e4e8eb)}</style></head><body><main>
<h1>You are not signed in</h1><p>Open the link that <code>twinwright up</code> printed when it started. Each link signs in one browser,
once, and stays valid for ten minutes.</p><p>For a fresh one, run <code>twinwright up</code> again or ask whoever runs this server.</p>
</main></body></html>"""
