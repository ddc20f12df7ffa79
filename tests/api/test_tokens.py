"""Tokens, codes and sessions by themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twinwright.api.tokens import MAX_CODES, MAX_SESSIONS, TokenAuthority
from twinwright.errors import StoreError, UnauthorisedError, UsageError

TOKEN = "a-token-of-tests-that-is-long-enough"


def made(folder: Path, **environment: str) -> tuple[TokenAuthority, str]:
    authority = TokenAuthority.of_workspace(folder, environment=environment)
    return authority, (folder / "token").read_text().strip() if (folder / "token").exists() else ""


def test_a_token_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / ".twinwright"
    authority, token = made(folder)
    assert authority.authenticate(token).name == "local-admin"
    assert (folder / "token").stat().st_mode & 0o777 == 0o600
    assert len(token) == 43, "256 bits in base64"
    assert made(folder)[1] == token
    assert sorted(path.name for path in folder.iterdir()) == ["token"]


def test_starting_many_at_once_makes_one_token(tmp_path: Path) -> None:
    tokens: list[str] = []
    threads = [threading.Thread(target=lambda: tokens.append(made(tmp_path)[1])) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 16 and len(set(tokens)) == 1


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    authority, token = made(tmp_path, TWINWRIGHT_TOKEN=TOKEN)
    assert token == "" and authority.authenticate(TOKEN)


def test_a_short_token_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="16 characters"):
        made(tmp_path, TWINWRIGHT_TOKEN="short")


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "token").chmod(0o640)
    with pytest.raises(StoreError, match="others"):
        made(tmp_path)


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be kept"):
        made(tmp_path / "file")


def test_no_secret_is_kept_in_memory() -> None:
    authority = TokenAuthority(TOKEN)
    code = authority.new_code()
    session = authority.open_session(authority.new_code())
    seen = _reachable(vars(authority))
    assert not [secret for secret in (TOKEN, code, session) if secret in seen or secret.encode() in seen]


def _reachable(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [found for pair in value.items() for one in pair for found in _reachable(one)]
    return [value]


@pytest.mark.parametrize(("make", "limit"), [("code", MAX_CODES), ("session", MAX_SESSIONS)])
def test_codes_and_sessions_are_bounded_and_the_oldest_goes(make: str, limit: int) -> None:
    authority = TokenAuthority(TOKEN)
    use: Callable[[str], object] = authority.open_session if make == "code" else authority.session
    given = [authority.new_code() if make == "code" else authority.open_session(authority.new_code()) for _ in range(limit + 1)]
    with pytest.raises(UnauthorisedError):
        use(given[0])
    for one in given[1:]:
        use(one)
