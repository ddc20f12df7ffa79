"""A certificate of one's own for TLS on this machine: self-signed, kept in the workspace's private folder, made anew before it expires."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from twinwright.errors import MissingExtraError, StoreError

CERTIFICATE: Final = "tls-certificate.pem"
KEY: Final = "tls-key.pem"
_LASTS: Final = timedelta(days=397)  # more than that browsers take from nobody
_RENEWED: Final = timedelta(days=30)  # before the end


def own_certificate(folder: Path, names: list[str]) -> tuple[Path, Path]:
    """(certificate, key) for `localhost`, the loopback addresses and `names`. Clients trust the certificate's file.

    Raises MissingExtraError, StoreError where they can't be kept.
    """
    try:
        from cryptography import x509
    except ImportError:
        raise MissingExtraError("tls", "a certificate of one's own") from None
    certificate, key = folder / CERTIFICATE, folder / KEY
    wanted = list(dict.fromkeys(["localhost", "127.0.0.1", "::1", *names]))
    try:
        with contextlib.suppress(FileNotFoundError, ValueError):
            held = x509.load_pem_x509_certificate(certificate.read_bytes())
            if key.is_file() and _names(held) >= set(wanted) and held.not_valid_after_utc - datetime.now(UTC) > _RENEWED:
                return certificate, key
        made, secret = _made(wanted)
        _write(key, secret, 0o600)
        _write(certificate, made, 0o644)
    except OSError as error:
        raise StoreError(f"can't be kept: {error.strerror}", where=str(folder), remedy="Check the folder's owner and rights") from error
    return certificate, key


def _names(certificate: Any) -> set[str]:
    from cryptography import x509

    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(one) for one in (*found.get_values_for_type(x509.DNSName), *found.get_values_for_type(x509.IPAddress))}


def _made(names: list[str]) -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Twinwright")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1)).not_valid_after(now + _LASTS)
    usage = dict.fromkeys(("key_encipherment", "content_commitment", "data_encipherment", "key_agreement", "crl_sign"), False)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    for extension, critical in (
        (x509.SubjectAlternativeName([_general(name) for name in names]), False),
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (x509.KeyUsage(digital_signature=True, key_cert_sign=True, encipher_only=False, decipher_only=False, **usage), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (identifier, False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False),
    ):
        builder = builder.add_extension(extension, critical)
    made = builder.sign(key, hashes.SHA256())
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM), secret


def _general(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, and never readable by more than `mode` says."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
