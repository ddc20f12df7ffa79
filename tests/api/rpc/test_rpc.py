"""Every resource over gRPC answers what REST answers, streams are bounded, and what is wrong has its status and the error object."""

from __future__ import annotations

import json
import math
import sys
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from fastapi.testclient import TestClient
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp
from tests.api.conftest import reading
from tests.api.rpc.conftest import LONG, SEEN, Client, failure, history, refuses

from twinwright.api.answers import Receipt
from twinwright.api.certificates import own_certificate
from twinwright.api.rpc import generate, messages, statuses, v1_pb2
from twinwright.api.rpc.messages import RPCS, SERVICE
from twinwright.api.rpc.server import RpcServer
from twinwright.api.tokens import TokenAuthority
from twinwright.cli import up
from twinwright.errors import InvalidTwinError, MissingExtraError, Problem, UsageError

Codes = grpc.StatusCode
# Resources under /v1 that have no rpc, and why.
WITHOUT = {
    ("GET", "/v1/runs/{id}/report"): "a page for people, which a browser opens",
    ("GET", "/v1/reports/{id}"): "a page for people, which a browser opens",
    ("POST", "/v1/reconcile/{contract}"): "a file of any size",
    ("POST", "/v1/ingest/{contract}"): "a file of any size; over gRPC its parts are pushed, each with its receipt, by PushStream",
}


def push(client: Client, *lines: bytes, **more: Any) -> v1_pb2.Receipt:
    return client.Push(v1_pb2.PushRequest(contract="pump", payload=b"\n".join(lines), **more))


def test_every_resource_of_rest_has_its_rpc_or_a_reason(rest: TestClient) -> None:
    paths = rest.get("/openapi.json").json()["paths"]
    resources = {(verb.upper(), path) for path, verbs in paths.items() if path.startswith("/v1/") for verb in verbs}
    answered = {(rpc.verb, rpc.template.replace("=**", "")) for rpc in RPCS.values()}
    assert resources - answered - WITHOUT.keys() == set(), "give it an rpc in v1.proto, or a reason here"
    assert {one for one in answered if one[1].startswith("/v1/")} <= resources, "there is no such resource"
    assert WITHOUT.keys() <= resources - answered, "a reason for what is there"


def test_the_committed_code_is_that_of_the_proto(tmp_path: Path) -> None:
    generate.generate(tmp_path)
    for made in tmp_path.rglob("v1_pb2*"):
        assert (generate.ROOT / made.relative_to(tmp_path)).read_text("utf-8") == made.read_text("utf-8"), "run `make proto`"


READS = {
    "ListTwins": ("/v1/twins", {}, {}),
    "ListPaths": ("/v1/twins/pump-1/paths", {"id": "pump-1"}, {}),
    "GetState": ("/v1/state/pump-1", {"id": "pump-1", "facts": True}, {"facts": "true"}),
    "ListStates": ("/v1/state", {"facts": True, "as_of": "2026-03-01T08:01:00Z"}, {"facts": "true", "as_of": "2026-03-01T08:01:00Z"}),
    "ListRelationships": ("/v1/relationships", {}, {}),
    "ListModels": ("/v1/models", {}, {}),
    "ListScenarios": ("/v1/scenarios", {}, {}),
    "ListShadows": ("/v1/shadows", {}, {}),
    "ListReconciliations": ("/v1/reconciliations", {}, {}),
    "ListDeadLetters": ("/v1/dead-letters", {"limit": 1, "reason": "malformed"}, {"limit": "1", "reason": "malformed"}),
    "GetDeadLetter": ("/v1/dead-letters/1", {"id": 1}, {}),
    "ListWebhooks": ("/v1/webhooks", {}, {}),
    "ListParameterSets": ("/v1/parameter-sets", {"model": "lag"}, {"model": "lag"}),
    "ListValidations": ("/v1/validations", {}, {}),
}


@pytest.mark.parametrize("name", READS)
def test_a_read_is_the_answer_of_rest(client: Client, rest: TestClient, name: str) -> None:
    path, fields, query = READS[name]
    rpc = RPCS[name]
    assert getattr(client, name)(rpc.request(**fields)) == messages.message_of(rpc.response, rest.get(path, params=query).json())


