"""What the settings of several connectors have in common."""

from __future__ import annotations

from twinwright.documents import Spec


class TlsSettings(Spec):
    """`ca`: a PEM file (default: the system's); `certificate` and `key`: ours, where the broker wants one."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
