"""What the platform counts and measures, in Prometheus' terms (https://prometheus.io/docs/practices/naming/).

A program makes one `Metrics` and hands it to whoever measures; there is no global registry, so two platforms in one process
(and two tests) never share a number. Seconds and bytes are the base units, as the naming guide asks.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
MAX_SERIES: Final = 1_000
OTHER: Final = "other"

_BATCH_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_RUN_SECONDS: Final = (0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1_800, 3_600)


class _HasLabels(Protocol):
    def labels(self, *values: Any) -> Self: ...


MetricT = TypeVar("MetricT", bound=_HasLabels)


class Labelled(Generic[MetricT]):
    """A metric with labels and at most `limit` series: whatever comes after those is counted under the label value `other`.

    Sums stay right when a label (a route, a contract) takes more values than expected; only the split is lost.
    """

    def __init__(self, metric: MetricT, names: Sequence[str], limit: int = MAX_SERIES) -> None:
        self._metric = metric
        self._names = tuple(names)
        self._limit = limit
        self._series: dict[tuple[str, ...], MetricT] = {}
        self._lock = threading.Lock()

    def labels(self, **values: str) -> MetricT:
        """The series of these label values (each label once). Raises KeyError for a missing label."""
        key = tuple(str(values[name]) for name in self._names)
        found = self._series.get(key)
        return found if found is not None else self._admit(key)

    def _admit(self, key: tuple[str, ...]) -> MetricT:
        with self._lock:
            if key not in self._series:
                if len(self._series) >= self._limit:
                    return self._metric.labels(*(OTHER for _ in self._names))
                self._series[key] = self._metric.labels(*key)
            return self._series[key]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Every metric of the platform by name. Build it with `Metrics.create()`; label names are given beside each."""

    registry: CollectorRegistry
    readings_received: Labelled[Counter]  # contract
    readings_accepted: Labelled[Counter]  # contract
    readings_duplicate: Labelled[Counter]  # contract
    readings_dead_lettered: Labelled[Counter]  # contract, reason
    readings_late: Labelled[Counter]  # contract; of the accepted
    readings_conflict: Labelled[Counter]  # contract; of the accepted
    ingest_batch_seconds: Labelled[Histogram]  # contract; payload in to receipt out
    commit_seconds: Histogram
    queue_depth: Gauge
    connector_up: Labelled[Gauge]  # connector; 1 connected and taking, 0 not
    connector_reconnects: Labelled[Counter]  # connector
    connector_refused: Labelled[Counter]  # connector; deliveries that the intake refuses however often they are tried
    freshness_seconds: Labelled[Gauge]  # contract; now less the newest event time
    lag_seconds: Labelled[Gauge]  # contract; receive time less event time, of the newest batch
    derived_values: Labelled[Counter]  # derived
    derived_failures: Labelled[Counter]  # derived
    sink_changes: Labelled[Counter]  # sink
    sink_failures: Labelled[Counter]  # sink
    webhook_delivered: Labelled[Counter]  # webhook
    webhook_retried: Labelled[Counter]  # webhook
    webhook_dead_lettered: Labelled[Counter]  # webhook
    webhook_expired: Labelled[Counter]  # webhook
    reconciliations: Labelled[Counter]  # job, outcome
    reconciliation_inconsistent: Labelled[Gauge]  # job; what is left of it
    consumer_lag_commits: Labelled[Gauge]  # consumer; commits of the log that it has not consumed
    consumer_lag_seconds: Labelled[Gauge]  # consumer; now less the time of the first of those
    migration_share: Labelled[Gauge]  # migration
    migration_twins: Labelled[Gauge]  # migration, side: moved or left
    contract_version: Labelled[Gauge]  # contract, interface; 1 for the version as which it takes readings
    version_uses: Labelled[Counter]  # interface, client, what; reads and writes as a version
    version_errors: Labelled[Counter]  # interface, client, what
    runs: Labelled[Counter]  # status, kind
    run_seconds: Labelled[Histogram]  # kind
    http_requests: Labelled[Counter]  # method, route, status; the route's template, never the path
    http_seconds: Labelled[Histogram]  # method, route
    http_body_bytes: Gauge  # of all requests that are being answered
    http_bodies_refused: Counter
    clock_suspect: Gauge  # 1 while ingestion is paused for it
    clock_steps: Counter
    store_bytes: Gauge
    store_torn_logs: Gauge
    sealed_readings: Counter
    expired_readings: Counter
    resident_memory_bytes: Gauge

    @classmethod
    def create(cls, registry: CollectorRegistry | None = None) -> Metrics:
        """All metrics at zero, in `registry` (default: a new one). A registry takes one `Metrics` only."""
        made = _Maker(CollectorRegistry(auto_describe=True) if registry is None else registry)
        process = psutil.Process()
        resident = made.gauge("resident_memory_bytes", "Memory of this process that is in RAM")
        resident.set_function(lambda: float(process.memory_info().rss))
        return cls(
            registry=made.registry,
            readings_received=made.counters("readings_received", "Readings taken in", "contract"),
            readings_accepted=made.counters("readings_accepted", "Readings that became history", "contract"),
            readings_duplicate=made.counters("readings_duplicate", "Readings that history already had", "contract"),
            readings_dead_lettered=made.counters("readings_dead_lettered", "Readings refused, kept whole", "contract", "reason"),
            readings_late=made.counters("readings_late", "Accepted readings behind the watermark by more than allowed", "contract"),
            readings_conflict=made.counters("readings_conflict", "Accepted readings that contradict another of equal version", "contract"),
            ingest_batch_seconds=made.histograms("ingest_batch_seconds", "From payloads to receipt", _BATCH_SECONDS, "contract"),
            commit_seconds=made.histogram("commit_seconds", "One durable transaction", _BATCH_SECONDS),
            queue_depth=made.gauge("queue_depth", "Deliveries that wait to be ingested"),
            connector_up=made.gauges("connector_up", "1 while a connector takes telemetry, 0 while it is down", "connector"),
            connector_reconnects=made.counters("connector_reconnects", "Times a connector was opened again", "connector"),
            connector_refused=made.counters("connector_refused", "Deliveries refused as wrong usage, each try", "connector"),
            freshness_seconds=made.gauges("freshness_seconds", "Age of the newest event time", "contract"),
            lag_seconds=made.gauges("lag_seconds", "Receive time less event time of the newest batch", "contract"),
            derived_values=made.counters("derived_values", "Derived values written, because they differed", "derived"),
            derived_failures=made.counters("derived_failures", "Times a derived value could not be derived", "derived"),
            sink_changes=made.counters("sink_changes", "Changes that a sink has stored", "sink"),
            sink_failures=made.counters("sink_failures", "Times a sink could not be opened or written to", "sink"),
            webhook_delivered=made.counters("webhook_delivered", "Events that a webhook's receiver has taken", "webhook"),
            webhook_retried=made.counters("webhook_retried", "Tries of an event that failed and were to be made again", "webhook"),
            webhook_dead_lettered=made.counters("webhook_dead_lettered", "Events given up, kept as dead letters", "webhook"),
            webhook_expired=made.counters("webhook_expired", "Dead letters of a webhook that were let go of", "webhook"),
            reconciliations=made.counters("reconciliations", "Comparisons that were made at their time", "job", "outcome"),
            reconciliation_inconsistent=made.gauges("reconciliation_inconsistent", "Differences left by the last comparison", "job"),
            consumer_lag_commits=made.gauges("consumer_lag_commits", "Commits that a consumer of the log is behind", "consumer"),
            consumer_lag_seconds=made.gauges("consumer_lag_seconds", "Age of the first commit not consumed", "consumer"),
            migration_share=made.gauges("migration_share", "Which part of the twins is to be of the new version", "migration"),
            migration_twins=made.gauges(
                "migration_twins", "Twins that are of the new version or a later one, or left", "migration", "side"
            ),
            contract_version=made.gauges("contract_version", "1: readings of it are of that version", "contract", "interface"),
            version_uses=made.counters("version_uses", "Reads and writes as a migrated version", "interface", "client", "what"),
            version_errors=made.counters("version_errors", "Reads and writes as one that were refused", "interface", "client", "what"),
            runs=made.counters("runs", "Simulation runs that ended", "status", "kind"),
            run_seconds=made.histograms("run_seconds", "Wall time of a simulation run", _RUN_SECONDS, "kind"),
            http_requests=made.counters("http_requests", "HTTP requests answered", "method", "route", "status"),
            http_seconds=made.histograms("http_request_seconds", "Time to answer an HTTP request", _BATCH_SECONDS, "method", "route"),
            http_body_bytes=made.gauge("http_body_bytes", "Request bodies in memory, of requests that are being answered"),
            http_bodies_refused=made.counter(
                "http_bodies_refused", "Requests answered 429 because too many bytes of bodies were in memory"
            ),
            clock_suspect=made.gauge("clock_suspect", "1 while the clock is suspect and ingestion paused, 0 else"),
            clock_steps=made.counter("clock_steps", "Times the clock became suspect"),
            store_bytes=made.gauge("store_bytes", "Size of the store on disk"),
            store_torn_logs=made.gauge("store_torn_logs", "Logs that a power failure tore, cut and kept beside the store"),
            sealed_readings=made.counter("sealed_readings", "Readings put in the order of twin and time"),
            expired_readings=made.counter("expired_readings", "Readings of which raw values were let go of, past their retention"),
            resident_memory_bytes=resident,
        )

    def render(self) -> bytes:
        """The Prometheus text exposition of everything; serve it as CONTENT_TYPE."""
        return generate_latest(self.registry)

    def value(self, name: str, **labels: str) -> float:
        """One sample by its exposed name (`twinwright_runs_total`); 0 for a series that has not begun."""
        found = self.registry.get_sample_value(name, labels)
        return 0.0 if found is None else float(found)


@dataclass(frozen=True, slots=True)
class _Maker:
    registry: CollectorRegistry

    def counters(self, name: str, help: str, *labels: str) -> Labelled[Counter]:
        return Labelled(Counter(f"twinwright_{name}", help, labels, registry=self.registry), labels)

    def gauges(self, name: str, help: str, *labels: str) -> Labelled[Gauge]:
        return Labelled(Gauge(f"twinwright_{name}", help, labels, registry=self.registry), labels)

    def histograms(self, name: str, help: str, buckets: Sequence[float], *labels: str) -> Labelled[Histogram]:
        return Labelled(Histogram(f"twinwright_{name}", help, labels, registry=self.registry, buckets=buckets), labels)

    def gauge(self, name: str, help: str) -> Gauge:
        return Gauge(f"twinwright_{name}", help, registry=self.registry)

    def counter(self, name: str, help: str) -> Counter:
        return Counter(f"twinwright_{name}", help, registry=self.registry)

    def histogram(self, name: str, help: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"twinwright_{name}", help, registry=self.registry, buckets=buckets)
