"""The whole of `/openapi.json`, as Schemathesis reads it: what is described is what is answered, and nothing fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    SchemathesisConfig,
    SimpleCheckConfig,
)
from schemathesis.engine import events, from_schema
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.api.conftest import BASE, TOKEN, reading, write_workspace

from twinwright.api import serving
from twinwright.api.app import create_app
from twinwright.api.tokens import TokenAuthority
from twinwright.platform.local import LocalPlatform
from twinwright.telemetry.payloads import Payload

# What a schema can't say of a request (a query that does not parse, an etag that is old, sizes of all headers together) is refused so.
REFUSED = ["400", "404", "409", "412", "413", "429", "431"]


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ASGIApp]:
    """A plant of its own, since every twin may be deleted; nobody waits for commits that never come."""
    monkeypatch.setattr(serving, "WAIT_SECONDS", 0.0)
    platform = LocalPlatform.open(write_workspace(tmp_path))
    platform.apply()
    platform.push("pump", [Payload(b"\n".join([*(reading(5 * k, u=2.0) for k in range(20)), b"not json"]))])
    yield create_app(platform, tokens=TokenAuthority(TOKEN), metrics=platform.session.metrics)
    platform.close()


def failures(app: ASGIApp, *, examples: int, coverage: bool) -> tuple[dict[str, str], int, set[str]]:
    """What failed, once for each operation and kind, with how to repeat it; how many requests there were; the operations asked."""
    checks = ChecksConfig(
        positive_data_acceptance=PositiveDataAcceptanceConfig(expected_statuses=["2xx", "3xx", "401", *REFUSED]),
        ignored_auth=SimpleCheckConfig(enabled=True),
    )
    checks.negative_data_rejection.expected_statuses = ["401", "403", "405", "415", "422", *REFUSED]
    project = ProjectConfig(
        base_url=BASE,
        headers={"Authorization": f"Bearer {TOKEN}"},
        checks=checks,
        generation=GenerationConfig(max_examples=examples, deterministic=True, database="none", no_shrink=True),
        continue_on_failure=True,
    )
    config = SchemathesisConfig(seed=1)
    config.projects.default = project
    project._parent = config
    project.phases.coverage.enabled = coverage
    project.phases.stateful.enabled = False
    description = TestClient(app, BASE, headers=project.headers).get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(description, config=config)
    schema.app = app
    found: dict[str, str] = {}
    asked = 0
    operations: set[str] = set()
    for event in from_schema(schema).execute():
        assert not isinstance(event, events.FatalError), event
        if isinstance(event, events.NonFatalError):
            found[f"{event.label}: error"] = str(event.value)
        elif isinstance(event, events.ScenarioFinished):
            for results in event.recorder.checks.values():
                asked += 1
                operations.add(event.recorder.label)
                for one in results:
                    if one.failure_info is not None:
                        failed = one.failure_info
                        found.setdefault(f"{event.recorder.label}: {one.name}", f"{failed.failure.message}\n{failed.code_sample}")
    return found, asked, operations


def told(found: dict[str, str]) -> str:
    return "\n\n".join(f"{name}\n{text[:1_500]}" for name, text in sorted(found.items()))


def test_everything_is_answered_as_described(described: ASGIApp) -> None:
    found, asked, operations = failures(described, examples=2, coverage=False)
    assert not found, told(found)
    assert len(operations) > 50 and asked > len(operations)


@pytest.mark.soak
def test_everything_is_answered_as_described_however_long_it_is_asked(described: ASGIApp) -> None:
    found, _, _ = failures(described, examples=100, coverage=True)
    assert not found, told(found)


def test_what_is_not_as_described_is_found(described: ASGIApp) -> None:
    """An application that fails on a unit, and one that answers what is not described."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        status = {"/v1/twins": 500, "/v1/kpis": 418}.get(scope.get("path", ""))
        if status is None:
            await described(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"{}"})

    found, _, _ = failures(broken, examples=1, coverage=False)
    assert {name.split(":")[0] for name in found} == {"GET /v1/twins", "GET /v1/kpis"}
    assert {"GET /v1/twins: not_a_server_error", "GET /v1/kpis: status_code_conformance"} <= found.keys()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("TRACE", "/models", "GET, POST"),
        ("POST", "/digitaltwins/pump-1", "DELETE, GET, PATCH, PUT"),
        ("OPTIONS", "/jobs/imports/one", "DELETE, GET, PUT"),
        ("GET", "/v1/dead-letters/retry", "POST"),
    ],
)
def test_a_method_that_is_not_there_is_told_all_that_are(client: TestClient, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_parameters_are_never_null(client: TestClient) -> None:
    paths: dict[str, Any] = client.get("/openapi.json").json()["paths"]
    parameters = [one for path in paths.values() for operation in path.values() for one in operation.get("parameters", ())]
    assert len(parameters) > 100 and not any('"null"' in str(one).replace("'", '"') for one in parameters)
