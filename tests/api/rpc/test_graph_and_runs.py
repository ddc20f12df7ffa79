"""The graph as a whole, forks and submitted runs over gRPC: what REST answers, streams among them."""

from __future__ import annotations

import io
import itertools
import json
from typing import Any

import grpc
import pyarrow.parquet as pq
from fastapi.testclient import TestClient
from tests.api.rpc.conftest import SEEN, Client, refuses

from twinwright.api.rpc import messages, v1_pb2
from twinwright.platform.local import LocalPlatform

Codes = grpc.StatusCode
ONE = "SELECT T FROM DIGITALTWINS T WHERE T.$dtId = 'pump-1'"
GAUGES = {
    "twins": [{"$dtId": "gauge-{pump}", "$metadata": {"$model": "dtmi:test:Pump;1"}, "pressure": "{p}"}],
    "relationships": [{"$relationshipId": "g", "$sourceId": "gauge-{pump}", "$targetId": "{pump}", "$relationshipName": "feeds"}],
}


def test_instants_of_the_graph_are_compared(client: Client, rest: TestClient) -> None:
    asked = v1_pb2.DiffGraphRequest(start="1", kind="twin", max_items=1)
    found = client.DiffGraph(asked)
    page = rest.get("/v1/graph/diff", params={"from": "1", "kind": "twin"}, headers={"max-items-per-page": "1"}).json()
    assert found == messages.message_of(v1_pb2.GraphDiff, page)
    assert json.loads(found.from_json)["commit"] == 1 and len(found.differences) == len(page["value"])
    if found.continuation_token:
        asked.continuation_token = found.continuation_token
        assert client.DiffGraph(asked).differences[0].id != found.differences[0].id
    assert refuses(Codes.INVALID_ARGUMENT, lambda: client.DiffGraph(v1_pb2.DiffGraphRequest(start="noon"))).code


def test_twins_are_changed_by_a_query(client: Client) -> None:
    change = {"query": ONE, "set_json": json.dumps({"pressure": 17.5}), "dry_run": True}
    tried = client.UpdateTwins(v1_pb2.UpdateTwinsRequest(**change))
    assert (tried.matched, tried.changed, tried.id) == (1, 1, "")
    assert json.loads(tried.preview_json[0])["properties"]["pressure"]["after"] == 17.5
    patch = json.dumps([{"op": "replace", "path": "/pressure", "value": 18.5}])
    done = client.UpdateTwins(v1_pb2.UpdateTwinsRequest(query=ONE, patch_json=patch))
    assert (done.changed, done.commits) == (1, 1) and done.id
    state = client.GetState(v1_pb2.StateRequest(id="pump-1", facts=True, after=done.token))
    assert json.loads(state.json)["pressure"] == 18.5
    for wrong in ({"set_json": "{"}, {"set_json": "[]"}, {"query": ""}, {"set_json": '{"presure": 1}'}, {"patch_json": "1"}):
        told = refuses(
            Codes.INVALID_ARGUMENT,
            lambda wrong=wrong: client.UpdateTwins(v1_pb2.UpdateTwinsRequest(**{**change, **wrong, "dry_run": False})),
        )
        assert told.code and told.message


def test_twins_are_made_of_the_rows_of_a_query(client: Client) -> None:
    asked: dict[str, Any] = {"query": "SELECT T.$dtId AS pump FROM DIGITALTWINS T", "template_json": json.dumps(GAUGES), "on": ["pump"]}
    asked["rows_json"] = [json.dumps({"pump": "pump-1", "p": 3}), json.dumps({"pump": "pump-9", "p": 4})]
    tried = client.ImportByQuery(v1_pb2.ImportByQueryRequest(**asked, dry_run=True))
    done = client.ImportByQuery(v1_pb2.ImportByQueryRequest(**asked))
    for one in (tried, done):
        assert (one.rows, one.unmatched, one.twins_created, one.relationships_created, one.commits) == (1, 1, 1, 1, int(bool(one.id)))
    assert json.loads(tried.preview_json[0])["id"] == "gauge-pump-1" and done.id
    state = client.GetState(v1_pb2.StateRequest(id="gauge-pump-1", facts=True, after=done.token))
    assert json.loads(state.json)["pressure"] == 3
    for wrong in ({"template_json": "{"}, {"template_json": ""}, {"rows_json": ["x"]}, {"on": []}):
        assert refuses(
            Codes.INVALID_ARGUMENT, lambda wrong=wrong: client.ImportByQuery(v1_pb2.ImportByQueryRequest(**{**asked, **wrong}))
        ).code


