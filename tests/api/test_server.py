"""The server itself, on real sockets."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp

from twinwright.addresses import is_loopback
from twinwright.api.server import Server
from twinwright.errors import PlatformError, UsageError

TOKEN = "a-token-of-tests-that-is-long-enough"


def test_it_serves_on_a_free_port_and_lets_go_of_it(app: ASGIApp) -> None:
    with Server(app, port=0) as server:
        assert server.url == f"http://127.0.0.1:{server.port}" and server.port > 0
        assert httpx.get(f"{server.url}/healthz", timeout=60).json() == {"status": "ok"}
        assert httpx.get(f"{server.url}/v1/status", timeout=60).status_code == 401
        answer = httpx.get(f"{server.url}/v1/status", headers={"authorization": f"Bearer {TOKEN}"}, timeout=60)
        assert answer.status_code == 200 and "server" not in answer.headers
        assert httpx.get(f"{server.url}/healthz", headers={"host": f"evil.example:{server.port}"}, timeout=60).status_code == 421
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz", timeout=60)


def test_a_taken_port_is_told(app: ASGIApp) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UsageError, match="Choose another port"):
            Server(app, port=other.getsockname()[1]).start()


def test_an_address_of_another_machine_is_told(app: ASGIApp) -> None:
    with pytest.raises(UsageError, match="can't listen"):
        Server(app, "203.0.113.7", 0, allow_plain=True).start()
    with pytest.raises(UsageError, match="an address of this machine"):
        Server(app, "no.such.host.invalid", 0, allow_plain=True).start()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "plant.example"])
def test_others_are_served_over_tls_only_unless_told(app: ASGIApp, host: str) -> None:
    with pytest.raises(UsageError, match="certificate"):
        Server(app, host, 0)
    Server(app, host, 0, allow_plain=True)


def test_loopback_addresses_are_known() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.3.2.1", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example")] == [False] * 4


def test_an_application_that_does_not_start_is_told() -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("no")

    with pytest.raises(PlatformError, match="did not start"):
        Server(broken, port=0).start()


def test_tls_is_served_with_a_secure_cookie(tmp_path: Path, app: ASGIApp, tokens: object) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*request, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    with Server(app, port=0, ssl_certificate=certificate, ssl_key=key) as server:
        assert server.url.startswith("https://")
        code = tokens.new_code()
        answer = httpx.get(f"{server.url}/login", params={"code": code}, verify=str(certificate), timeout=60)
        assert answer.status_code == 303 and "; Secure" in answer.headers["set-cookie"]