def test_documents_keep_every_digit_and_member(client: Client, rest: TestClient) -> None:
    state = client.GetState(v1_pb2.StateRequest(id="pump-1", facts=True))
    document = rest.get("/v1/state/pump-1", params={"facts": "true"}).json()
    assert (state.id, json.loads(state.json)) == ("pump-1", document)
    assert client.GetState(v1_pb2.StateRequest(id="pump-1")).etag == rest.get("/digitaltwins/pump-1").headers["etag"]
    many = messages.message_of(v1_pb2.QueryPage, {"value": [{"n": 2**63 - 1}], "continuationToken": None})
    assert json.loads(many.rows_json[0]) == {"n": 2**63 - 1} and many.continuation_token == ""
    kpis = client.GetKpis(v1_pb2.KpisRequest(window="PT10M"))
    assert json.loads(kpis.json)["counts"] == dict(kpis.counts)


def test_telemetry_is_durable_with_its_receipt_and_read_back_by_its_token(client: Client) -> None:
    sent = [reading(1_000, 321.0), reading(1_000, 321.0), b"not json"]
    receipt = push(client, *sent, idempotency_key="once")
    assert (receipt.received, receipt.accepted, receipt.duplicate, dict(receipt.dead_lettered)) == (3, 1, 1, {"malformed": 1})
    assert push(client, *sent, idempotency_key="once") == receipt
    assert refuses(Codes.INVALID_ARGUMENT, lambda: push(client, reading(1_001), idempotency_key="once")).code == "IdempotencyKeyReused"
    table = history(client, twin="pump-1", path="pressure", start="2026-03-01T08:16:40Z", end="2026-03-01T08:16:41Z", after=receipt.token)
    assert table["values"].to_pylist() == [321.0]


def test_pages_of_a_query_follow_each_other(client: Client) -> None:
    asked = "SELECT T.$dtId AS id FROM digitaltwins T"
    first = client.Query(v1_pb2.QueryRequest(query=asked, max_items=1))
    second = client.Query(v1_pb2.QueryRequest(continuation_token=first.continuation_token, max_items=1))
    found = [json.loads(row)["id"] for page in (first, second) for row in page.rows_json]
    assert sorted(found) == ["pump-1", "pump-2"]
    assert refuses(Codes.INVALID_ARGUMENT, lambda: client.Query(v1_pb2.QueryRequest(query="SELEC"))).code == "SqlQueryError"


def test_a_scenario_tells_of_its_runs_and_answers_with_them(client: Client, rest: TestClient) -> None:
    updates = list(client.Simulate(v1_pb2.SimulateRequest(scenario="step", fresh=True)))
    *steps, last = updates
    assert [(one.progress.done, one.progress.total) for one in steps][-1:] == [(1, 1)]
    (run,) = last.done.runs
    assert run.status == "ok" and run.outputs["y"].unit == "kPa" and run.outputs["y"].values[-1] == pytest.approx(299.5, abs=0.1)
    kept = client.GetRun(v1_pb2.RunRequest(id=run.id))
    assert (kept.model, kept.scenario, list(kept.outputs["y"].values)) == ("lag", "step", list(run.outputs["y"].values))
    assert not client.GetRun(v1_pb2.RunRequest(id=run.id, outputs=False)).outputs
    assert client.VerifyRun(v1_pb2.VerifyRunRequest(id=run.id)).verified
    assert client.ExplainRun(v1_pb2.ExplainRunRequest(id=run.id)).sentences
    assert client.CompareRuns(v1_pb2.CompareRunsRequest(id=run.id, other=run.id)).same
    assert [one.id for one in client.ListRuns(v1_pb2.ListRunsRequest(scenario="step")).runs][-1] == run.id
    assert client.PruneRuns(v1_pb2.PruneRunsRequest(older_than="P30D", dry_run=True)).removed == 0
    inline = {"name": "x", "model": "lag", "twin": "pump-1", "from": "2026-03-01T08:00:00Z", "horizon": "PT1M", "parameters": {"tau": 10}}
    *_, last = client.Simulate(v1_pb2.SimulateRequest(scenario_json=json.dumps(inline)))
    assert json.loads(last.done.runs[0].json)["parameters"]["tau"]["value"] == 10
    broken = refuses(Codes.INVALID_ARGUMENT, lambda: list(client.Simulate(v1_pb2.SimulateRequest(scenario_json='{"name": "x"}'))))
    assert broken.code == "ValidationFailed" and len(broken.details) >= 3
    assert (
        refuses(Codes.INVALID_ARGUMENT, lambda: list(client.Simulate(v1_pb2.SimulateRequest(scenario_json="{")))).code == "InvalidArgument"
    )
    assert refuses(Codes.NOT_FOUND, lambda: list(client.Simulate(v1_pb2.SimulateRequest(scenario="/etc/passwd")))).code == "NotFound"


