"""Metrics: own registry, bounded series, Prometheus text."""

import dataclasses
import threading

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from twinwright.observability.metrics import CONTENT_TYPE, OTHER, Labelled, Metrics


def test_two_platforms_in_one_process_share_no_number():
    first, second = Metrics.create(), Metrics.create()
    first.readings_received.labels(contract="pump").inc(3)
    assert first.value("twinwright_readings_received_total", contract="pump") == 3
    assert second.value("twinwright_readings_received_total", contract="pump") == 0


def test_what_is_counted_is_in_the_text_that_prometheus_parses():
    metrics = Metrics.create()
    metrics.readings_dead_lettered.labels(contract="pump", reason="malformed").inc(2)
    metrics.ingest_batch_seconds.labels(contract="pump").observe(0.02)
    metrics.commit_seconds.observe(0.3)
    metrics.queue_depth.set(4)
    metrics.connector_up.labels(connector="plant").set(1)
    metrics.http_requests.labels(method="GET", route="/v1/runs/{id}", status="200").inc()
    families = {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}
    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families.values() for s in f.samples}
    assert samples["twinwright_readings_dead_lettered_total", (("contract", "pump"), ("reason", "malformed"))] == 2
    assert samples["twinwright_ingest_batch_seconds_count", (("contract", "pump"),)] == 1
    assert samples["twinwright_commit_seconds_sum", ()] == pytest.approx(0.3)
    assert samples["twinwright_queue_depth", ()] == 4
    assert samples["twinwright_connector_up", (("connector", "plant"),)] == 1
    assert samples["twinwright_http_requests_total", (("method", "GET"), ("route", "/v1/runs/{id}"), ("status", "200"))] == 1
    assert all(family.documentation for family in families.values())
    assert CONTENT_TYPE.startswith("text/plain")


def test_resident_memory_is_read_when_it_is_asked_for():
    metrics = Metrics.create()
    before = metrics.value("twinwright_resident_memory_bytes")
    ballast = bytearray(64 * 1024 * 1024)
    ballast[::4096] = b"x" * len(ballast[::4096])
    assert metrics.value("twinwright_resident_memory_bytes") > before + 32 * 1024 * 1024


def test_series_past_the_limit_are_counted_as_other_and_the_sum_stays_right():
    registry = CollectorRegistry()
    counted = Labelled(Counter("c", "help", ("route",), registry=registry), ("route",), limit=10)
    for index in range(100):
        counted.labels(route=f"/{index}").inc()
        counted.labels(route="/0").inc()
    assert registry.get_sample_value("c_total", {"route": OTHER}) == 90
    assert registry.get_sample_value("c_total", {"route": "/0"}) == 101
    values = [s.value for f in registry.collect() for s in f.samples if s.name == "c_total"]
    assert len(values) == 11
    assert sum(values) == 200


def test_the_limit_holds_when_threads_race_for_it():
    registry = CollectorRegistry()
    counted = Labelled(Counter("c", "help", ("k",), registry=registry), ("k",), limit=50)

    def work(start):
        for index in range(200):
            counted.labels(k=str(start * 200 + index)).inc()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = [s.value for f in registry.collect() for s in f.samples if s.name == "c_total"]
    assert len(values) == 51
    assert sum(values) == 800


def test_a_missing_label_is_an_error():
    with pytest.raises(KeyError, match="reason"):
        Metrics.create().readings_dead_lettered.labels(contract="pump")


def test_the_set_of_metrics_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Metrics.create().queue_depth = None
