"""Who may speak to a server: the administrator's token, one-time login codes and browser sessions.

Nothing secret is kept in clear in memory: tokens, codes and session ids are held as their SHA-256, and compared in constant time.
All of them are 256 random bits, so that a plain hash is enough (there is nothing to guess, hence nothing to stretch).
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from twinwright.clock import SECOND, Clock, SystemClock
from twinwright.errors import StoreError, UnauthorisedError, UsageError
from twinwright.governance.principals import LOCAL_ADMIN, Principal

TOKEN_FILE: Final = "token"  # noqa: S105 - a file's name
TOKEN_VARIABLE: Final = "TWINWRIGHT_TOKEN"  # noqa: S105 - a variable's name
TOKEN_BYTES: Final = 32
MIN_TOKEN_LENGTH: Final = 16
CODE_SECONDS: Final = 600
SESSION_SECONDS: Final = 12 * 3_600
MAX_CODES: Final = 32
MAX_SESSIONS: Final = 64

_REMEDY = "Send `Authorization: Bearer <token>`; the token is in .twinwright/token of the workspace"


@dataclass(frozen=True, slots=True)
class _Grant:
    """What a code or a session id stands for, until `expires` (monotonic microseconds)."""

    principal: Principal
    expires: int


class TokenAuthority:
    """Checks credentials of one server, in memory, from any thread. Codes and sessions are bounded in number and in time."""

    def __init__(self, token: str, *, principal: Principal = LOCAL_ADMIN, clock: Clock | None = None) -> None:
        """`token` is the administrator's; only its hash is kept. Raises UsageError for one that is too short to be a secret."""
        if len(token) < MIN_TOKEN_LENGTH:
            raise UsageError(
                f"a token of {len(token)} characters can be guessed",
                where=TOKEN_VARIABLE,
                remedy=f"Use at least {MIN_TOKEN_LENGTH} characters, or unset it to have one made",
            )
        self._token = _digest(token)
        self._principal = principal
        self._clock = clock or SystemClock()
        self._codes: dict[bytes, _Grant] = {}
        self._sessions: dict[bytes, _Grant] = {}
        self._lock = threading.Lock()

    @classmethod
    def of_workspace(cls, folder: Path, *, environment: Mapping[str, str] | None = None, clock: Clock | None = None) -> TokenAuthority:
        """The authority of a workspace's `.twinwright` folder: `TWINWRIGHT_TOKEN` if set, else its token file, made if absent.

        Raises StoreError where the file can't be read or written, or can be read by others; UsageError for a token too short.
        """
        given = (os.environ if environment is None else environment).get(TOKEN_VARIABLE)
        return cls(given.strip() if given else _token_of_file(folder / TOKEN_FILE), clock=clock)

    def authenticate(self, token: str) -> Principal:
        """The principal of a bearer token. Raises UnauthorisedError."""
        if not hmac.compare_digest(_digest(token), self._token):
            raise UnauthorisedError("the token is not valid", remedy=_REMEDY)
        return self._principal

    def new_code(self) -> str:
        """A one-time code, which `open_session` takes within CODE_SECONDS. Beyond MAX_CODES the oldest is forgotten."""
        return self._grant(self._codes, self._principal, CODE_SECONDS, MAX_CODES)

    def open_session(self, code: str) -> str:
        """Use a code up and return the id of a new session. Raises UnauthorisedError for a code unknown, used or expired."""
        with self._lock:
            grant = self._take(self._codes, code)
        if grant is None:
            raise UnauthorisedError(
                "the login code is not valid (any more)", remedy="Ask `twinwright up` for a fresh link; each works once"
            )
        return self._grant(self._sessions, grant.principal, SESSION_SECONDS, MAX_SESSIONS)

    def session(self, id: str) -> Principal:
        """The principal of a session that is still open. Raises UnauthorisedError."""
        key = _digest(id)
        with self._lock:
            grant = next((one for held, one in self._sessions.items() if hmac.compare_digest(held, key)), None)
            if grant is None or grant.expires <= self._clock.monotonic():
                self._sessions.pop(key, None)
                raise UnauthorisedError("the session is not valid (any more)", remedy="Ask `twinwright up` for a fresh link, and open it")
        return grant.principal

    def close_session(self, id: str) -> None:
        """End a session; one that is not open is none of our business."""
        with self._lock:
            self._sessions.pop(_digest(id), None)

    def _grant(self, held: dict[bytes, _Grant], principal: Principal, seconds: int, limit: int) -> str:
        secret = secrets.token_urlsafe(TOKEN_BYTES)
        now = self._clock.monotonic()
        with self._lock:
            for key in [key for key, one in held.items() if one.expires <= now]:
                del held[key]
            while len(held) >= limit:
                del held[next(iter(held))]
            held[_digest(secret)] = _Grant(principal, now + seconds * SECOND)
        return secret

    def _take(self, held: dict[bytes, _Grant], secret: str) -> _Grant | None:
        key = _digest(secret)
        found = next((one for one in held if hmac.compare_digest(one, key)), None)
        grant = held.pop(found) if found is not None else None
        return grant if grant is not None and grant.expires > self._clock.monotonic() else None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _token_of_file(path: Path) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            _make_token_file(path)
        if path.stat().st_mode & 0o077:
            raise StoreError("others on this machine can read the token", where=str(path), remedy="Delete the file: a new token is made")
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"the token can't be kept: {error}", where=str(path), remedy="Check the folder's owner and rights") from None


def _make_token_file(path: Path) -> None:
    """Readable by nobody else at any instant, and whole or absent: two servers that start at once agree on one token."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(TOKEN_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
