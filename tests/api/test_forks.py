"""Forks over REST: made, used by a header, compared and dropped."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

IN = {"Twinwright-Fork": "rest"}


def test_a_fork_is_made_used_compared_and_dropped(client: TestClient) -> None:
    before = client.get("/digitaltwins/pump-1").json()
    made = client.put("/v1/forks/rest")
    assert made.status_code == 200 and made.json()["name"] == "rest"
    assert client.get("/v1/forks").json()["value"] == [made.json()]
    body = b'{"unit": "pump-1", "ts": "2026-03-01T09:00:00Z", "p": 321}'
    sent = client.post("/v1/telemetry/pump", content=body, headers={**IN, "content-type": "application/json"})
    assert sent.json()["accepted"] == 1
    after = {**IN, "Twinwright-After": str(sent.json()["token"])}
    assert client.get("/digitaltwins/pump-1", headers=after).json()["pressure"] == 321
    assert client.get("/v1/history/pump-1/pressure", headers=IN).json()["values"][-1] == 321
    asked = client.post("/query", json={"query": "SELECT T.pressure FROM DIGITALTWINS T WHERE T.pressure > 300"}, headers=IN)
    assert asked.json()["value"] == [{"pressure": 321}]
    patch = [{"op": "add", "path": "/drive", "value": 9}]
    assert client.patch("/digitaltwins/pump-2", json=patch, headers=IN).status_code == 204
    assert client.get("/digitaltwins/pump-1").json()["pressure"] == before["pressure"]
    found = client.get("/v1/forks/rest/diff").json()
    assert [(one["twin"], one["path"]) for one in found["values"]] == [("pump-1", "pressure"), ("pump-2", "drive")]
    assert client.delete("/v1/forks/rest").json() == {"dropped": "rest"}
    assert client.get("/v1/forks").json()["value"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/digitaltwins/pump-1", 404),
        ("GET", "/v1/forks/none/diff", 404),
        ("DELETE", "/v1/forks/none", 404),
        ("PUT", "/v1/forks/A", 400),
    ],
)
def test_what_is_no_fork_is_told(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path, headers={"Twinwright-Fork": "none"} if path.startswith("/digital") else {})
    assert answer.status_code == status
    assert "fork" in answer.json()["error"]["message"]


def test_what_is_not_done_in_a_fork_is_409(client: TestClient) -> None:
    assert client.put("/v1/forks/rest").status_code == 200
    for path in ("/v1/kpis", "/v1/status", "/metrics", "/v1/forks"):
        answer = client.get(path, headers=IN)
        assert answer.status_code == 409, path
        assert "is not done in a fork" in answer.json()["error"]["message"]
    assert client.put("/v1/forks/rest").status_code == 409
    assert client.put("/v1/forks/other", params={"at": "0"}).status_code == 409
    assert client.delete("/v1/forks/rest").status_code == 200
