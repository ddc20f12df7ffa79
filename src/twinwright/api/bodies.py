"""Request bodies, read within limits: of size before and after decompression, of time, of depth."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from starlette.requests import ClientDisconnect, Request

from twinwright.api.body_bytes import share_of
from twinwright.api.compression import UNPACK, too_large
from twinwright.api.errors import RequestTimeoutError
from twinwright.errors import TooLargeError, UnsupportedMediaError, UsageError
from twinwright.telemetry.payloads import MAX_PAYLOAD_BYTES

MAX_DOCUMENT_BYTES: Final = 1024 * 1024
MAX_MODELS_BYTES: Final = 32 * 1024 * 1024
MAX_ROWS_BYTES: Final = 32 * 1024 * 1024
MAX_UPLOAD_BYTES: Final = 1024 * 1024 * 1024
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
    """The payload of a push. Raises UnsupportedMediaError, TooLargeError, RequestTimeoutError, UsageError (broken compression), BusyError
    where too many bytes of other requests are in memory."""
    _check_type(request, TELEMETRY_TYPES)
    return await _read(request, MAX_PAYLOAD_BYTES)


@asynccontextmanager
async def uploaded(request: Request) -> AsyncIterator[Path]:
    """A file of telemetry as it was sent, on disk for a block, in a folder of its own. Raises as `read_telemetry`."""
    _check_type(request, TELEMETRY_TYPES)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaError("a file is not unpacked here", where="Content-Encoding", remedy="Send it plain")
    _check_length(request, MAX_UPLOAD_BYTES)
    with tempfile.TemporaryDirectory(prefix="twinwright-upload-") as folder:
        path, size = Path(folder) / "file", 0
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=1 << 20) as file:
            chunks = aiter(request.stream())
            while (chunk := await _next(chunks)) is not None:
                size += len(chunk)
                if size > MAX_UPLOAD_BYTES:
                    raise too_large(MAX_UPLOAD_BYTES)
                file.write(chunk)
        yield path


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    try:
        async with asyncio.timeout(BODY_SECONDS):  # for each part: a large file takes long, a client that stopped is not waited for
            return await anext(chunks, None)
    except TimeoutError:
        raise RequestTimeoutError(f"no part of the file arrived within {BODY_SECONDS:g} s", remedy="Send it again") from None
    except ClientDisconnect:
        raise UsageError("the client hung up in the middle of the file", remedy="Send it again; nothing was taken") from None


async def read_document(request: Request) -> Any:
    """A small JSON document; None for an empty body. Raises as `read_telemetry`, and UsageError for what is not JSON."""
    return await _document(request, MAX_DOCUMENT_BYTES)


async def read_models(request: Request) -> Any:
    """DTDL documents: as `read_document`, and larger, since an ontology is added whole."""
    return await _document(request, MAX_MODELS_BYTES)


async def read_rows(request: Request) -> Any:
    """A document with rows of a table: as `read_document`, and larger."""
    return await _document(request, MAX_ROWS_BYTES)


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


def fields(document: Any, kinds: Mapping[str, type], required: Sequence[str] = ()) -> dict[str, Any]:
    """Those of an object that are given and not null, each of its kind. Raises UsageError; None is an object without any."""
    given = {} if document is None else document
    if not isinstance(given, dict) or not given.keys() <= kinds.keys():
        unknown = sorted(given.keys() - kinds.keys()) if isinstance(given, dict) else []
        what = f"there is no field '{unknown[0][:80]}'" if unknown else "the body is no object"
        raise UsageError(what, where="body", remedy=f"Send an object of {', '.join(f'`{name}`' for name in kinds)}")
    found = {name: value for name, value in given.items() if value is not None}
    for name in required:
        if name not in found:
            raise UsageError(f"`{name}` is missing", where="body", remedy=f"Give {' and '.join(f'`{one}`' for one in required)}")
    for name, value in found.items():
        if not _is(value, kinds[name]):
            raise UsageError(f"`{name}` is not {_NAMES[kinds[name]]}", where=f"$.{name}", remedy=f"Give {_NAMES[kinds[name]]}")
    return found


def options_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as the methods of the platform call them: `from` is a word of Python."""
    return {{"from": "start", "to": "end"}.get(name, name): value for name, value in asked.items()}


_NAMES: Final[Mapping[type, str]] = {str: "a text", float: "a number", bool: "true or false", list: "a list of texts"}


def _is(value: Any, kind: type) -> bool:
    if kind is list:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind)


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


def _check_length(request: Request, limit: int) -> None:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)


async def _read(request: Request, limit: int) -> bytes:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity" and encoding not in UNPACK:
        known = ", ".join(UNPACK)
        raise UnsupportedMediaError(f"the encoding '{encoding}' is not read here", where="Content-Encoding", remedy=f"Use {known}, or none")
    _check_length(request, limit)
    share, body = share_of(request), bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                if len(body) + len(chunk) > limit:
                    raise too_large(limit)
                share.keep(len(body) + len(chunk))
                body += chunk
    except TimeoutError:
        raise RequestTimeoutError(f"the body did not arrive within {BODY_SECONDS:g} s", remedy="Send it in smaller parts") from None
    except ClientDisconnect:
        raise UsageError("the client hung up in the middle of the body", remedy="Send it again; nothing was taken") from None
    if encoding == "identity":
        return bytes(body)
    share.keep(len(body) + limit)  # nobody knows how much it becomes
    plain = UNPACK[encoding](bytes(body), limit)
    share.keep(len(plain))
    return plain
