"""Every resource on the real platform: what it answers, and that the answer has the shape which the description promises."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any
from unittest.mock import ANY

import pytest
from fastapi.testclient import TestClient

from twinwright.api import answers, run_answers
from twinwright.platform.local import LocalPlatform

Reading = Callable[..., bytes]


def ok(response: Any, shape: type[answers.Answer] | None = None) -> Any:
    assert response.status_code == 200, response.text
    body = response.json()
    if shape is not None:
        shape.model_validate(body)
    return body


@pytest.fixture(scope="module")
def run(client: TestClient) -> dict[str, Any]:
    return ok(client.post("/v1/scenarios", json={"scenario": "step"}), run_answers.RunAnswers)["runs"][0]


@pytest.fixture(scope="module")
def parameter_set(platform: LocalPlatform) -> dict[str, Any]:
    return platform.calibrate("lag", twin="pump-1", end="2026-03-01T08:05:00Z")  # what other tests push comes later


def test_a_twin_is_answered_in_adt_shape_with_its_etag(client: TestClient) -> None:
    response = client.get("/digitaltwins/pump-1", params={"api-version": "2023-10-31"})
    document = ok(response, answers.TwinDocument)
    assert response.headers["etag"] == document["$etag"]
    assert document["$metadata"]["pressure"]["unit"] == "kPa"
    assert document["pressure"] == 200.0


def test_a_twin_is_answered_as_it_was(client: TestClient) -> None:
    document = ok(client.get("/digitaltwins/pump-1", params={"as_of": "2026-03-01T08:00:10Z"}))
    assert document["pressure"] == 202.0


def test_a_slash_in_an_id_is_a_part_of_it(client: TestClient) -> None:
    twin, edge = "/digitaltwins/line%2F1", "/digitaltwins/line%2F1/relationships/to%2fpump"
    document = {"$dtId": "pump-1", "$metadata": {"$model": "dtmi:test:Pump;1"}}  # an id in the document means nothing
    assert ok(client.put(twin, json=document))["$dtId"] == "line/1"
    assert ok(client.put(edge, json={"$targetId": "pump-1", "$relationshipName": "feeds"}))["$relationshipId"] == "to/pump"
    assert ok(client.get(twin)) == ok(client.get(twin, params={"as_of": "2100-01-01T00:00:00Z"})) | {"$metadata": ANY}
    links = [one["$relationshipLink"] for one in ok(client.get("/digitaltwins/pump-1/incomingrelationships"))["value"]]
    assert [ok(client.get(link))["$sourceId"] for link in links] == ["line/1"]
    page = ok(client.get(f"{twin}/relationships", headers={"max-items-per-page": "1"}))
    assert [one["$relationshipId"] for one in page["value"]] == ["to/pump"]
    for wrong in ("/digitaltwins/line%1F1", "/digitaltwins/line%2F%1F"):
        assert client.put(wrong, json=document).json()["error"]["code"] == "InvalidArgument"
        assert client.get(wrong).json()["error"]["code"] == "DigitalTwinNotFound"
    for path in ("/v1/state/line%2F1", "/v1/twins/line%2F1/paths", "/v1/history/line%2F1/pressure"):
        assert client.get(path).status_code == 200
    for path in ("motor%2Fspeed", "motor/speed"):  # a path has slashes of its own
        assert "'motor/speed'" in client.get(f"/v1/history/line%2F1/{path}").json()["error"]["message"]
    assert client.delete(edge).status_code == client.delete(twin).status_code == 204


def test_errors_are_told_as_clients_of_azure_know_them(client: TestClient) -> None:
    sent = {"headers": {"message-id": "1"}, "json": {}}
    for response, status, code in (
        (client.post("/digitaltwins/pump-1/components/motor/telemetry", **sent), 404, "ComponentNotFound"),
        (client.post("/query", json={"continuationToken": "none"}), 400, "BadRequest"),
        (client.get("/digitaltwins/nobody"), 404, "DigitalTwinNotFound"),
    ):
        assert (response.status_code, response.json()["error"]["code"], response.headers["x-ms-error-code"]) == (status, code, code)


def test_relationships_are_listed_by_name(client: TestClient) -> None:
    assert [one["$targetId"] for one in ok(client.get("/digitaltwins/pump-1/relationships"), answers.Relationships)["value"]] == ["pump-2"]
    assert ok(client.get("/digitaltwins/pump-1/relationships", params={"relationshipName": "other"}))["value"] == []


def test_models_are_described_with_their_definition_where_asked(client: TestClient) -> None:
    (without,) = ok(client.get("/models"), answers.Models)["value"]
    (found,) = ok(client.get("/models", params={"includeModelDefinition": "true"}))["value"]
    assert "model" not in without and found["model"]["@id"] == found["id"] == "dtmi:test:Pump;1"
    assert ok(client.get("/models/dtmi:test:Pump;1"), answers.Model)["displayName"] == {"en": "Pump"}
    assert client.get("/models/dtmi:test:Nothing;1").status_code == 404


def test_an_unknown_version_of_the_data_plane_is_refused(client: TestClient) -> None:
    assert client.get("/models", params={"api-version": "1999-01-01"}).status_code == 400


def test_twins_and_their_paths_are_listed(client: TestClient) -> None:
    assert [one["$dtId"] for one in ok(client.get("/v1/twins"), answers.Twins)["value"]] == ["pump-1", "pump-2"]
    paths = {one["path"]: one["unit"] for one in ok(client.get("/v1/twins/pump-1/paths"), answers.Paths)["value"]}
    assert paths == {"pressure": "kPa", "drive": "V"}


def test_history_is_cut_resampled_and_converted(client: TestClient) -> None:
    window = {"from": "2026-03-01T08:00:00Z", "to": "2026-03-01T08:01:00Z"}
    plain = ok(client.get("/v1/history/pump-1/pressure", params=window), answers.History)
    assert plain["values"] == [200.0 + k for k in range(12)]
    coarse = ok(client.get("/v1/history/pump-1/pressure", params={**window, "every": "PT30S", "agg": "max", "unit": "bar"}))
    assert coarse["values"] == pytest.approx([2.05, 2.11]) and coarse["unit"] == "bar"


def test_what_was_not_known_yet_is_not_in_an_older_belief(client: TestClient) -> None:
    assert ok(client.get("/v1/history/pump-1/pressure", params={"known_at": "1"}))["times"] == []


@pytest.mark.parametrize(
    ("contract", "body", "kind"),
    [
        ("pump", b'{"unit": "pump-1", "ts": "2026-03-02T00:00:00Z", "p": 1}', "application/json"),
        ("pump", b'[{"unit": "pump-1", "ts": "2026-03-02T00:00:01Z", "p": 1}]', "application/json; charset=utf-8"),
        ("pump", b'{"unit": "pump-1", "ts": "2026-03-02T00:00:02Z", "p": 1}\n', "application/x-ndjson"),
        ("logger", b"ts,p\n2026-03-02T00:00:03Z,1\n", "text/csv"),
        ("pump", b'{"unit": "pump-1", "ts": "2026-03-02T00:00:04Z", "p": 1}', ""),
    ],
)
def test_telemetry_of_every_form_is_taken_and_read_back_at_once(client: TestClient, contract: str, body: bytes, kind: str) -> None:
    receipt = ok(client.post(f"/v1/telemetry/{contract}", content=body, headers={"content-type": kind}), answers.Receipt)
    assert (receipt["received"], receipt["accepted"]) == (1, 1)
    twin = "pump-2" if contract == "logger" else "pump-1"
    read = ok(client.get(f"/digitaltwins/{twin}", headers={"Twinwright-After": str(receipt["token"])}))
    assert read["pressure"] == 1.0
    assert ok(client.get(f"/digitaltwins/{twin}", params={"after": receipt["token"]}))["pressure"] == 1.0


def test_compressed_telemetry_is_taken(client: TestClient) -> None:
    body = gzip.compress(b'{"unit": "pump-1", "ts": "2026-03-02T00:01:00Z", "p": 3}\n') + gzip.compress(
        b'{"unit": "pump-1", "ts": "2026-03-02T00:01:01Z", "p": 4}\n'
    )
    receipt = ok(client.post("/v1/telemetry/pump", content=body, headers={"content-encoding": "gzip"}))
    assert receipt["accepted"] == 2


def test_refused_readings_are_answered_with_200_and_counted_exactly(client: TestClient) -> None:
    lines = [
        {"unit": "pump-1", "ts": "2026-03-02T00:02:00Z", "p": 3},
        {"unit": "pump-1", "ts": "2026-03-02T00:02:00Z", "p": 3},
        {"unit": "nobody", "ts": "2026-03-02T00:02:00Z", "p": 3},
        {"unit": "pump-1", "ts": "2026-03-02T00:02:01Z"},
    ]
    receipt = ok(client.post("/v1/telemetry/pump", content="\n".join(map(json.dumps, lines))))
    counted = {name: receipt[name] for name in ("received", "accepted", "duplicate", "dead_lettered")}
    assert counted == {"received": 4, "accepted": 1, "duplicate": 1, "dead_lettered": {"missing_field": 1, "unknown_twin": 1}}


def test_a_commit_that_never_comes_is_not_waited_for_for_ever(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinwright.api.serving.WAIT_SECONDS", 0.1)
    response = client.get("/v1/twins", headers={"Twinwright-After": "999999999"})
    assert response.status_code == 429 and response.headers["retry-after"] == "1"


def test_dead_letters_are_listed_shown_and_read_again(client: TestClient) -> None:
    listed = ok(client.get("/v1/dead-letters", params={"reason": "unknown_twin", "limit": 1}), answers.DeadLetters)
    assert len(listed["items"]) == 1 and listed["total"] == listed["by_reason"]["unknown_twin"]
    (letter,) = listed["items"]
    assert ok(client.get(f"/v1/dead-letters/{letter['id']}"), answers.DeadLetter)["payload"] == letter["payload"]
    retried = ok(client.post("/v1/dead-letters/retry", json={"ids": [letter["id"]]}), answers.RetryReceipt)
    assert (retried["received"], retried["still_refused"]) == (0, 1)
    assert ok(client.post("/v1/dead-letters/retry"))["still_refused"] >= 3


def test_an_unknown_reason_is_told_the_known_ones(client: TestClient) -> None:
    response = client.get("/v1/dead-letters", params={"reason": "ugly"})
    assert response.status_code == 400 and "missing_field" in response.json()["error"]["message"]


def test_a_submitted_scenario_is_watched_fetched_and_not_cancelled_any_more(client: TestClient, platform: LocalPlatform) -> None:
    taken = client.post("/v1/runs", params={"priority": "low"}, json={"scenario": "step"})
    assert taken.status_code == 202, taken.text
    request = run_answers.RunRequest.model_validate(taken.json())
    assert (request.status, request.priority, request.total) == ("waiting", -10, 1)
    place = taken.headers["location"]
    assert client.get(f"{place}/results").status_code == 409
    platform.watch_request(request.id)
    assert ok(client.get(place), run_answers.RunRequest)["status"] == "done"
    assert request.id in {one["id"] for one in ok(client.get("/v1/run-requests"), run_answers.RunRequests)["value"]}
    csv = client.get(f"{place}/results", params={"format": "csv"})
    assert csv.headers["content-type"].startswith("text/csv") and csv.text.startswith('"run","twin","member","time","y [kPa]"')
    assert client.get(f"{place}/results").content[:4] == b"PAR1"
    assert client.post(f"{place}/cancel").status_code == 409
    other = client.post("/v1/runs", json={"scenario": "step"}).json()
    assert ok(client.post(f"/v1/run-requests/{other['id']}/cancel"), run_answers.RunRequest)["status"] == "cancelled"


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda client: client.post("/v1/runs", params={"priority": "urgent"}, json={"scenario": "step"}), 400),
        (lambda client: client.post("/v1/runs", json={"scenario": "no"}), 404),
        (lambda client: client.post("/v1/runs", json={"name": "x", "inputs": {"u": {"series": "/etc/passwd"}}}), 400),
        (lambda client: client.get("/v1/run-requests/none"), 404),
        (lambda client: client.post("/v1/run-requests/none/cancel"), 404),
        (lambda client: client.get("/v1/run-requests/none/results", params={"format": "xls"}), 422),
    ],
)
def test_a_wrong_request_for_runs_is_refused(client: TestClient, ask: Callable[[TestClient], Any], code: int) -> None:
    assert ask(client).status_code == code


def test_a_scenario_is_run_by_name_kept_and_verified(client: TestClient, run: dict[str, Any]) -> None:
    assert run["status"] == "ok"
    assert run["outputs"]["y"]["unit"] == "kPa" and run["outputs"]["y"]["values"][-1] == pytest.approx(299.5, abs=0.1)
    assert run["id"] in [one["id"] for one in ok(client.get("/v1/runs", params={"model": "lag"}), run_answers.Runs)["value"]]
    assert ok(client.get("/v1/runs", params={"scenario": "other"}))["value"] == []
    assert ok(client.get(f"/v1/runs/{run['id']}"), run_answers.RunSummary)["outputs"] == run["outputs"]
    assert "outputs" not in ok(client.get(f"/v1/runs/{run['id']}", params={"outputs": "false"}))
    assert ok(client.post(f"/v1/runs/{run['id']}/verify"), run_answers.Verification)["verified"] is True
    page = client.get(f"/v1/runs/{run['id']}/report")
    assert page.status_code == 200 and run["digest"] in page.text and "sandbox" in page.headers["content-security-policy"]
    assert client.get("/v1/runs/ffffffff/report").status_code == 404


def test_a_scenario_given_inline_is_run(client: TestClient) -> None:
    scenario = {
        "name": "inline",
        "model": "lag",
        "twin": "pump-1",
        "from": "2026-03-01T08:00:00Z",
        "horizon": "PT1M",
        "parameters": {"tau": 10},
    }
    (answer,) = ok(client.post("/v1/scenarios", json=scenario))["runs"]
    assert answer["parameters"]["tau"]["value"] == 10


def test_scenarios_are_listed(client: TestClient) -> None:
    assert ok(client.get("/v1/scenarios"), run_answers.Scenarios)["value"] == [{"name": "step", "model": "lag", "twin": "pump-1"}]


@pytest.mark.parametrize("name", ["/etc/passwd", "../../etc/passwd", "scenarios/step.yaml"])
def test_a_scenario_is_never_a_file_of_the_server(client: TestClient, name: str) -> None:
    response = client.post("/v1/scenarios", json={"scenario": name})
    assert response.status_code == 404 and "step" in response.json()["error"]["message"]


def test_an_inline_scenario_reads_no_file_of_the_server(client: TestClient) -> None:
    scenario = {"name": "x", "model": "lag", "twin": "pump-1", "from": "now", "horizon": "PT1M", "inputs": {"u": {"series": "/etc/passwd"}}}
    response = client.post("/v1/scenarios", json=scenario)
    assert response.status_code == 400 and response.json()["error"]["target"] == "$.inputs.u.series"


def test_a_broken_inline_scenario_is_told_every_problem(client: TestClient) -> None:
    error = client.post("/v1/scenarios", json={"name": "x", "model": "lag", "horizont": "PT1M"}).json()["error"]
    assert error["code"] == "ValidationFailed" and len(error["details"]) >= 3


def test_parameter_sets_and_reports_are_served(client: TestClient, parameter_set: dict[str, Any]) -> None:
    id = parameter_set["id"]
    assert [one["id"] for one in ok(client.get("/v1/parameter-sets", params={"model": "lag"}), run_answers.ParameterSets)["value"]] == [id]
    assert ok(client.get("/v1/parameter-sets", params={"model": "other"}))["value"] == []
    assert ok(client.get(f"/v1/parameter-sets/{id}"), run_answers.ParameterSet)["model"] == "lag"
    report = client.get(f"/v1/reports/{id}")
    assert report.headers["content-type"].startswith("text/html")
    assert "sandbox" in report.headers["content-security-policy"] and "script-src" not in report.headers["content-security-policy"]


def test_validations_are_listed(client: TestClient, platform: LocalPlatform) -> None:
    found = platform.validate("lag", twin="pump-1", start="2026-03-01T08:02:00Z", end="2026-03-01T08:05:00Z")
    assert [one["id"] for one in ok(client.get("/v1/validations"), run_answers.Validations)["value"]] == [found["id"]]


def test_kpis_and_status_are_served(client: TestClient) -> None:
    kpis = ok(client.get("/v1/kpis", params={"window": "PT10M"}), answers.Kpis)
    counts = kpis["counts"]
    assert counts["received"] == counts["accepted"] + counts["duplicate"] + counts["dead_lettered"]
    assert [one["name"] for one in ok(client.get("/v1/status"), answers.Status)["contracts"]] == ["logger", "pump"]


def test_metrics_name_templates_of_routes_never_paths(client: TestClient) -> None:
    client.get("/digitaltwins/somebody-secret")
    client.get("/nowhere/somebody-secret")
    text = client.get("/metrics").text
    assert 'twinwright_http_requests_total{method="GET",route="/digitaltwins/{id}",status="404"}' in text
    assert 'route="none",status="404"' in text
    assert "somebody-secret" not in text


def test_the_description_covers_every_route_with_answers_and_errors(client: TestClient) -> None:
    description = ok(client.get("/openapi.json"))
    assert description["security"] == [{"bearer": []}]
    operations = [(path, method, one) for path, methods in description["paths"].items() for method, one in methods.items()]
    assert len(operations) >= 25
    for path, method, operation in operations:
        assert operation["summary"], (path, method)
        if path not in ("/healthz", "/readyz"):
            for status in ("401", "403", "422", "429", "500"):
                assert "schemas/ErrorBody" in str(operation["responses"][status]["content"]["application/json"]["schema"]), (path, status)
        for parameter in operation.get("parameters", []):
            assert parameter["schema"] and (parameter["in"] == "path" or parameter.get("description") or parameter["name"] == "code"), (
                path,
                parameter,
            )


def test_health_says_ok_and_nothing_more(anonymous: TestClient) -> None:
    for path in ("/healthz", "/readyz"):
        response = anonymous.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
