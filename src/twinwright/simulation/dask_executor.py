"""Runs on the workers of a Dask scheduler: `dask://HOST:PORT` on this machine, `tls://HOST:PORT` with certificates elsewhere.

Which run goes where, and what becomes of the work of a worker that is lost, is the scheduler's business. A task is a batch of runs as
bytes: the worker decodes them and runs them as they would be run here, in children with the same limits and cut off in the same way
(`executor.run_batch`), and answers with bytes. Nothing that a model returns is unpickled, and what is no answer of ours is a failed run.

A worker needs this package in the same versions, and the same platform: else its numbers would not be those of the digest. One that has
others says so, and the request ends.
"""

from __future__ import annotations

import contextlib
import importlib.util
import queue
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from twinwright.addresses import is_loopback
from twinwright.errors import MissingExtraError, PlatformError, RefusedError, TwinwrightError, UsageError
from twinwright.simulation import plain_data
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.digest import engine_versions, platform_tag
from twinwright.simulation.executor import GONE, BatchSizes, Work, checked, run_batch
from twinwright.simulation.outcomes import Cancel, Cancelled, Cost, Failure, Limits, Outcome, Success

if TYPE_CHECKING:
    from distributed import Client, Future

_CONNECT_SECONDS: Final = 10.0
_WORKER_SECONDS: Final = 30.0  # for a first worker to be there
_LOOK_SECONDS: Final = 0.5
_FORMS: Final = "Use dask://127.0.0.1:8786 for a scheduler on this machine, tls://HOST:8786 elsewhere"


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: those of the authority that is trusted, our certificate and its key."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class DaskExecutor:
    """Executes runs on the workers of one scheduler."""

    address: str
    certificates: Certificates | None = None

    def run_all(self, work: Sequence[Work], cancel: Cancel | None = None) -> Iterator[tuple[int, Outcome]]:
        """As `executor.run_all`. Raises PlatformError where the scheduler or its workers are not there, RefusedError where a worker is of
        other versions, Cancelled."""
        if not work:
            return
        with self._client() as client:
            yield from _Request(client, work, cancel).outcomes()

    @contextlib.contextmanager
    def _client(self) -> Iterator[Client]:
        from distributed import Client
        from distributed.security import Security

        files = self.certificates
        security = None
        if files is not None:
            named = {"tls_ca_file": str(files.ca), "tls_client_cert": str(files.certificate), "tls_client_key": str(files.key)}
            security = Security(**named, require_encryption=True)
        remedy = "Start `dask scheduler` there, or name another executor"
        try:
            client = Client(self.address, timeout=_CONNECT_SECONDS, security=security, set_as_default=False)
        except Exception as error:  # of many kinds: of the network, of TLS, of the protocol
            raise PlatformError(f"the scheduler does not answer: {error}", where=self.address, remedy=remedy) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=_WORKER_SECONDS)
            except TimeoutError as error:
                remedy = "Start `dask worker` beside the scheduler"
                raise PlatformError("the scheduler has no workers", where=self.address, remedy=remedy) from error
            yield client


def executor_of(text: str, certificates: Certificates | None) -> DaskExecutor:
    """The executor that an address names. Raises UsageError for an address that is none, is not of this machine and not encrypted, or lacks
    certificates, MissingExtraError."""
    parts = urlsplit(text)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme not in ("dask", "tls") or not host or not port or parts.path or parts.username:
        raise UsageError(f"there is no executor '{text}'", where="executor", remedy=f"Leave it out, or: {_FORMS}")
    if importlib.util.find_spec("distributed") is None:
        raise MissingExtraError("dask", f"the executor {text}")
    at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if parts.scheme == "tls":
        if certificates is None:
            remedy = "Set dask_ca, dask_certificate and dask_key in [simulation] of twinwright.toml"
            raise UsageError("there are no certificates for it", where="executor", remedy=remedy)
        return DaskExecutor(f"tls://{at}", certificates)
    if not is_loopback(host):
        raise UsageError(f"models and their answers would go to {host} unencrypted", where="executor", remedy=_FORMS)
    return DaskExecutor(f"tcp://{at}")