def test_a_model_is_calibrated_validated_and_promoted(client: Client) -> None:
    window = {"model": "lag", "twin": "pump-1", "end": "2026-03-01T08:05:00Z"}
    made = client.Calibrate(v1_pb2.CalibrateRequest(**window, only=["tau"]))
    assert json.loads(made.json)["only"] == ["tau"] and json.loads(made.parameters_json)["tau"]["estimated"]
    kept = client.GetParameterSet(v1_pb2.ParameterSetRequest(id=made.id))
    assert json.loads(kept.metrics_json)["train"] == json.loads(made.metrics_json)["train"]
    assert json.loads(client.Validate(v1_pb2.ValidateRequest(**window, parameters=made.id)).baseline_json)["name"]
    assert client.Promote(v1_pb2.PromoteRequest(name="lag", id=made.id)).reason


def test_the_upkeep_is_done_from_afar(client: Client) -> None:
    assert client.ReplayCost(v1_pb2.ReplayRequest(contract="pump", rate=10.0)).cost.seconds > 0
    assert client.Replay(v1_pb2.ReplayRequest(contract="logger", rate=1e6)).received == 0
    assert client.Reconcile(v1_pb2.ReconcileRequest()).checked > 0
    asked = v1_pb2.ReconcileRequest(against="source", contract="pump")
    assert "no connector" in refuses(Codes.INVALID_ARGUMENT, lambda: client.Reconcile(asked)).message
    assert "what a gap is" in refuses(Codes.INVALID_ARGUMENT, lambda: client.ListGaps(v1_pb2.GapsRequest(contract="pump"))).message
    nightly = v1_pb2.RunReconciliationRequest(name="nightly")
    assert refuses(Codes.NOT_FOUND, lambda: client.RunReconciliation(nightly))
    assert client.RetryDeadLetters(v1_pb2.RetryDeadLettersRequest()).still_refused == 0, "none named, none read again"
    assert client.RetryDeadLetters(v1_pb2.RetryDeadLettersRequest(all=True, dry_run=True)).still_refused > 0
    assert client.ExpireDeadLetters(v1_pb2.ExpireRequest(older_than="P1D")).expired == 0
    assert not client.TrustClock(v1_pb2.TrustClockRequest()).suspect and client.GetClock(v1_pb2.ClockRequest()).now
    assert client.GetStatus(v1_pb2.StatusRequest()).commit > 0
    assert not client.RunShadows(v1_pb2.RunShadowsRequest()).shadows
    assert refuses(Codes.NOT_FOUND, lambda: client.GetShadow(v1_pb2.ShadowRequest(name="none")))
    for switch in (client.StopShadow, client.StartShadow):
        assert refuses(Codes.NOT_FOUND, partial(switch, v1_pb2.ShadowSwitchRequest(name="none")))
    assert refuses(Codes.NOT_FOUND, lambda: client.RetryWebhookLetters(v1_pb2.RetryWebhookLettersRequest(name="none", all=True)))
    assert not client.ListWebhookLetters(v1_pb2.WebhookLettersRequest(name="none")).letters


def all_of(call: Any) -> list[Any]:
    """What a stream gives, which begins when it is asked for."""
    return list(call())


