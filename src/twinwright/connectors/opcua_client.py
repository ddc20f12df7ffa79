"""A session with an OPC UA server: where it is, how the channel to it is secured, and who asks.

Security policies are those of OPC UA Part 7 that are not deprecated, and `None` where it is said. With a policy the server has
to show the very certificate that is given here: what an endpoint offers by itself proves nothing. The library's own log
lines are left out; what fails is said once, by us.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from asyncua import Client, ua
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties
from cryptography import x509
from pydantic import Field, field_validator, model_validator

from twinwright.clock import SECOND
from twinwright.documents import Duration, Spec
from twinwright.errors import PlatformError, UsageError
from twinwright.observability.logs import get_logger

Policy = Literal["None", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"]
Mode = Literal["Sign", "SignAndEncrypt"]
FAILURES: Final = (OSError, TimeoutError, ua.UaError)  # what a server that is away, or does not want us, ends in

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_FILES: Final = ("certificate", "key", "server_certificate")
_SESSION_SECONDS: Final = 60
_REMEDY: Final = "Check that the server runs, and that address, policy, certificates and user are those that it accepts"
_log = get_logger(__name__)


class AccessSettings(Spec):
    """A server and how to reach it. Secrets are given by the names of environment variables, never here.

    `policy` has no default: `None` (anybody on the way can read and change what is sent) has to be written down. The others want
    `certificate` and `key` (ours) and `server_certificate` (the one that the server must show), each a PEM or DER file.
    """

    url: str = Field(max_length=2_048, description="opc.tcp://host:port/path")
    policy: Policy = Field(description="the security policy; None only where it is written")
    mode: Mode = Field("SignAndEncrypt", description="whether messages are signed, or signed and encrypted")
    certificate: str | None = Field(None, description="our certificate, whose application URI the server may know us by")
    key: str | None = Field(None, description="its private key")
    key_password_env: str | None = Field(None, description="the environment variable with the key's password")
    server_certificate: str | None = Field(None, description="the server's certificate; another one is refused")
    username: str | None = None
    password_env: str | None = Field(None, description="the environment variable with the user's password")
    timeout: Duration = 10 * SECOND

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "opc.tcp" or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("an address such as opc.tcp://host:4840/path is expected")
        if "@" in parts.netloc:
            raise ValueError("credentials have no place in an address: give `username` and `password_env`")
        return url if parts.port else url.replace(parts.netloc, f"{parts.netloc}:4840", 1)

    @model_validator(mode="after")
    def _has_its_files(self) -> AccessSettings:
        given = [name for name in _FILES if getattr(self, name) is not None]
        if self.policy == "None" and given:
            raise ValueError(f"the policy None makes no use of {', '.join(given)}: name a policy, or leave them out")
        missing = [name for name in _FILES if name not in given]
        if self.policy != "None" and missing:
            raise ValueError(f"the policy {self.policy} needs {', '.join(missing)}")
        return self

    @property
    def is_local(self) -> bool:
        """Whether nobody is on the way: the server is on this machine."""
        return urlsplit(self.url).hostname in _LOOPBACK


async def connect(access: AccessSettings) -> Client:
    """An activated session. Raises PlatformError where the server is away or refuses, UsageError for files and variables."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
    seconds = access.timeout / SECOND
    client = Client(access.url, timeout=seconds, watchdog_intervall=seconds)
    client.name = client.description = "Twinwright"
    client.session_timeout = _SESSION_SECONDS * 1_000
    if access.username is not None:
        client.set_user(access.username)
        client.set_password(_secret(access, access.password_env) or "")
        if access.policy == "None" and not access.is_local:
            _log.warning("password_in_clear", server=access.url, remedy="Give the connector a security policy")
    if access.policy != "None":
        await _secure(client, access)
    try:
        await client.connect()
    except FAILURES as error:
        raise failed(access, f"it can't be reached, or refuses: {_said(error)}") from error
    except Exception as error:  # the library raises what its parser and its cryptography raise
        raise failed(access, f"its answer can't be used: {_said(error)}") from error
    return client


def failed(access: AccessSettings, what: str, remedy: str = _REMEDY) -> PlatformError:
    """What went wrong with a server."""
    return PlatformError(what, where=access.url, remedy=remedy)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _secret(access: AccessSettings, variable: str | None) -> str | None:
    if variable is None:
        return None
    if variable not in os.environ:
        raise UsageError(f"the environment variable {variable} is not set", where=access.url, remedy="Set it to the password")
    return os.environ[variable]


async def _secure(client: Client, access: AccessSettings) -> None:
    try:
        certificate, key, server = (_properties(getattr(access, name)) for name in _FILES)
        key.password = _secret(access, access.key_password_env)
        client.application_uri = _application_uri(certificate) or client.application_uri
        policy: Any = getattr(security_policies, f"SecurityPolicy{access.policy}")
        await client.set_security(policy, certificate, key, server_certificate=server, mode=getattr(ua.MessageSecurityMode, access.mode))
    except (OSError, ValueError, TypeError, ua.UaError) as error:
        remedy = "Check `certificate`, `key`, its password and `server_certificate`: PEM or DER files"
        raise UsageError(f"the certificate files can't be used: {error}", where=access.url, remedy=remedy) from error


def _properties(file: str) -> CertProperties:
    """The content of a file, and whether it is PEM: by what is in it, not by its name."""
    content = Path(file).read_bytes()
    return CertProperties(content, "pem" if b"-----BEGIN" in content else "der")


def _application_uri(certificate: CertProperties) -> str | None:
    """The URI among the certificate's alternative names (OPC UA Part 6, section 6.2.2): servers compare it with what we say."""
    content = certificate.path_or_content
    assert isinstance(content, bytes)
    load = x509.load_pem_x509_certificate if certificate.extension == "pem" else x509.load_der_x509_certificate
    try:
        names = load(content).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0] if uris else None
