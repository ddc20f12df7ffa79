"""If-Match and If-None-Match (RFC 9110, 13.1): what keeps an update from being lost."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from twinwright.errors import PreconditionFailedError
from twinwright.storage.layout import Relationship


def require_match(if_match: str | None, etags: Iterable[str]) -> None:
    """Raises PreconditionFailedError unless the entity, by any of its etags, is one that If-Match names."""
    if if_match is not None and if_match.strip() != "*" and _named(if_match).isdisjoint(map(_opaque, etags)):
        raise PreconditionFailedError("the entity has changed", where="If-Match", remedy="Read it again, and repeat what you want changed")


def require_none_match(if_none_match: str | None, etags: Iterable[str] | None) -> None:
    """Raises PreconditionFailedError where there is an entity (`etags` not None) that If-None-Match names."""
    if if_none_match is None or etags is None:
        return
    if if_none_match.strip() == "*" or not _named(if_none_match).isdisjoint(map(_opaque, etags)):
        raise PreconditionFailedError("the entity is there already", where="If-None-Match", remedy="Read it, and update it")


def _named(header: str) -> set[str]:
    return {_opaque(one) for one in header.split(",")}


def _opaque(etag: str) -> str:
    """Without the sign of a weak one: clients may leave it out."""
    return etag.strip().removeprefix("W/").strip('"')


def etag_of(edge: Relationship) -> str:
    """Another one for each version of a relationship."""
    told = msgspec.msgpack.encode([edge.source, edge.id, edge.changed_at, edge.commit])
    return f'W/"{hashlib.blake2b(told, digest_size=12).hexdigest()}"'
