"""Which addresses are this machine's, and which of the web may be asked or told something."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

EVERYWHERE: Final[Mapping[str, str]] = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - told apart, not listened on
"""Addresses that stand for all of a machine's, and that of them at which it reaches itself."""


def from_here(host: str, port: int) -> str:
    """`127.0.0.1:8080`, as a client on this machine writes where a server listens."""
    host = EVERYWHERE.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; names are taken for public, `localhost` apart."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def web_address(address: str, *, example: str, plain: str, named: str) -> str:
    """The address: `https://`, or plain `http://` on this machine, without name, password and fragment.

    Raises ValueError for another: `example` is one that is right, `plain` says what is wrong with `http` to other machines, and `named`
    what is with a name, password or fragment.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from None
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError(f"an address such as {example} is expected")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(plain)
    if parts.username is not None or parts.fragment:
        raise ValueError(named)
    return address
