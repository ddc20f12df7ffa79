"""`POST /query` on the real platform: the shape of Azure Digital Twins, in step with every commit, over history and as it was known."""

from __future__ import annotations

import random
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.api.conftest import reading

from twinwright.api import answers
from twinwright.platform import querying
from twinwright.platform.local import LocalPlatform
from twinwright.twins.reads import TwinReads

PRESSURES = "SELECT T.$dtId AS id, T.pressure AS p FROM DIGITALTWINS T WHERE IS_DEFINED(T.pressure)"


def ask(client: TestClient, query: Any, after: int | None = None, **more: Any) -> Any:
    headers = {} if after is None else {"Twinwright-After": str(after)}
    return client.post("/query", params={"api-version": "2023-10-31"}, json={"query": query, **more}, headers=headers)


def value(client: TestClient, query: str, after: int | None = None) -> list[dict[str, Any]]:
    response = ask(client, query, after)
    assert response.status_code == 200, response.text
    answers.QueryPage.model_validate(response.json())
    return response.json()["value"]


def push(client: TestClient, body: bytes) -> int:
    response = client.post("/v1/telemetry/pump", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 200, response.text
    return int(response.json()["token"])


def test_documents_are_those_of_state(client, platform):
    documents = value(client, "SELECT * FROM DIGITALTWINS")
    assert {one["$dtId"]: one["$etag"] for one in documents} == {one["$dtId"]: one["$etag"] for one in platform.state()["value"]}


def test_documents_of_some_twins_are_read_without_the_others(client, platform, monkeypatch):
    read, held = TwinReads._documents, []
    monkeypatch.setattr(querying, "_ONE_BY_ONE", 0)
    monkeypatch.setattr(
        TwinReads, "_documents", lambda self, principal, lives, *a, **k: held.append(lives) or read(self, principal, lives, *a, **k)
    )
    at = "2026-03-01T08:02:00Z"
    for options, text in (({}, ""), ({"as_of": at}, f" AS OF '{at}'")):
        (shown,) = value(client, f"SELECT * FROM DIGITALTWINS T WHERE T.$dtId IN ['pump-1', 'nobody']{text}")
        assert [[life.twin for life in lives] for lives in held] == [["pump-1"]]
        expected = platform.state("pump-1", **options)
        assert {**shown, "$metadata": 0} == {**expected, "$metadata": 0}
        held.clear()


def test_a_page_goes_on_from_its_token_and_says_what_it_cost(client):
    page = client.post("/query", json={"query": "SELECT T.$dtId FROM DIGITALTWINS T"}, headers={"max-items-per-page": "1"})
    assert float(page.headers["query-charge"]) >= 0
    token = page.json()["continuationToken"]
    rest = client.post("/query", json={"continuationToken": token}, headers={"max-items-per-page": "1"}).json()
    assert [one["$dtId"] for one in page.json()["value"] + rest["value"]] == ["pump-1", "pump-2"]
    assert rest["continuationToken"] is None


ORDERS = ("", " ORDER BY T.pressure DESC", " ORDER BY T.drive, T.pressure")


@pytest.mark.parametrize("order", ORDERS)
def test_what_comes_and_goes_between_pages_moves_nothing_that_stays(client, order):
    twin = {"$metadata": {"$model": "dtmi:test:Pump;1"}}
    ids = [f"page-{number}" for number in range(7)]
    for number, id in enumerate(ids):
        assert client.put(f"/digitaltwins/{id}", json={**twin, **({"pressure": number // 2} if number % 3 else {})}).status_code == 200
    text = f"SELECT T.$dtId FROM DIGITALTWINS T WHERE STARTSWITH(T.$dtId, 'page'){order}"
    whole, found, token = [one["$dtId"] for one in value(client, text)], [], None
    while len(found) < 7 and (token or not found):
        body = {"query": text, "continuationToken": token}
        page = client.post("/query", json=body, headers={"max-items-per-page": "2"}).json()
        found += [one["$dtId"] for one in page["value"]]
        token = page["continuationToken"]
        assert client.delete(f"/digitaltwins/{found[0] if len(found) == 2 else found[-1]}").status_code in (204, 404)
    assert found == whole
    for id in ids:
        client.delete(f"/digitaltwins/{id}")


def test_a_write_is_seen_by_the_query_that_its_token_is_given_to(client):
    value(client, PRESSURES)
    for step in range(3):
        token = push(client, reading(2_000 + step, 300.0 + step, unit="pump-2"))
        assert {"id": "pump-2", "p": 300.0 + step} in value(client, PRESSURES, token)


def test_relationships_and_joins_need_no_anchor(client):
    found = value(client, "SELECT A, R FROM DIGITALTWINS A JOIN B RELATED A.feeds R")
    assert [(one["A"]["$dtId"], one["R"]["$targetId"]) for one in found] == [("pump-1", "pump-2")]


def test_a_relationship_is_shown_as_it_is_read(client, platform):
    whole = platform.relationships()
    assert value(client, "SELECT * FROM RELATIONSHIPS") == whole
    assert value(client, "SELECT R, R.$etag FROM RELATIONSHIPS R")[0] == {"R": whole[0], "$etag": whole[0]["$etag"]}
    error = ask(client, "SELECT * FROM RELATIONSHIPS R WHERE R.$etag = 'x'").json()["error"]
    assert "It can be selected" in error["message"]


def test_the_past_is_that_of_state(client, platform):
    push(client, reading(2_500, 777.0))
    at = "2026-03-01T08:02:00Z"
    expected = platform.state("pump-1", as_of=at)["pressure"]
    assert value(client, f"SELECT T.pressure FROM DIGITALTWINS T WHERE T.$dtId = 'pump-1' AS OF '{at}'") == [{"pressure": expected}]
    known = platform.session.store.last_commit(platform.principal)
    before = platform.state("pump-1", known_at=str(known))["pressure"]
    push(client, reading(2_501, 778.0))
    query = f"SELECT T.pressure FROM DIGITALTWINS T WHERE T.$dtId = 'pump-1' KNOWN AT {known}"
    assert value(client, query) == [{"pressure": before}]


def test_a_window_of_history_is_that_of_history(client, platform):
    at, begin = "2026-03-01T08:04:55Z", "2026-03-01T08:00:00Z"
    series = platform.history("pump-1", "pressure", start=begin, end="2026-03-01T08:05:00Z")["values"]
    query = "SELECT HISTORY(T.pressure, 'PT5M', '{}') AS v FROM DIGITALTWINS T WHERE T.$dtId = 'pump-1' AS OF '{}'"
    for aggregate, expected in (("max", max(series)), ("count", len(series)), ("avg", sum(series) / len(series))):
        assert value(client, query.format(aggregate, at))[0]["v"] == pytest.approx(expected)
    bar = "SELECT MAX(HISTORY(T.pressure, 'PT5M', 'max')) IN UNIT 'bar' AS v FROM DIGITALTWINS T AS OF '2026-03-01T08:04:55Z'"
    assert value(client, bar)[0]["v"] == pytest.approx(max(series) / 100)


def test_units_are_converted_in_conditions(client):
    pa, kpa = (value(client, f"SELECT COUNT() FROM DIGITALTWINS T WHERE T.pressure > {limit}") for limit in ("200000 Pa", "200 kPa"))
    assert pa == kpa


def test_another_lane_is_asked_for_by_name(client):
    assert value(client, "SELECT COUNT() FROM DIGITALTWINS T WHERE IS_DEFINED(T.$lanes.desired.pressure)") == [{"COUNT": 0}]


def test_explain_shows_the_plan_with_placeholders(client):
    (plan,) = value(client, "EXPLAIN SELECT T FROM DIGITALTWINS T WHERE T.pressure > 123456")
    assert "123456" not in plan["sql"]
    assert "$p0" in plan["sql"]


@pytest.mark.parametrize("body", [None, [], "x", {}, {"query": 1}, {"query": "SELECT"}, {"query": "", "continuationToken": "e30="}])
def test_what_is_no_query_is_refused(client, body):
    response = client.post("/query", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_a_slip_names_the_nearest(client):
    error = ask(client, "SELECT T.presure FROM DIGITALTWINS T").json()["error"]
    assert error["code"] == "SqlQueryError"
    assert "Did you mean 'pressure'?" in error["message"]


def test_no_query_makes_the_server_fail(client, platform: LocalPlatform):
    rng = random.Random(3)
    words = "SELECT * FROM DIGITALTWINS T WHERE T.pressure > 1 kPa AND ( ) ' \" [ ] -- ; , IN MATCH (A)-[*1..9]-(B) GROUP BY $p0 e0.e"
    words = words.split()
    for _ in range(150):
        assert ask(client, " ".join(rng.choices(words, k=rng.randint(1, 14)))).status_code in (200, 400)
    assert value(client, "SELECT COUNT() FROM DIGITALTWINS") == [{"COUNT": 2}]


def test_the_graph_that_clients_write_is_asked_at_once_and_as_it_was(client, platform):
    twin = {"$metadata": {"$model": "dtmi:test:Pump;1"}, "pressure": 5.0}
    count = "SELECT COUNT() FROM DIGITALTWINS T JOIN U RELATED T.feeds"
    before, known = value(client, count)[0]["COUNT"], platform.session.store.last_commit(platform.principal)
    assert client.put("/digitaltwins/pump-new", json=twin).status_code == 200
    edge = {"$targetId": "pump-1", "$relationshipName": "feeds"}
    assert client.put("/digitaltwins/pump-new/relationships/n1", json=edge).status_code == 200
    assert value(client, "SELECT T.pressure FROM DIGITALTWINS T WHERE T.$dtId = 'pump-new'") == [{"pressure": 5.0}]
    change = [{"op": "replace", "path": "/pressure", "value": 6.0}]
    headers = {"content-type": "application/json-patch+json"}
    assert client.patch("/digitaltwins/pump-new", json=change, headers=headers).status_code in (202, 204)
    assert value(client, "SELECT T.pressure FROM DIGITALTWINS T WHERE T.$dtId = 'pump-new'") == [{"pressure": 6.0}]
    assert value(client, count) == [{"COUNT": before + 1}]
    assert value(client, f"{count} KNOWN AT {known}") == [{"COUNT": before}]
    assert value(client, f"SELECT T FROM DIGITALTWINS T WHERE T.$dtId = 'pump-new' KNOWN AT {known}") == []
    assert client.delete("/digitaltwins/pump-new/relationships/n1").status_code == 204
    assert client.delete("/digitaltwins/pump-new").status_code == 204
    assert value(client, "SELECT COUNT() FROM DIGITALTWINS T WHERE T.$dtId = 'pump-new'") == [{"COUNT": 0}]


def test_the_graph_of_two_instants_is_compared(client):
    page = client.get("/v1/graph/diff", params={"from": "1", "kind": "twin"}, headers={"max-items-per-page": "1"})
    assert page.status_code == 200, page.text
    answers.GraphDiff.model_validate(page.json())
    assert page.json()["from"] == {"commit": 1, "as_of": None} and page.json()["to"]["commit"] > 1
    wrong = client.get("/v1/graph/diff", params={"from": "noon"})
    assert wrong.status_code == 400 and wrong.json()["error"]["code"]


def test_twins_are_changed_by_a_query(client, platform):
    asked = {"query": "SELECT T FROM DIGITALTWINS T WHERE T.$dtId = 'pump-2'", "set": {"pressure": "2 bar"}}
    tried = client.post("/v1/graph/update", json={**asked, "dry_run": True})
    assert tried.status_code == 200, tried.text
    assert tried.json()["matched"] == 1 and tried.json()["id"] is None
    if not tried.json()["refused"]:
        done = client.post("/v1/graph/update", json=asked)
        answers.GraphUpdate.model_validate(done.json())
        assert int(done.headers["twinwright-token"]) == done.json()["token"]
    for wrong in (
        {"query": "SELECT T"},
        {**asked, "sett": {}},
        {**asked, "set": {"presure": 1}},
        {**asked, "dry_run": 1},
        {"set": {}},
        [1],
    ):
        refused = client.post("/v1/graph/update", json=wrong)
        assert refused.status_code == 400 and refused.json()["error"]["code"], wrong


def test_twins_are_made_of_the_rows_of_a_query(client):
    twin = {"$dtId": "gauge-{pump}", "$metadata": {"$model": "dtmi:test:Pump;1"}, "pressure": "{p}"}
    edge = {"$relationshipId": "g", "$sourceId": "gauge-{pump}", "$targetId": "{pump}", "$relationshipName": "feeds"}
    asked = {"query": "SELECT T.$dtId AS pump FROM DIGITALTWINS T WHERE T.$dtId = 'pump-2'", "template": {"twins": [twin]}}
    asked |= {"rows": [{"pump": "pump-2", "p": 7}], "on": ["pump"]}
    asked["template"]["relationships"] = [edge]
    tried = client.post("/v1/graph/import", json={**asked, "dry_run": True})
    assert tried.status_code == 200, tried.text
    assert client.get("/digitaltwins/gauge-pump-2").status_code == 404
    done = client.post("/v1/graph/import", json=asked)
    answers.GraphImport.model_validate(done.json())
    assert int(done.headers["twinwright-token"]) == done.json()["token"]
    assert {**tried.json(), "id": 0, "commits": 0, "token": 0, "preview": 0, "dry_run": 0} == {
        **{name: value for name, value in done.json().items() if name not in ("first_commit", "last_commit", "finished")},
        **{"id": 0, "commits": 0, "token": 0, "preview": 0, "dry_run": 0},
    }
    assert client.get("/digitaltwins/gauge-pump-2").json()["pressure"] == 7
    assert client.get("/digitaltwins/gauge-pump-2/relationships/g").json()["$targetId"] == "pump-2"
    for wrong in (
        {"query": asked["query"]},
        {**asked, "template": {"twin": []}},
        {**asked, "template": []},
        {**asked, "on": [1]},
        {**asked, "on": []},
        {**asked, "rows": [1]},
        {**asked, "rows": {}},
        {**asked, "query": 1},
        {**asked, "dry_run": 1},
        {**asked, "more": 1},
        [1],
    ):
        refused = client.post("/v1/graph/import", json=wrong)
        assert refused.status_code == 400 and refused.json()["error"]["code"], wrong
    assert client.delete("/digitaltwins/gauge-pump-2/relationships/g").status_code == 204
    assert client.delete("/digitaltwins/gauge-pump-2").status_code == 204
