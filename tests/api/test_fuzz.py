"""Whatever is asked, the answer is no failure of the server, and every refusal has the one shape."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

slow = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
words = st.text(max_size=20) | st.sampled_from(
    ["", "pump-1", "pressure", "PT1M", "PT0S", "P99999999D", "kPa", "nan", "-1", "1e400", "now", "0"]
)
times = words | st.sampled_from(["2026-03-01T08:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-03-01T08:00:00"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words | times
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=8)


def check(response: Any) -> None:
    assert response.status_code < 500, (response.request.url, response.text)
    if response.status_code >= 400:
        assert {"code", "message"} <= response.json()["error"].keys()


@slow
@given(st.dictionaries(st.sampled_from(["from", "to", "every", "agg", "unit", "known_at"]), times), words, words)
def test_history(client: TestClient, query: dict[str, str], twin: str, path: str) -> None:
    check(client.get("/v1/history/pump-1/pressure", params=query))
    check(client.get(f"/v1/history/{quote(twin, safe='')}/{quote(path, safe='')}", params=query))


@slow
@given(st.dictionaries(st.sampled_from(["as_of", "known_at", "lane", "api-version"]), times), words)
def test_twins(client: TestClient, query: dict[str, str], id: str) -> None:
    name = quote(id, safe="")
    for path in ("/digitaltwins/pump-1", f"/digitaltwins/{name}", f"/digitaltwins/{name}/relationships", f"/models/{name}"):
        check(client.get(path, params=query))


@slow
@given(words, st.dictionaries(st.sampled_from(["contract", "reason", "limit", "model", "scenario", "window", "outputs"]), words))
def test_records(client: TestClient, id: str, query: dict[str, str]) -> None:
    name = quote(id, safe="")
    for path in ("/v1/dead-letters", "/v1/kpis", "/v1/runs", "/v1/parameter-sets"):
        check(client.get(path, params=query))
    for path in ("dead-letters", "runs", "parameter-sets", "reports", "twins"):
        check(client.get(f"/v1/{path}/{name}", params=query))
    check(client.post(f"/v1/runs/{name}/verify"))


@slow
@given(
    st.binary(max_size=200) | st.lists(values, max_size=4).map(lambda one: json.dumps(one).encode()), st.sampled_from(["pump", "logger"])
)
def test_telemetry_of_any_bytes_is_accounted_for(client: TestClient, body: bytes, contract: str) -> None:
    response = client.post(f"/v1/telemetry/{contract}", content=body)
    check(response)
    if response.status_code == 200:
        receipt = response.json()
        assert receipt["received"] == receipt["accepted"] + receipt["duplicate"] + sum(receipt["dead_lettered"].values())


scenario_fields = st.sampled_from(
    ["name", "model", "twin", "from", "horizon", "inputs", "parameters", "sweep", "ensemble", "seed", "constraints", "limits", "scenario"]
)


@slow
@given(
    st.dictionaries(scenario_fields, values, max_size=6),
    st.dictionaries(scenario_fields.filter(lambda one: one != "ensemble"), values, max_size=2),
)
def test_scenarios(client: TestClient, wild: dict[str, Any], change: dict[str, Any]) -> None:
    plain = {"name": "x", "model": "lag", "twin": "pump-1", "from": "2026-03-01T08:00:00Z", "horizon": "PT10S", "parameters": {"tau": 10}}
    check(client.post("/v1/scenarios", content=json.dumps(wild)))
    if change:
        check(client.post("/v1/scenarios", content=json.dumps({**plain, **change})))


@slow
@given(values)
def test_retries(client: TestClient, value: Any) -> None:
    check(client.post("/v1/dead-letters/retry", content=json.dumps({"ids": value})))
    check(client.post("/v1/dead-letters/retry", content=json.dumps(value)))


@slow
@given(
    st.lists(
        st.tuples(st.sampled_from(["host", "origin", "cookie", "authorization", "content-length", "accept", "range"]), words), max_size=4
    )
)
def test_heads(client: TestClient, headers: list[tuple[str, str]]) -> None:
    sendable = {name: value for name, value in headers if value.isascii() and value.isprintable()}
    check(client.get("/v1/twins", headers=sendable))
    check(client.post("/v1/dead-letters/retry", headers={name: value for name, value in sendable.items() if name != "content-length"}))


documents = st.dictionaries(
    st.sampled_from(["$metadata", "$dtId", "$targetId", "$relationshipName", "pressure", "drive"]) | words, values, max_size=4
)
operations = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "remove", "replace", "test", "move", "copy"]) | words,
            "path": st.text(max_size=8).map(lambda one: "/" + one),
        },
        optional={"value": values, "from": st.text(max_size=8).map(lambda one: "/" + one)},
    )
    | values,
    max_size=3,
)


@settings(slow, max_examples=25)
@given(documents, operations, words, st.dictionaries(st.sampled_from(["if-match", "if-none-match"]), st.sampled_from(["*", 'W/"x"', ""])))
def test_writes_of_the_graph(client: TestClient, body: Any, patch: Any, id: str, headers: dict[str, str]) -> None:
    name = quote(id, safe="")
    twin = {"$metadata": {"$model": "dtmi:test:Pump;1"}, **body}
    for path, sent in (
        (f"/digitaltwins/{name}", body),
        (f"/digitaltwins/{name}", twin),
        (f"/digitaltwins/pump-1/relationships/{name}", body),
    ):
        check(client.put(path, content=json.dumps(sent), headers=headers))
    for path in (f"/digitaltwins/{name}", "/digitaltwins/pump-2", f"/digitaltwins/pump-1/relationships/{name}", f"/models/{name}"):
        check(client.patch(path, content=json.dumps(patch), headers=headers))
    for path in (f"/eventroutes/{name}", f"/jobs/imports/{name}"):
        check(client.put(path, content=json.dumps(body)))
    check(client.post("/models", content=json.dumps([body])))
    check(client.post(f"/digitaltwins/{name}/telemetry", content=json.dumps(body), headers={"message-id": "1"}))
    for path in (f"/digitaltwins/pump-1/relationships/{name}", f"/digitaltwins/{name}" if id != "pump-1" else "/digitaltwins/none"):
        check(client.delete(path, headers=headers))