class _Request:
    """One call of `run_all`: batches that are out, and what came back."""

    def __init__(self, client: Client, work: Sequence[Work], cancel: Cancel | None) -> None:
        self._client, self._work, self._cancel = client, work, cancel
        self._threads = max(1, sum(client.nthreads().values()))
        self._sizes = BatchSizes(len(work), self._threads)
        self._out: dict[Future, list[int]] = {}
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        # A task of its own, which the scheduler can do again: what is scattered would be lost with its worker.
        self._model = client.submit(_same, _model_bytes(work[0].definition), pure=False)

    def outcomes(self) -> Iterator[tuple[int, Outcome]]:
        try:
            while True:
                if self._cancel is not None and self._cancel.is_set():
                    raise Cancelled
                while len(self._out) < 2 * self._threads and (batch := self._sizes.take()):
                    future = self._submit(batch)
                    self._out[future] = batch
                    future.add_done_callback(self._ended.put)
                if not self._out:
                    return
                with contextlib.suppress(queue.Empty):
                    ended = self._ended.get(timeout=_LOOK_SECONDS)
                    yield from self._answers(ended, self._out.pop(ended))
        finally:
            self._client.cancel([*self._out, self._model], force=True)

    def _submit(self, batch: list[int]) -> Future:
        return self._client.submit(run_bytes, self._model, _work_bytes([self._work[index] for index in batch]), pure=False, retries=0)

    def _answers(self, future: Future, batch: list[int]) -> Iterator[tuple[int, Outcome]]:
        if future.status != "finished":  # its worker was lost again and again, or the task was: the machine has failed, not the model
            return ((index, Failure("crashed", GONE, f"the task on the workers is {future.status}", Cost())) for index in batch)
        answer = _decoded(future.result())
        if "refused" in answer:
            raise RefusedError(str(answer["refused"]), where="executor", remedy="Install the same versions there as here")
        given = answer.get("outcomes")
        told = given if isinstance(given, list) and len(given) == len(batch) else [None] * len(batch)
        found = [(index, checked(_outcome(one), self._work[index])) for index, one in zip(batch, told, strict=True)]
        self._sizes.batching = self._sizes.batching and answer.get("batching") is True
        self._sizes.learn([one.cost.wall_seconds for _, one in found])
        return iter(found)


# --- what goes over the wire -------------------------------------------------------------------------------------------


def _model_bytes(definition: ModelDefinition) -> bytes:
    return plain_data.encode({"definition": definition.as_data(), "files": dict(definition.artefacts)})


def _work_bytes(work: Sequence[Work]) -> bytes:
    runs = [{name: one for name, one in each.payload.items() if name != "model"} for each in work]
    limits = [[each.limits.wall_seconds, each.limits.memory_bytes, each.limits.output_bytes] for each in work]
    return plain_data.encode({"runs": runs, "limits": limits, "versions": dict(engine_versions()), "platform": platform_tag()})


def _decoded(body: Any) -> Mapping[str, Any]:
    try:
        answer = plain_data.decode(body)
    except (TwinwrightError, TypeError):
        answer = None
    return answer if isinstance(answer, dict) else {}


def _outcome_data(outcome: Outcome) -> dict[str, Any]:
    cost = outcome.cost
    data: dict[str, Any] = {"log": outcome.log, "cost": [cost.wall_seconds, cost.cpu_seconds, cost.peak_memory, cost.network_cut]}
    if isinstance(outcome, Failure):
        return {**data, "failure": outcome.kind, "message": outcome.message}
    return {**data, "result": outcome.result}


def _outcome(data: Any) -> Outcome:
    try:
        wall, cpu, memory, cut = data["cost"]
        cost = Cost(float(wall), float(cpu), int(memory), bool(cut))
        if "failure" in data:
            return Failure(data["failure"], str(data["message"]), str(data["log"]), cost)
        return Success(data["result"], str(data["log"]), cost)
    except (TypeError, KeyError, ValueError):
        return Failure("refused", "the answer of the worker is not one of ours", "", Cost())


# --- what runs on a worker ---------------------------------------------------------------------------------------------


def _same(body: bytes) -> bytes:
    return body


def run_bytes(model: bytes, body: bytes) -> bytes:
    """A batch on a worker: never raises, whatever comes. The runs are cancelled with their task."""
    asked = plain_data.decode(body)
    own = {"versions": dict(engine_versions()), "platform": platform_tag()}
    for what, value in own.items():
        if asked[what] != value:
            return plain_data.encode({"refused": f"a worker has other {what}: {value}, and here are {asked[what]}"})
    given = plain_data.decode(model)
    definition = ModelDefinition.from_data({**given["definition"], "artefacts": {}}).with_artefacts(given["files"])
    cancel = _TaskCancelled()
    work = [
        Work(definition, {**payload, "model": given["definition"]}, Limits(*limits), cancel)
        for payload, limits in zip(asked["runs"], asked["limits"], strict=True)
    ]
    sizes = BatchSizes(0, 1)
    found: dict[int, Outcome] = {}
    left = list(range(len(work)))
    try:
        while left:
            found.update(run_batch(work, left, sizes))
            left = sizes.take()
    except Cancelled:
        return plain_data.encode({"outcomes": []})
    return plain_data.encode({"outcomes": [_outcome_data(found[index]) for index in range(len(work))], "batching": sizes.batching})


class _TaskCancelled:
    """Whether the task that runs in this thread is still wanted, as its worker knows."""

    def __init__(self) -> None:
        from distributed import get_worker

        self._worker = get_worker()
        self._key = self._worker.get_current_task()

    def is_set(self) -> bool:
        task = self._worker.state.tasks.get(self._key)
        return task is None or task.state == "cancelled"
