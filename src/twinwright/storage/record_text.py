"""The bodies of records as the text that is stored: JSON with sorted keys, in which every number is finite."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

_MOST = 100_000  # values that are looked at here: what holds itself has no end
_NO_FLOATS = frozenset({str, int, bool, type(None)})
_DIGEST = re.compile("[0-9a-f]{64}")
_quick = msgspec.json.Encoder(order="sorted").encode_lines
_strict = json.JSONEncoder(sort_keys=True, allow_nan=False).encode


DIGEST: Final = '"digest": ?"([0-9a-f]{64})"'
"""The expression that finds the digest that records are looked up by in the text of one: keys are sorted, and it is the first."""


def digest_head(body: Mapping[str, Any]) -> int | None:
    """The first 64 bits of the digest that a record is looked up by, where it has one."""
    digest = body.get("digest")
    return int(digest[:16], 16) if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None


def record_texts(bodies: Collection[Mapping[str, Any]]) -> list[str]:
    """Of many together, which is quicker. Raises TypeError and ValueError for what is no JSON. The quick way would write NaN as null, so
    where one is, all go the other."""
    if _finite(bodies):
        try:
            return _quick(bodies).decode().split("\n")[:-1]
        except (TypeError, ValueError, OverflowError, RecursionError):
            pass
    return [_strict(body) for body in bodies]


def _finite(bodies: Collection[Mapping[str, Any]]) -> bool:
    left: list[Any] = [value for body in bodies for value in body.values() if type(value) not in _NO_FLOATS]
    most = max(_MOST, 100 * len(left))
    for value in left:
        kind = type(value)
        if kind in _NO_FLOATS:
            continue
        if kind is dict:
            left += value.values()
        elif kind is list or kind is tuple:
            left += value
        elif isinstance(value, float) and not math.isfinite(value):
            return False
        if len(left) > most:
            return False
    return True
