"""Batch load of files through the pipeline: resumable, with a few chunks in flight so that decoding overlaps committing."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from twinwright.connectors.chunks import Chunking, read_chunks, resume
from twinwright.errors import BusyError, NotFoundError
from twinwright.governance.principals import Principal
from twinwright.platform.interface import Progress
from twinwright.platform.session import Session
from twinwright.telemetry.payloads import Delivery, Payload, Position, Receipt

_IN_FLIGHT = 24  # chunks of 4 MiB: while some are being committed, enough others wait for a batch of their own


def ingest_files(session: Session, principal: Principal, files: Sequence[str], contract: str, progress: Progress | None) -> Receipt:
    """The receipt of all files together. Raises NotFoundError before anything is read, UsageError where a file can't be."""
    principal.require_write()
    spec = session.pipeline.contract(contract).spec
    paths = [Path(file) for file in files]
    for path in paths:
        if not path.is_file():
            raise NotFoundError(f"there is no file {path}", remedy="Check the path")
    started = perf_counter()
    sizes = [path.stat().st_size for path in paths]
    total = Receipt()
    for index, path in enumerate(paths):
        before = sum(sizes[:index])

        def report(done: int, _size: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, sum(sizes))

        where = resume(path, spec.format, lambda stream: session.store.position(principal, contract, stream))
        how = Chunking(delimiter=spec.delimiter)
        chunks = read_chunks(path, spec.format, start=where.start, stream=where.stream, how=how, progress=report)
        flying: deque[Future[Receipt]] = deque()
        for payload, position in chunks:
            total = total + _submitted(session, contract, payload, position, flying)
        while flying:
            total = total + flying.popleft().result()
    return replace(total, seconds=perf_counter() - started)


def _submitted(session: Session, contract: str, payload: Payload, position: Position, flying: deque[Future[Receipt]]) -> Receipt:
    """Send one chunk on; the receipts of those that had to be waited for."""
    done = Receipt()
    while len(flying) >= _IN_FLIGHT:
        done = done + flying.popleft().result()
    while True:
        try:
            flying.append(session.pipeline.submit_soon(Delivery(contract, (payload,), (position,))))
            return done
        except BusyError:
            if not flying:
                raise
            done = done + flying.popleft().result()