def test_a_fork_is_made_used_compared_and_dropped(client: Client, rest: TestClient) -> None:
    made = client.CreateFork(v1_pb2.CreateForkRequest(name="far"))
    assert client.ListForks(v1_pb2.ListForksRequest()).forks == [made]
    inside = (*SEEN, ("twinwright-fork", "far"))
    payload = b'{"unit": "pump-2", "ts": "2026-03-01T09:00:00Z", "p": 321}'
    assert client.Push(v1_pb2.PushRequest(contract="pump", payload=payload), metadata=inside).accepted == 1
    held = [client.GetState(v1_pb2.StateRequest(id="pump-2", facts=True), metadata=metadata) for metadata in (inside, SEEN)]
    assert json.loads(held[0].json)["pressure"] == 321 != json.loads(held[1].json).get("pressure")
    found = client.DiffFork(v1_pb2.DiffForkRequest(name="far", limit=5))
    assert found == messages.message_of(v1_pb2.ForkDiff, rest.get("/v1/forks/far/diff", params={"limit": 5}).json())
    assert found.counts["values"] == 1 and json.loads(found.values_json[0])["twin"] == "pump-2"
    assert client.DropFork(v1_pb2.DropForkRequest(name="far")).dropped == "far"
    assert refuses(Codes.NOT_FOUND, lambda: client.ListTwins(v1_pb2.ListTwinsRequest(), metadata=inside))
    assert refuses(Codes.INVALID_ARGUMENT, lambda: client.CreateFork(v1_pb2.CreateForkRequest(name="No Name")))


def test_what_is_submitted_is_watched_cancelled_and_fetched(client: Client, rest: TestClient, platform: LocalPlatform) -> None:
    platform.resume_runs()
    taken = client.SubmitRun(v1_pb2.SubmitRunRequest(scenario="step", priority="high"))
    assert (taken.total, taken.status in ("waiting", "running", "done")) == (1, True)
    told = list(client.WatchSubmittedRun(v1_pb2.SubmittedRunRequest(id=taken.id)))
    assert (told[-1].status, told[-1].done, told[-1].ok) == ("done", 1, 1)
    assert all(a != b for a, b in itertools.pairwise(told))
    assert told[-1] == client.GetSubmittedRun(v1_pb2.SubmittedRunRequest(id=taken.id))
    assert taken.id in [one.id for one in client.ListSubmittedRuns(v1_pb2.ListSubmittedRunsRequest()).requests]
    file = b"".join(part.data for part in client.FetchSubmittedRun(v1_pb2.FetchSubmittedRunRequest(id=taken.id)))
    assert file == rest.get(f"/v1/run-requests/{taken.id}/results").content
    assert pq.read_table(io.BytesIO(file)).num_rows > 0
    assert refuses(Codes.FAILED_PRECONDITION, lambda: client.CancelSubmittedRun(v1_pb2.CancelSubmittedRunRequest(id=taken.id))).code
    assert refuses(Codes.NOT_FOUND, lambda: list(client.WatchSubmittedRun(v1_pb2.SubmittedRunRequest(id="none"))))
    assert refuses(Codes.NOT_FOUND, lambda: list(client.FetchSubmittedRun(v1_pb2.FetchSubmittedRunRequest(id="none"))))
    wrong = v1_pb2.SubmitRunRequest(scenario="step", priority="urgent")
    assert refuses(Codes.INVALID_ARGUMENT, lambda: client.SubmitRun(wrong)).target == "priority"


def test_a_request_is_told_of_as_it_changes_over_rest(rest: TestClient, platform: LocalPlatform) -> None:
    platform.resume_runs()
    id = rest.post("/v1/runs", json={"scenario": "step"}, params={"fresh": "true"}).json()["id"]
    with rest.stream("GET", f"/v1/run-requests/{id}", headers={"accept": "text/event-stream"}) as answer:
        text = answer.read().decode()
    told = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert {line for line in text.splitlines() if line.startswith("event: ")} == {"event: request"}
    assert [one["status"] for one in told][-1] == "done" and told[-1] == rest.get(f"/v1/run-requests/{id}").json()
    assert rest.get("/v1/run-requests/none", headers={"accept": "text/event-stream"}).status_code == 404
