"""Lists of relationships a page at a time. Where a page ends is the key of its last one: what came or went meanwhile moves no page."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from twinwright.errors import UsageError
from twinwright.platform.page_size import page_size
from twinwright.storage.layout import EdgeKey

Read = Callable[[EdgeKey | None, int], list[dict[str, Any]]]


def page(read: Read, continuation: str | None, max_items: int | None) -> dict[str, Any]:
    """`read` gives those behind a key, at most so many, in order. Raises UsageError."""
    size = page_size(max_items)
    found = read(None if continuation is None else _key_of(continuation), size + 1)
    shown = found[:size]
    return {"value": shown, "continuationToken": _token(shown[-1]) if len(found) > size else None}


def _token(last: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([last["$sourceId"], last["$relationshipId"]]).encode()).decode()


def _key_of(token: str) -> EdgeKey:
    try:
        source, id = json.loads(base64.urlsafe_b64decode(token.encode("ascii")))
        if "\0" not in source + id and (source + id).encode():  # text that every store takes
            return str(source), str(id)
    except (ValueError, TypeError, RecursionError):
        pass
    raise UsageError("the continuation token is none of ours", where="continuationToken", remedy="Take it from the page before, as it is")
