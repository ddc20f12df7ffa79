"""Comparisons and holes over REST: snapshots are sent, never named, and what is asked for is what the platform says."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.api.conftest import reading

from twinwright.platform.local import LocalPlatform


def test_a_snapshot_is_compared_and_what_is_missing_taken_in(client: TestClient, platform: LocalPlatform) -> None:
    snapshot = b"\n".join([reading(600, 300.0), reading(10, 1.0), reading(610, unit="pump-9")])
    found = client.post("/v1/reconcile/pump", content=snapshot).json()
    assert (found["missing"], found["repaired"], found["refused"]) == (1, 0, {"unknown_twin": 1})
    repaired = client.post("/v1/reconcile/pump?repair=true", content=snapshot).json()
    assert repaired["repaired"] == 1 and platform.state("pump-1")["pressure"] == 300.0
    assert client.post("/v1/reconcile/pump", content=snapshot).json()["missing"] == 0
    assert client.post("/v1/reconcile/nothing", content=snapshot).status_code == 404
    assert not list(Path("/tmp").glob("twinwright-upload-*/file"))


@pytest.mark.parametrize("against", ["/etc/passwd", "file:///etc/passwd", "https://example.com/x", "http://127.0.0.1:1/", ""])
def test_nobody_from_elsewhere_names_what_the_platform_opens(client: TestClient, against: str) -> None:
    refused = client.post("/v1/reconcile", json={"against": against, "contract": "pump"})
    assert refused.status_code == 400 and "$.against" in refused.text


def test_the_source_is_asked_where_its_connector_can_tell(client: TestClient) -> None:
    refused = client.post("/v1/reconcile", json={"against": "source", "contract": "pump"})
    assert refused.status_code == 400 and "no connector" in refused.text
    assert client.post("/v1/reconcile", json={"repair": True}).status_code == 400
    assert client.post("/v1/reconcile").json().keys() == {"checked", "inconsistent", "repaired"}


def test_holes_and_comparisons_are_told_as_the_platform_tells_them(client: TestClient) -> None:
    assert "what a gap is" in client.get("/v1/gaps").json()["error"]["message"]
    assert client.get("/v1/gaps?contract=nothing").status_code == 404
    assert client.get("/v1/reconciliations").json() == {"value": []}
    assert client.post("/v1/reconciliations/nightly/run").status_code == 404