@pytest.mark.parametrize(
    "metadata", [(), (("authorization", "Bearer a-false-token-that-is-long"),), (("authorization", "Basic x"),), SEEN * 2]
)
def test_nothing_but_health_is_open_without_a_credential(client: Client, channel: grpc.Channel, metadata: tuple[Any, ...]) -> None:
    for name, rpc in RPCS.items():
        request = rpc.request()
        call = getattr(client, name)
        asked = iter([request]) if rpc.method.client_streaming else request
        answer = partial(call, asked, metadata=metadata)
        told = refuses(Codes.UNAUTHENTICATED, partial(all_of, answer) if rpc.method.server_streaming else answer)
        assert told.code == "Unauthenticated"
    reflected = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    refuses(Codes.UNAUTHENTICATED, lambda: list(reflected(iter([ask]), metadata=metadata, timeout=LONG)))
    health = health_pb2_grpc.HealthStub(channel)
    assert health.Check(health_pb2.HealthCheckRequest(), timeout=LONG).status == health_pb2.HealthCheckResponse.SERVING


def test_health_is_told_of_the_service_and_watched(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    named = health_pb2.HealthCheckRequest(service="twinwright.v1.Twinwright")
    assert health.Check(named, timeout=LONG).status == health_pb2.HealthCheckResponse.SERVING
    assert refuses(Codes.NOT_FOUND, lambda: health.Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=LONG))
    watching = health.Watch(named, timeout=LONG)
    assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
    watching.cancel()


def test_the_service_describes_itself_to_who_is_let_in(channel: grpc.Channel) -> None:
    reflected = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE.full_name),
    ]
    listed, described = reflected(iter(asked), metadata=SEEN, timeout=LONG)
    assert {one.name for one in listed.list_services_response.service} >= {SERVICE.full_name, "grpc.health.v1.Health"}
    assert v1_pb2.DESCRIPTOR.serialized_pb in described.file_descriptor_response.file_descriptor_proto


def test_what_is_wrong_has_its_status_and_the_error_object(client: Client) -> None:
    missing = refuses(Codes.NOT_FOUND, lambda: client.GetState(v1_pb2.StateRequest(id="pump-7")))
    assert (missing.code, bool(missing.correlation_id)) == ("DigitalTwinNotFound", True) or missing.code == "NotFound"
    assert "'line/1'" in refuses(Codes.NOT_FOUND, lambda: client.GetState(v1_pb2.StateRequest(id="line/1"))).message
    assert "is missing" in refuses(Codes.INVALID_ARGUMENT, lambda: client.GetRun(v1_pb2.RunRequest())).message
    assert refuses(Codes.INVALID_ARGUMENT, lambda: client.GetRun(v1_pb2.RunRequest(id="x/report"))).target == "id"
    assert (
        refuses(Codes.INVALID_ARGUMENT, lambda: client.ListDeadLetters(v1_pb2.ListDeadLettersRequest(limit=0))).code == "ValidationFailed"
    )
    assert refuses(Codes.INVALID_ARGUMENT, lambda: client.GetState(v1_pb2.StateRequest(id="pump-1", as_of="noon"))).message
    deep = "[" * 100 + "]" * 100
    assert refuses(Codes.INVALID_ARGUMENT, lambda: list(client.Simulate(v1_pb2.SimulateRequest(scenario_json=deep)))).code == "TooLarge"


def test_payloads_have_the_limits_of_rest(client: Client) -> None:
    large = b"\n" * (16 * 1024 * 1024 + 1)
    assert refuses(Codes.INVALID_ARGUMENT, lambda: client.Push(v1_pb2.PushRequest(contract="pump", payload=large))).code == "TooLarge"
    with pytest.raises(grpc.RpcError) as caught:
        client.Push(v1_pb2.PushRequest(contract="pump", payload=large * 2))
    assert caught.value.code() == Codes.RESOURCE_EXHAUSTED, "the library itself lets go of what is far too large"


def test_a_deadline_ends_the_waiting_and_a_busy_platform_says_when_to_come_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    never = v1_pb2.ListTwinsRequest(after=999_999_999)
    with pytest.raises(grpc.RpcError) as caught:
        client.ListTwins(never, timeout=0.3)
    assert caught.value.code() == Codes.DEADLINE_EXCEEDED
    monkeypatch.setattr("twinwright.api.serving.WAIT_SECONDS", 0.05)
    with pytest.raises(grpc.RpcError) as caught:
        client.ListTwins(never)
    code, told = failure(caught.value)
    retry = error_details_pb2.RetryInfo()
    assert code == Codes.RESOURCE_EXHAUSTED and told.code == "TooManyRequests"
    assert rpc_status.from_call(caught.value).details[1].Unpack(retry) and retry.retry_delay.seconds == 1


