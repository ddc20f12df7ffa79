"""The surface: the command line, REST, the console and what `twinwright.open(workspace)` gives are thin layers over it.

Times are ISO 8601 texts in and out; results are plain data with the fixed fields of the design's table. Methods raise
`TwinwrightError` and nothing else on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from twinwright.governance.principals import Principal
from twinwright.platform.interface_graph import GraphSurface, Progress
from twinwright.telemetry.payloads import Payload, Receipt

__all__ = ["Platform", "Progress"]


class Platform(GraphSurface, Protocol):
    """Every method acts as `principal` (default: the one the platform was opened as)."""

    def as_principal(self, principal: Principal) -> Platform:
        """The same platform, acting as someone else: what the API does for each request."""
        ...

    def close(self) -> None: ...

    # workspace
    def plan(self) -> dict[str, Any]:
        """`changes[] migrations[] breaking cost deletes{readings values bytes}`: what applying the folder would change, and what a changed
        retention would let go of."""
        ...

    def apply(self) -> dict[str, Any]:
        """Do it, in one audited transaction. Raises RefusedError for breaking changes, WorkspaceError."""
        ...

    def contract_diff(self) -> dict[str, Any]:
        """`changes[] raise_revision[]`: the contracts of the folder beside those applied, and which need a new revision."""
        ...

    # telemetry
    def ingest(self, files: Sequence[str], contract: str, *, progress: Progress | None = None) -> dict[str, Any]:
        """Load files; the receipt of all of them."""
        ...

    def push(self, contract: str, payloads: Sequence[Payload], *, key: str | None = None) -> Receipt:
        """Take payloads of one contract, durable on return. Sent again under the same `key`, they are answered as before.

        Raises BusyError, TooLargeError, NotFoundError, KeyReusedError.
        """
        ...

    def replay(
        self,
        *,
        start: str | None = None,
        end: str | None = None,
        contract: str | None = None,
        dry_run: bool = False,
        rate: float | None = None,
    ) -> dict[str, Any]:
        """Reprocess the journal by receive time under the applied contracts, at no more than `rate` readings a second: a receipt, plus
        `superseded retracted`.

        A dry run changes nothing, and says by what a part of it took what it would cost: `dry_run cost{rows seconds bytes journal_bytes
        pause_seconds} contracts[]{contract revision ...}`. Ingestion waits while it commits: `pause_seconds`.
        """
        ...

    def dead_letters(self, *, contract: str | None = None, reason: str | None = None, limit: int = 100) -> dict[str, Any]:
        """The open ones: `total by_reason groups[]{contract source reason count oldest newest} items[]{id reason detail contract position
        at payload}`; and `expired`, how many there were whose payload is gone."""
        ...

    def dead_letter(self, id: int) -> dict[str, Any]: ...

    def retry_dead_letters(self, ids: Sequence[int] | None = None, *, contract: str | None = None, dry_run: bool = False) -> dict[str, Any]:
        """Read them again under the applied contracts (None: all open ones): a receipt, plus `still_refused`. A dry run changes
        nothing, and says what would become of them."""
        ...

    def expire_dead_letters(self, *, older_than: str | None = None) -> dict[str, Any]:
        """`expired`: how many open ones older than that (default: `retention.dead_letters` of the settings) lost their payload."""
        ...

    # shadows
    def shadows(self) -> list[dict[str, Any]]:
        """`name model model_version twins through commit behind state error` of each: to which event time it has followed its twins, and
        which commit it has consumed. `state` is following, failing or stopped."""
        ...

    def shadow(self, name: str, *, limit: int = 100) -> dict[str, Any]:
        """One of them as in `shadows`, with its `source forecast_source outputs residuals step_seconds failures failing retry_seconds` and
        `items[]{twin through error}`: twins that fail first, then those that are furthest behind."""
        ...

    def shadow_replay(
        self,
        name: str,
        *,
        twin: str | None = None,
        start: str | None = None,
        end: str | None = None,
        speed: float | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """What a shadow says of a stretch of history that it is told again, `speed` times as fast as it was (None: as fast as it goes):
        `shadow model model_version twin from to speed seconds outputs residuals forecast`. Nothing is stored, but in a fork. `progress` is
        told the seconds of history that have passed; what it raises ends the replay."""
        ...

    def shadow_run(self) -> list[dict[str, Any]]:
        """Follow as fast as it goes until nothing is left; as `shadows`."""
        ...

    def shadow_stop(self, name: str) -> dict[str, Any]:
        """Have a shadow follow nothing until it is started, over restarts too; as one of `shadows`. It writes no more when this returns,
        and goes on later as if it had never been stopped."""
        ...

    def shadow_start(self, name: str) -> dict[str, Any]:
        """Have a shadow that was stopped go on where it was; as one of `shadows`."""
        ...

    def shadow_said(self, name: str, *, after: int | None = None, twin: str | None = None) -> dict[str, Any]:
        """What a shadow committed after a commit: `shadow through last` and `said[]{commit at left_out series[]{twin path kind unit times
        values}}`; `kind` is prediction, forecast or residual. Ask on after `through`; without `after` nothing but from where to go on."""
        ...

    # twins
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
    ) -> dict[str, Any]:
        """The document of a twin in ADT shape, or `value[]` of all. `known_at` is a time or a commit number,
        `interface` the version of a twin's interface as which it is shown (its own unless given)."""
        ...

    def twins(self) -> list[dict[str, Any]]:
        """`$dtId`, `$model`, `newest` (time of the newest observation or None) of every twin, without values."""
        ...

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
    ) -> dict[str, Any]:
        """`twin path times[] values[] unit quality[] source[] marks{}`; with `every` resampled by `agg` (mean min max sum count
        first last)."""
        ...

    def query(
        self,
        text: str,
        *,
        continuation: str | None = None,
        max_items: int | None = None,
        after: int | None = None,
        interface: str | None = None,
    ) -> dict[str, Any]:
        """`value[]` of a query, `continuationToken` where there is more than `max_items`, `charge` (milliseconds). Twins of other versions
        of `interface` are shown as of that one, in its names and units. Raises QueryError, NotFoundError."""
        ...

    def relationships(
        self, twin: str | None = None, *, as_of: str | None = None, known_at: str | int | None = None
    ) -> list[dict[str, Any]]:
        """Those that begin at a twin, or all; those that were there at an event time, as known at a time or commit number."""
        ...

    def relationship_page(
        self,
        twin: str | None = None,
        *,
        name: str | None = None,
        as_of: str | None = None,
        known_at: str | int | None = None,
        continuation: str | None = None,
        max_items: int | None = None,
    ) -> dict[str, Any]:
        """The same, of one `name` or any, a page at a time: `value[]` by source and id, and a `continuationToken` while there is more.
        Raises UsageError."""
        ...

    def interfaces(self) -> list[dict[str, Any]]:
        """The DTDL documents, those that clients added too."""
        ...

    def paths(self, twin: str) -> list[dict[str, Any]]:
        """`path kind type unit` of everything the twin's interface lets be observed."""
        ...

    def gaps(self, contract: str | None = None, *, start: str | None = None, end: str | None = None) -> dict[str, Any]:
        """Where history has holes by a contract's `gap` and `sequence` (default: of all contracts, the last day):
        `checked inconsistent repaired missing items[]{twin path source from to missing}`, the first 1,000."""
        ...

    def reconciliations(self) -> list[dict[str, Any]]:
        """`name every_seconds against contract repair last` of each `[reconcile.NAME]`; `last` is its last result."""
        ...

    def run_reconciliation(self, name: str) -> dict[str, Any]:
        """One of them now: as `reconcile`, with `name` and `outcome` (`equal`, `differs`, `failed` with an `error`)."""
        ...

    def reconcile(self, *, against: str | None = None, contract: str | None = None, repair: bool = False) -> dict[str, Any]:
        """Recompute state from history and compare: `checked inconsistent repaired`.

        `against` a snapshot of a source, read through its contract: a file, a URL, or `source` for what the contract's own connector
        can tell of the present: `missing different extra refused{} items[]` as well; with
        `repair` what is missing is ingested.
        """
        ...

    def backup(self, to: str) -> dict[str, Any]:
        """`path commit at tables{} bytes seconds`: a folder with all that the store holds at one commit, journal, runs, reports and the
        workspace's documents; ingestion goes on. Raises UsageError where the folder is there already."""
        ...

    def restore(self, source: str) -> dict[str, Any]:
        """Take a backup into a workspace whose store is empty; as `backup`. Raises UsageError for one that was cut or changed (nothing is
        taken in), RefusedError where the store holds something."""
        ...

    def export(
        self,
        to: str,
        *,
        journal: bool = False,
        twins: Sequence[str] | None = None,
        paths: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        format: str | None = None,
    ) -> dict[str, Any]:
        """All history and records as a folder, as `backup`; or, where something is selected, one `csv`, `parquet` or `arrow` file of
        series: `path format rows columns[]`."""
        ...

    def import_(self, source: str) -> dict[str, Any]:
        """Take an export into a workspace whose store is empty, whatever engine wrote it; as `restore`."""
        ...

    def kpi(self, *, window: str = "PT1H") -> dict[str, Any]:
        """Per KPI `value target met`, and `counts{received,accepted,duplicate,dead_lettered}` since creation."""
        ...

    def status(self) -> dict[str, Any]:
        """`clock{suspect} connectors[]{name up detail} consumers[]{name lag_commits lag_seconds error}
        contracts[]{name freshness_seconds watermark} commit store_bytes store_unused_bytes store_torn_logs version
        uptime_seconds`."""
        ...

    def clock(self) -> dict[str, Any]:
        """`suspect step_seconds resumes_in_seconds skew_seconds now`: whether ingestion is paused because of the platform's clock."""
        ...

    def trust_clock(self) -> dict[str, Any]:
        """An administrator says that the clock is right: ingestion goes on. As `clock`, plus `token`; audited."""
        ...

    # forks
    def fork(self, name: str) -> Platform:
        """The same platform in a fork: what is read is what was known at its commit and what was written in it since, what is written stays
        in it. What is not sound in one raises RefusedError. Closing it leaves the fork as it is."""
        ...

    def forks(self) -> list[dict[str, Any]]:
        """`name commit created by` of each; `commit` is the one that it forks."""
        ...

    def create_fork(self, name: str, *, at: str | int | None = None) -> dict[str, Any]:
        """Fork the workspace as known at a time or commit number (the newest unless given); as one of `forks`. Nothing is copied."""
        ...

    def fork_diff(self, name: str, *, against: str = "base", limit: int = 1000) -> dict[str, Any]:
        """`fork base commit against counts{twins relationships values} readings{}` and of `twins[] relationships[] values[]{twin path lane
        before fork}` at most `limit` each: where it differs from the commit that it forks, or (`live`) from the workspace now."""
        ...

    def drop_fork(self, name: str) -> dict[str, Any]:
        """`dropped`: all that is in it is gone."""
        ...

    # simulation
    def models(self) -> list[dict[str, Any]]: ...

    def scenarios(self) -> list[dict[str, Any]]: ...

    def simulate(
        self, scenario: str | Mapping[str, Any], *, executor: str | None = None, fresh: bool = False, progress: Progress | None = None
    ) -> dict[str, Any]:
        """`runs[]{id status failure digest seconds outputs}`. A mapping is a scenario given inline. A run that is stored already is
        answered from there unless `fresh`. `progress` is told of each run that ends."""
        ...

    def submit_run(
        self, scenario: str | Mapping[str, Any], *, priority: str | int = "normal", executor: str | None = None, fresh: bool = False
    ) -> dict[str, Any]:
        """Have a scenario run in the background of a running platform: `id status priority ahead total ...`, as `run_request`.

        Remembered when this returns, over restarts too. `warnings` name files that it was taken without. `priority` is `low`, `normal`,
        `high` or a whole number. Raises as `simulate`, and QueueFullError.
        """
        ...

    def run_requests(self) -> list[dict[str, Any]]:
        """What was submitted: first what runs and waits, in its turn, then what was finished last."""
        ...

    def run_request(self, id: str) -> dict[str, Any]:
        """`id status priority scenario model executor submitted finished total ok failed error warnings ahead done eta_seconds`.

        `status` is waiting, running, done, failed or cancelled; `ahead` how many requests come before it.
        """
        ...

    def watch_request(self, id: str, *, progress: Progress | None = None) -> dict[str, Any]:
        """As `run_request`, once it is finished. Without a running platform it is run here, after what is before it."""
        ...

    def cancel_request(self, id: str) -> dict[str, Any]:
        """Run no more of it; runs that had ended are kept. Raises RefusedError for one that is finished."""
        ...

    def request_results(self, id: str, *, format: str = "parquet") -> bytes:
        """The outputs of all runs of a request that is done, as one file (`parquet`, `csv` or `arrow`)."""
        ...

    def runs(self) -> list[dict[str, Any]]: ...

    def run(self, id: str, *, outputs: bool = True) -> dict[str, Any]: ...

    def verify_run(self, id: str) -> dict[str, Any]: ...

    def compare_runs(self, first: str, second: str) -> dict[str, Any]:
        """`same`, the `first_difference` in what decides a run or, with none, in its outputs, and how far outputs are apart."""
        ...

    def explain_run(self, id: str) -> dict[str, Any]:
        """`id sentences[]`: what was assumed, how old the inputs were, what lay outside validity."""
        ...

    def run_report(self, id: str) -> str:
        """One self-contained HTML page: plots, constraints, assumptions, provenance."""
        ...

    def export_run(self, id: str, folder: str) -> dict[str, Any]:
        """`id folder files[]`: the run as an RO-Crate in a new or empty folder. For who has the workspace, not a client of the API."""
        ...

    def prune_runs(self, *, older_than: str, dry_run: bool = False) -> dict[str, Any]:
        """`removed bytes`: runs that began longer ago than that are removed, with the inputs that no other run has."""
        ...

    # calibration
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
    ) -> dict[str, Any]: ...

    def validate(
        self, model: str, *, twin: str, start: str | None = None, end: str | None = None, parameters: str | None = None
    ) -> dict[str, Any]: ...

    def promote(self, model: str, id: str) -> dict[str, Any]: ...

    def parameter_sets(self, model: str | None = None) -> list[dict[str, Any]]: ...

    def parameter_set(self, id: str) -> dict[str, Any]: ...

    def validations(self) -> list[dict[str, Any]]: ...

    def report(self, id: str) -> str:
        """The self-contained HTML report of a calibration or validation."""
        ...

    def metrics(self) -> bytes:
        """The Prometheus text exposition."""
        ...
