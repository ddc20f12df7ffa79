"""The methods of `Platform` as requests."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast
from uuid import uuid4

import msgspec

from twinwright.errors import NotFoundError, PlatformError, UsageError
from twinwright.platform.interface import Progress
from twinwright.platform.snapshots import SOURCE, is_address
from twinwright.platform.wire import METHODS
from twinwright.sdk.graph import Found, RestGraph
from twinwright.sdk.transport import LONG, error_like, given, part
from twinwright.telemetry.payloads import Payload, Receipt

_FOLDER: Final = "it changes the workspace from its folder, which only who has it may do"
_FILES: Final = "it reads or writes files where the platform is"
ABSENT: Final[Mapping[str, str]] = {
    "plan": _FOLDER,
    "apply": _FOLDER,
    "contract_diff": _FOLDER,
    "retire_interface": _FOLDER,
    "schema_versions": "it tells who may retire a version when to; who watches from elsewhere has the metrics",
    "backup": _FILES,
    "restore": _FILES,
    "export": _FILES,
    "import_": _FILES,
    "export_run": _FILES,
    **dict.fromkeys(("resume_updates", "resume_query_imports"), "only who has the workspace goes on with what was begun"),
    "import_graph": _FILES,
    "import_table": _FILES,
    "shadow_replay": "it goes on for as long as it is meant to be watched, and ends with who watches",
}
"""Methods of `twinwright.open` that have no place in the API, and why."""
_WATCH_SECONDS: Final = 0.5
_PAGE: Final = 1_000  # relationships
_MOST_ITEMS: Final = 10_000
_PART_BYTES: Final = 1024 * 1024


class RestPlatform(RestGraph):
    """Sends methods of `Platform` as requests; errors come back as what they were there."""

    def close(self) -> None:
        """Let go of the connections; the platform goes on."""
        self._http.close()

    def __getattr__(self, name: str) -> Any:
        if name in ABSENT:
            raise AttributeError(f"the API has no place for '{name}': {ABSENT[name]}. Use the command, or `twinwright.open`")
        raise AttributeError(f"there is no method '{name}'" + (" here yet" if name in METHODS else ""))

    # --- forks -------------------------------------------------------------------------------------------------------

    def forks(self) -> list[Found]:
        return self._list("/v1/forks")

    def fork(self, name: str) -> RestPlatform:
        """The same in a fork."""
        return RestPlatform(self._http.inside(name))

    def create_fork(self, name: str, *, at: str | int | None = None) -> Found:
        return cast(Found, self._http.json("PUT", f"/v1/forks/{part(name)}", params=given(at=at)))

    def drop_fork(self, name: str) -> Found:
        return cast(Found, self._http.json("DELETE", f"/v1/forks/{part(name)}"))

    def fork_diff(self, name: str, *, against: str = "base", limit: int = 1000) -> Found:
        return self._get(f"/v1/forks/{part(name)}/diff", against=against, limit=limit)

    # --- telemetry ---------------------------------------------------------------------------------------------------

    def push(self, contract: str, payloads: Sequence[Payload], *, key: str | None = None) -> Receipt:
        """As `Platform.push`, of one payload without captures: a request has no place for more. Raises UsageError.

        Without a `key` it has one of its own, so that it is taken in once however often it has to be sent.
        """
        if len(payloads) != 1 or payloads[0].captures:
            raise UsageError("one payload without captures is sent at a time", where="payloads", remedy="Push each by itself")
        headers = {"content-type": "application/octet-stream", "idempotency-key": key or uuid4().hex}
        answer = self._http.json("POST", f"/v1/telemetry/{part(contract)}", content=payloads[0].body, headers=headers, safe=True)
        return Receipt(**answer)

    def ingest(self, files: Sequence[str], contract: str, *, progress: Progress | None = None) -> Found:
        """As `Platform.ingest`, of files on this machine: each is sent whole. `progress` is told of the bytes that are sent."""
        paths = [Path(file) for file in files]
        for path in paths:
            if not path.is_file():
                raise NotFoundError(f"there is no file {path}", remedy="Check the path")
        sizes = [path.stat().st_size for path in paths]
        total, before = Receipt(), 0
        for path, size in zip(paths, sizes, strict=True):
            headers = {"content-type": "application/octet-stream", "content-length": str(size)}
            sent = _parts(path, before, sum(sizes), progress)
            answer = self._http.json("POST", f"/v1/ingest/{part(contract)}", content=sent, headers=headers, again=False, timeout=LONG)
            total, before = total + Receipt(**answer), before + size
        return total.as_json()

    def replay(
        self,
        *,
        start: str | None = None,
        end: str | None = None,
        contract: str | None = None,
        dry_run: bool = False,
        rate: float | None = None,
    ) -> Found:
        path = "/v1/replay/cost" if dry_run else "/v1/replay"
        return self._post(path, {"from": start, "to": end, "contract": contract, "rate": rate}, timeout=LONG)

    def dead_letters(self, *, contract: str | None = None, reason: str | None = None, limit: int = 100) -> Found:
        return self._get("/v1/dead-letters", contract=contract, reason=reason, limit=limit)

    def dead_letter(self, id: int) -> Found:
        return self._get(f"/v1/dead-letters/{int(id)}")

    def retry_dead_letters(self, ids: Sequence[int] | None = None, *, contract: str | None = None, dry_run: bool = False) -> Found:
        return self._post("/v1/dead-letters/retry", {"ids": None if ids is None else list(ids), "contract": contract, "dry_run": dry_run})

    def expire_dead_letters(self, *, older_than: str | None = None) -> Found:
        return self._post("/v1/dead-letters/expire", {"older_than": older_than})

    # --- twins -------------------------------------------------------------------------------------------------------

    def state(
        self,
        twin: str | None = None,
        *,
        as_of: str | None = None,
        known_at: str | int | None = None,
        lane: str = "observed",
        facts: bool = False,
        after: int | None = None,
        interface: str | None = None,
    ) -> Found:
        path = "/v1/state" if twin is None else f"/v1/state/{part(twin)}"
        return self._get(path, as_of=as_of, known_at=known_at, lane=lane, facts=facts, after=after, interface=interface)

    def twins(self) -> list[Found]:
        return self._list("/v1/twins")

    def paths(self, twin: str) -> list[Found]:
        return self._list(f"/v1/twins/{part(twin)}/paths")

    def history(
        self,
        twin: str,
        path: str,
        *,
        start: str | None = None,
        end: str | None = None,
        every: str | None = None,
        agg: str = "mean",
        unit: str | None = None,
        known_at: str | int | None = None,
        lane: str = "observed",
        after: int | None = None,
        interface: str | None = None,
    ) -> Found:
        options = {"every": every, "agg": agg, "unit": unit, "known_at": known_at, "lane": lane, "after": after, "interface": interface}
        return self._get(f"/v1/history/{part(twin)}/{part(path, '/')}", **{"from": start, "to": end}, **options)

    def relationships(self, twin: str | None = None, *, as_of: str | None = None, known_at: str | int | None = None) -> list[Found]:
        asked = given(twin=twin, as_of=as_of, known_at=known_at)
        return self._http.all("/v1/relationships", asked, headers={"max-items-per-page": str(_MOST_ITEMS)})

    def relationship_page(
        self,
        twin: str | None = None,
        *,
        name: str | None = None,
        as_of: str | None = None,
        known_at: str | int | None = None,
        continuation: str | None = None,
        max_items: int | None = None,
    ) -> Found:
        asked = given(twin=twin, name=name, as_of=as_of, known_at=known_at, continuationToken=continuation)
        headers = {"max-items-per-page": str(max_items or _PAGE)}
        return cast(Found, self._http.json("GET", "/v1/relationships", params=asked, headers=headers))

    def interfaces(self) -> list[Found]:
        return [one["model"] for one in self.interface_list()]

    def query(
        self,
        text: str,
        *,
        continuation: str | None = None,
        max_items: int | None = None,
        after: int | None = None,
        interface: str | None = None,
    ) -> Found:
        headers = {} if max_items is None else {"max-items-per-page": str(max_items)}
        asked = {"query": text, "continuationToken": continuation}
        answer = self._http.ask("POST", "/query", json=asked, headers=headers, params=given(after=after, interface=interface), safe=True)
        return {**answer.json(), "charge": float(answer.headers["query-charge"])}

    def reconcile(self, *, against: str | None = None, contract: str | None = None, repair: bool = False) -> Found:
        """As `Platform.reconcile`, against a file on this machine, or `source`. Raises UsageError for an address."""
        if against is None or against == SOURCE or contract is None:
            return self._post("/v1/reconcile", {"against": against, "contract": contract, "repair": repair}, timeout=LONG)
        if is_address(against):
            raise UsageError("an address is asked where the platform is", where="against", remedy="Save what it answers, and give the file")
        file = Path(against)
        if not file.is_file():
            raise NotFoundError(f"there is no file {file}", remedy="Check the path")
        size = file.stat().st_size
        headers = {"content-type": "application/octet-stream", "content-length": str(size)}
        sent: dict[str, Any] = {"content": _parts(file, 0, size, None), "headers": headers, "again": False, "timeout": LONG}
        return cast(Found, self._http.json("POST", f"/v1/reconcile/{part(contract)}", params=given(repair=repair), **sent))

    def gaps(self, contract: str | None = None, *, start: str | None = None, end: str | None = None) -> Found:
        return self._get("/v1/gaps", contract=contract, **{"from": start, "to": end})

    def reconciliations(self) -> list[Found]:
        return self._list("/v1/reconciliations")

    def run_reconciliation(self, name: str) -> Found:
        return self._post(f"/v1/reconciliations/{part(name)}/run", None, timeout=LONG)

    # --- operations --------------------------------------------------------------------------------------------------

    def kpi(self, *, window: str = "PT1H") -> Found:
        return self._get("/v1/kpis", window=window)

    def status(self) -> Found:
        return self._get("/v1/status")

    def clock(self) -> Found:
        return self._get("/v1/clock")

    def trust_clock(self) -> Found:
        return self._post("/v1/clock/trust", None)

    def metrics(self) -> bytes:
        return self._http.ask("GET", "/metrics").content

    def shadows(self) -> list[Found]:
        return self._list("/v1/shadows")

    def shadow(self, name: str, *, limit: int = 100) -> Found:
        return self._get(f"/v1/shadows/{part(name)}", limit=limit)

    def shadow_run(self) -> list[Found]:
        return cast(list[Found], self._post("/v1/shadows/run", None, timeout=LONG)["value"])

    def shadow_stop(self, name: str) -> Found:
        return self._post(f"/v1/shadows/{part(name)}/stop", None, timeout=LONG)

    def shadow_start(self, name: str) -> Found:
        return self._post(f"/v1/shadows/{part(name)}/start", None, timeout=LONG)

    def shadow_said(self, name: str, *, after: int | None = None, twin: str | None = None) -> Found:
        return self._get(f"/v1/shadows/{part(name)}/said", since=after, twin=twin)

    # --- simulation --------------------------------------------------------------------------------------------------

    def models(self) -> list[Found]:
        return self._list("/v1/models")

    def scenarios(self) -> list[Found]:
        return self._list("/v1/scenarios")

    def simulate(
        self, scenario: str | Mapping[str, Any], *, executor: str | None = None, fresh: bool = False, progress: Progress | None = None
    ) -> Found:
        """As `Platform.simulate`, of a scenario by its name or given inline."""
        if executor not in (None, "local"):
            raise UsageError("the platform chooses where its runs run", where="executor", remedy="Leave it out")
        asked = {"scenario": scenario} if isinstance(scenario, str) else dict(scenario)
        options = {"json": asked, "params": given(fresh=fresh), "timeout": LONG}
        if progress is None:
            return cast(Found, self._http.json("POST", "/v1/scenarios", **options))
        with self._http.stream("POST", "/v1/scenarios", headers={"accept": "text/event-stream"}, **options) as answer:
            return _followed(answer.iter_lines(), progress)

    def runs(self) -> list[Found]:
        return self._list("/v1/runs")

    def run(self, id: str, *, outputs: bool = True) -> Found:
        return self._get(f"/v1/runs/{part(id)}", outputs=outputs)

    def submit_run(self, scenario: str | Mapping[str, Any], *, priority: str | int = "normal", fresh: bool = False) -> Found:
        asked = {"scenario": scenario} if isinstance(scenario, str) else dict(scenario)
        return self._post("/v1/runs", asked, params=given(priority=str(priority), fresh=fresh))

    def run_requests(self) -> list[Found]:
        return self._list("/v1/run-requests")

    def run_request(self, id: str) -> Found:
        return self._get(f"/v1/run-requests/{part(id)}")

    def watch_request(self, id: str, *, progress: Progress | None = None) -> Found:
        while True:
            found = self.run_request(id)
            if progress is not None:
                progress(found["done"] or 0, found["total"])
            if found["status"] not in ("waiting", "running"):
                return found
            time.sleep(_WATCH_SECONDS)

    def cancel_request(self, id: str) -> Found:
        return self._post(f"/v1/run-requests/{part(id)}/cancel", None)

    def request_results(self, id: str, *, format: str = "parquet") -> bytes:
        return self._http.ask("GET", f"/v1/run-requests/{part(id)}/results", params={"format": format}).content

    def verify_run(self, id: str) -> Found:
        return self._post(f"/v1/runs/{part(id)}/verify", None, timeout=LONG)

    def compare_runs(self, first: str, second: str) -> Found:
        return self._get(f"/v1/runs/{part(first)}/comparison/{part(second)}")

    def explain_run(self, id: str) -> Found:
        return self._get(f"/v1/runs/{part(id)}/explanation")

    def run_report(self, id: str) -> str:
        return self._http.ask("GET", f"/v1/runs/{part(id)}/report").text

    def prune_runs(self, *, older_than: str, dry_run: bool = False) -> Found:
        return self._post("/v1/runs/prune", {"older_than": older_than, "dry_run": dry_run})

    # --- calibration -------------------------------------------------------------------------------------------------

    def calibrate(
        self,
        model: str,
        *,
        twin: str,
        start: str | None = None,
        end: str | None = None,
        holdout: float = 0.3,
        only: Sequence[str] | None = None,
        parameters: str | None = None,
    ) -> Found:
        asked = {"model": model, "twin": twin, "from": start, "to": end, "parameters": parameters}
        more = {"holdout": holdout, "only": None if only is None else list(only)}
        return self._post("/v1/parameter-sets", asked | more, timeout=LONG)

    def validate(self, model: str, *, twin: str, start: str | None = None, end: str | None = None, parameters: str | None = None) -> Found:
        asked = {"model": model, "twin": twin, "from": start, "to": end, "parameters": parameters}
        return self._post("/v1/validations", asked, timeout=LONG)

    def promote(self, model: str, id: str) -> Found:
        return self._post(f"/v1/models/{part(model)}/promote", {"id": id})

    def parameter_sets(self, model: str | None = None) -> list[Found]:
        return self._list("/v1/parameter-sets", model=model)

    def parameter_set(self, id: str) -> Found:
        return self._get(f"/v1/parameter-sets/{part(id)}")

    def validations(self) -> list[Found]:
        return self._list("/v1/validations")

    def report(self, id: str) -> str:
        return self._http.ask("GET", f"/v1/reports/{part(id)}").text

    def _post(self, path: str, document: Any, **options: Any) -> Found:
        sent = {} if document is None else {"json": document}
        return cast(Found, self._http.json("POST", path, **sent, **options))


def _parts(path: Path, done: int, total: int, progress: Progress | None) -> Iterator[bytes]:
    """The bytes of a file as they are sent; `done` were sent before it."""
    with path.open("rb") as file:
        while data := file.read(_PART_BYTES):
            yield data
            done += len(data)
            if progress is not None:
                progress(done, total)


def _followed(lines: Iterator[str], progress: Progress) -> Found:
    """The answer at the end of a stream of events. Raises what the platform raised, PlatformError where it ended before."""
    name = ""
    for line in lines:
        kind, _, text = line.partition(": ")
        if kind == "event":
            name = text
        elif kind == "data":
            data = msgspec.json.decode(text)
            if name == "done":
                return cast(Found, data)
            if name == "error":
                raise error_like(data)
            progress(data["done"], data["total"])
    raise PlatformError("the platform went away before it answered", remedy="Ask for its runs: what has ended is kept")