def test_tls_with_the_certificate_that_up_makes(app: ASGIApp, tokens: TokenAuthority, tmp_path: Path) -> None:
    certificate, key = own_certificate(tmp_path, ["127.0.0.1"])
    with RpcServer(app, tokens=tokens, ssl_certificate=certificate, ssl_key=key) as served:
        trusting = grpc.ssl_channel_credentials(certificate.read_bytes())
        with grpc.secure_channel(served.address, trusting) as channel:
            assert Client(channel).ListTwins(v1_pb2.ListTwinsRequest()).twins
        with grpc.insecure_channel(served.address) as channel, pytest.raises(grpc.RpcError) as caught:
            Client(channel).ListTwins(v1_pb2.ListTwinsRequest())
        assert caught.value.code() == Codes.UNAVAILABLE


def test_only_this_machine_is_served_without_tls_and_a_port_that_is_taken_is_refused(app: ASGIApp, tokens: TokenAuthority) -> None:
    with pytest.raises(UsageError, match="can be reached by others"):
        RpcServer(app, "0.0.0.0", tokens=tokens)
    with RpcServer(app, tokens=tokens) as first, pytest.raises(UsageError, match="can't listen"):
        RpcServer(app, port=first.port, tokens=tokens).start()


def test_a_status_fits_into_the_trailers_whatever_it_tells(client: Client) -> None:
    many = {"name": "x" * 3_000, **{f"ü{k}" * 20: 1 for k in range(300)}}
    told = refuses(Codes.INVALID_ARGUMENT, lambda: list(client.Simulate(v1_pb2.SimulateRequest(scenario_json=json.dumps(many)))))
    assert told.code == "ValidationFailed" and told.details


_long = st.builds(lambda text, times: text * times, st.text(max_size=3), st.integers(0, 2_000))
slow = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@slow
@given(st.lists(_long, max_size=40), _long)
def test_a_status_is_small(details: list[str], target: str) -> None:
    error = InvalidTwinError(Problem(text, "", path=target) for text in details)
    assert statuses.refused_by(error).status.ByteSize() < 6_000


_texts = st.text(max_size=20)


@slow
@given(st.sampled_from(["GetState", "ListPaths", "GetRun", "GetParameterSet", "Query", "ListDeadLetters", "GetKpis"]), st.data())
def test_whatever_is_asked_is_no_failure_of_the_server(client: Client, name: str, data: st.DataObject) -> None:
    rpc = RPCS[name]
    texts = [field.name for field in rpc.method.input_type.fields if field.cpp_type == field.CPPTYPE_STRING]
    request = rpc.request(**data.draw(st.dictionaries(st.sampled_from(texts), _texts)))
    try:
        getattr(client, name)(request)
    except grpc.RpcError as error:
        code, told = failure(error)
        assert code in (Codes.INVALID_ARGUMENT, Codes.NOT_FOUND, Codes.PERMISSION_DENIED) and told.code, (code, told)


counted = st.dictionaries(st.sampled_from(["received", "accepted", "token"]), st.integers(0, 2**63 - 1))


@slow
@given(counted, st.dictionaries(_texts, st.integers(0, 9)))
def test_a_receipt_arrives_as_it_was(counts: dict[str, int], dead: dict[str, int]) -> None:
    message = messages.message_of(v1_pb2.Receipt, {**counts, "dead_lettered": dead})
    assert {name: getattr(message, name) for name in counts} == counts and dict(message.dead_lettered) == dead
    assert {field.name for field in v1_pb2.Receipt.DESCRIPTOR.fields} == set(Receipt.model_fields)


def test_what_is_missing_in_a_series_is_not_a_number() -> None:
    assert math.isnan(messages.message_of(v1_pb2.Series, {"times": ["t"], "values": [None], "unit": None}).values[0])


def test_a_missing_extra_is_named(app: ASGIApp, tokens: TokenAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "twinwright.api.rpc.server", None)
    with pytest.raises(MissingExtraError, match=r"twinwright\[grpc\]"):
        up._rpc_server(app, "127.0.0.1", 0, tokens, None, None)
