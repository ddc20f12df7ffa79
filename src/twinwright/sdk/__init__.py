"""The platform of another machine: a client of its REST API with the methods of `twinwright.open`, and series as Arrow.

    from twinwright import sdk

    with sdk.connect("https://plant.example:8443", ca="plant.pem") as platform:
        print(platform.history("pump-1", "pressure", every="PT1M"))

What has no place in the API (`plan`, `apply`, files of the server) is an AttributeError that says why. A request is sent again only where
that is safe: a read, a push (which has a key, and is taken in once), and whatever was refused before anything of it was taken.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from twinwright.errors import UsageError

if TYPE_CHECKING:
    from twinwright.platform.opened import Opened

TOKEN_VARIABLE: Final = "TWINWRIGHT_TOKEN"  # noqa: S105 - its name
TIMEOUT_SECONDS: Final = 60.0
RETRIES: Final = 4


def connect(
    url: str, token: str | None = None, *, ca: str | Path | None = None, timeout: float = TIMEOUT_SECONDS, retries: int = RETRIES
) -> Opened:
    """The platform at `url`, which is https, or http on this machine. Close it when done.

    `token` is by default that of the variable TWINWRIGHT_TOKEN. `ca` is a file of certificates to trust instead of the system's.
    `timeout` (seconds) is how long an answer may take; what ends with a run, a calibration or a file is waited for. Raises
    UsageError for an address, token or file that can't be used.
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

    import httpx

    from twinwright.platform.interface import Platform
    from twinwright.platform.opened import Opened
    from twinwright.sdk.rest import RestPlatform
    from twinwright.sdk.transport import Transport

    verify = ssl.create_default_context(cafile=None if ca is None else str(ca))
    client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, verify=verify, timeout=timeout, trust_env=False)
    return Opened.over(cast(Platform, RestPlatform(Transport(client, retries=retries))))
