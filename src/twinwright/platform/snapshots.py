"""Where a snapshot of a source is read from: a file, a web address, or the source itself."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from twinwright.addresses import web_address
from twinwright.errors import NotFoundError, PlatformError, UsageError
from twinwright.telemetry.payloads import Payload, Receipt

if TYPE_CHECKING:  # a command that speaks to a running platform names a place, and loads none of what reads it
    from twinwright.platform.session import Session
    from twinwright.telemetry.contract import Contract

SOURCE: Final = "source"
MAX_BYTES: Final = 256 * 1024 * 1024  # of an answer
_WALL: Final = 120.0  # seconds for all of one
_QUIET: Final = 2.0  # seconds without anything more, after which a source has told what it has
_MOST: Final = 100_000  # payloads that a source tells


def place_of(against: str) -> str:
    """The same place, named so that another process finds it."""
    return against if against == SOURCE or is_address(against) else str(Path(against).resolve())


def payloads(session: Session, contract: Contract, against: str, *, token: str | None = None) -> Iterator[Payload]:
    """What the snapshot says. `token` is sent to a web address as `Authorization: Bearer`.

    Raises NotFoundError for a file that is not there, UsageError for one that can't be read, an address that must not be asked, or a
    connector that can't tell; PlatformError where the other side fails.
    """
    if against == SOURCE:
        yield from _told(session, contract)
    elif is_address(against):
        with _fetched(against, token) as file:
            yield from _of_file(file, contract)
    else:
        path = Path(against)
        if not path.is_file():
            raise NotFoundError(f"there is no file {path}", remedy="Check the path")
        yield from _of_file(path, contract)


def is_address(against: str) -> bool:
    """Whether it is asked over the web."""
    return against.startswith(("http://", "https://"))


def _of_file(path: Path, contract: Contract) -> Iterator[Payload]:
    from twinwright.connectors.chunks import Chunking, read_chunks

    for payload, _ in read_chunks(path, contract.spec.format, how=Chunking(delimiter=contract.spec.delimiter)):
        yield payload


@contextlib.contextmanager
def _fetched(address: str, token: str | None) -> Iterator[Path]:
    """The answer in a file that goes when it has been read."""
    import httpx

    try:
        web_address(
            address,
            example="https://example.com/values",
            plain="snapshots come from other machines by https only",
            named="no name, password or fragment belongs in it",
        )
    except ValueError as error:
        raise UsageError(str(error), where="against", remedy="Correct the address") from None
    headers = {"authorization": f"Bearer {token}"} if token else {}
    where, until, size = f"snapshot {address}", time.monotonic() + _WALL, 0
    with tempfile.NamedTemporaryFile(prefix="twinwright-snapshot-") as file:
        try:
            with httpx.stream("GET", address, headers=headers, timeout=30.0, follow_redirects=False, trust_env=False) as answer:
                if answer.status_code != 200:
                    raise PlatformError(f"it answered {answer.status_code}", where=where, remedy="Ask it by hand: curl -v")
                for part in answer.iter_bytes():
                    size += len(part)
                    if size > MAX_BYTES or time.monotonic() > until:
                        limit = f"more than {MAX_BYTES} bytes" if size > MAX_BYTES else f"more than {_WALL:.0f} s"
                        raise PlatformError(f"{limit} of it", where=where, remedy="Ask it for less, or save it to a file")
                    file.write(part)
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            raise PlatformError(f"it can't be fetched: {said}", where=where, remedy="Check that it is reachable") from None
        file.flush()
        yield Path(file.name)


def _told(session: Session, contract: Contract) -> Iterator[Payload]:
    """What a connector says of the present when it is opened anew; nothing is acknowledged to it."""
    from twinwright.connectors.registry import find_connector, load_connectors
    from twinwright.workspace.load import bindings

    source = contract.spec.source
    name = None if source is None else source.connector
    settings = session.settings.connectors.get(name or "")
    if name is None or settings is None:
        raise UsageError("the contract has no connector", where=f"contract '{contract.name}'", remedy="Compare with a file or an address")
    kind = find_connector(settings.type, load_connectors())
    if not getattr(kind, "tells_present", False):
        what = f"a connector of type {settings.type} can't tell the present without taking something away"
        raise UsageError(what, where=f"connector '{name}'", remedy="Compare with a file or an address")
    bound = tuple(one for one in bindings(settings, name, session.served.applied.contracts) if one.contract == contract.name)
    opened = kind(name, kind.Settings.model_validate(settings.options), bound)
    opened.open(lambda _contract, _stream: 0)
    told = 0
    try:
        while (delivery := opened.poll(_QUIET)) is not None:
            told += len(delivery.payloads)
            if told > _MOST:
                raise PlatformError(f"more than {_MOST} payloads", where=f"connector '{name}'", remedy="Compare with a file")
            yield from delivery.payloads
            opened.committed(delivery, Receipt())
    finally:
        opened.close()
