"""Request bodies, read within limits: of size before and after decompression, of time, of depth."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import msgspec
import numpy as np
from starlette.requests import ClientDisconnect, Request

from twinwright.api.compression import UNPACK, too_large
from twinwright.api.errors import RequestTimeoutError
from twinwright.errors import TooLargeError, UnsupportedMediaError, UsageError
from twinwright.telemetry.payloads import MAX_PAYLOAD_BYTES

MAX_DOCUMENT_BYTES: Final = 1024 * 1024
MAX_MODELS_BYTES: Final = 32 * 1024 * 1024
MAX_DEPTH: Final = 64
BODY_SECONDS: Final = 60.0
TELEMETRY_TYPES: Final = (
    "application/json",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/octet-stream",
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.file",
    "application/vnd.apache.arrow.stream",
    "text/csv",
    "text/plain",
)
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # an open string ends with the body: each byte is looked at once


async def read_telemetry(request: Request) -> bytes:
    """The payload of a push. Raises UnsupportedMediaError, TooLargeError, RequestTimeoutError, UsageError (broken compression)."""
    _check_type(request, TELEMETRY_TYPES)
    return await _read(request, MAX_PAYLOAD_BYTES)


async def read_document(request: Request) -> Any:
    """A small JSON document; None for an empty body. Raises as `read_telemetry`, and UsageError for what is not JSON."""
    return await _document(request, MAX_DOCUMENT_BYTES)


async def read_models(request: Request) -> Any:
    """DTDL documents: as `read_document`, and larger, since an ontology is added whole."""
    return await _document(request, MAX_MODELS_BYTES)


async def _document(request: Request, limit: int) -> Any:
    _check_type(request, ("application/json",))
    body = await _read(request, limit)
    if not body.strip():
        return None
    if nesting(body) > MAX_DEPTH:
        raise TooLargeError(f"JSON nested deeper than {MAX_DEPTH}", where="body", remedy="Make the document flatter")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the body is not JSON: {error}", where="body", remedy="Send one JSON document in UTF-8") from None


def nesting(body: bytes) -> int:
    """How deep brackets nest outside of strings. Linear in the size, whatever the body is."""
    codes = np.frombuffer(_STRING.sub(b"", body), np.uint8)
    opened = (codes == ord("[")) | (codes == ord("{"))
    closed = (codes == ord("]")) | (codes == ord("}"))
    depth = np.cumsum(opened.astype(np.int32) - closed.astype(np.int32))
    return int(depth.max(initial=0))


def _check_type(request: Request, known: tuple[str, ...]) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given and given not in known and not (given.endswith("+json") and "application/json" in known):
        raise UnsupportedMediaError(f"the content type '{given}' is not read here", where="Content-Type", remedy=f"Use {', '.join(known)}")


async def _read(request: Request, limit: int) -> bytes:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity" and encoding not in UNPACK:
        known = ", ".join(UNPACK)
        raise UnsupportedMediaError(f"the encoding '{encoding}' is not read here", where="Content-Encoding", remedy=f"Use {known}, or none")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                if len(body) + len(chunk) > limit:
                    raise too_large(limit)
                body += chunk
    except TimeoutError:
        raise RequestTimeoutError(f"the body did not arrive within {BODY_SECONDS:g} s", remedy="Send it in smaller parts") from None
    except ClientDisconnect:
        raise UsageError("the client hung up in the middle of the body", remedy="Send it again; nothing was taken") from None
    return bytes(body) if encoding == "identity" else UNPACK[encoding](bytes(body), limit)
