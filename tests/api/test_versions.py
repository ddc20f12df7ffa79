"""Clients of an older version over the wire: a query parameter says it, of every write and of what is read back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from fastapi.testclient import TestClient
from starlette.types import ASGIApp
from tests.acceptance.running import write
from tests.api.conftest import BASE, TOKEN
from tests.api.rpc.conftest import Client
from tests.platform.test_migrations import CONTRACT_2, MIGRATION, NEW, OLD, old_plant, with_migration

from twinwright.api.app import create_app
from twinwright.api.rpc import v1_pb2
from twinwright.api.rpc.server import RpcServer
from twinwright.api.tokens import TokenAuthority
from twinwright.platform.local import LocalPlatform


@pytest.fixture(scope="module")
def tokens() -> TokenAuthority:
    return TokenAuthority(TOKEN)


@pytest.fixture(scope="module")
def app(tokens: TokenAuthority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ASGIApp]:
    folder = old_plant(tmp_path_factory.mktemp("plant"))
    platform = LocalPlatform.open(folder)
    platform.apply()
    with_migration(folder, MIGRATION)
    write(folder, {"contracts/second.yaml": CONTRACT_2})
    platform.apply()
    yield create_app(platform, tokens=tokens, metrics=platform.session.metrics)
    platform.close()


@pytest.fixture(scope="module")
def rest(app: ASGIApp) -> TestClient:
    return TestClient(app, BASE, headers={"authorization": f"Bearer {TOKEN}"}, raise_server_exceptions=False)


def pressure(rest: TestClient, version: str) -> Any:
    return rest.get("/digitaltwins/p0", params={"interface": version}).json().get("pressure")


def test_twins_components_and_messages(rest: TestClient) -> None:
    old, new = {"interface": OLD}, {"interface": NEW}
    step = [{"op": "add", "path": "/pressure", "value": 250.0}]
    done = rest.patch("/digitaltwins/p0", params=old, json=step)
    assert (done.status_code, pressure(rest, OLD), pressure(rest, NEW)) == (204, 250.0, 2.5)
    assert rest.patch("/digitaltwins/p0", params=old, json=step, headers={"if-match": 'W/"other"'}).status_code == 412
    assert rest.patch("/digitaltwins/p0", params=old, json=step, headers={"if-match": done.headers["etag"]}).status_code == 204
    put = rest.put("/digitaltwins/p0", params=old, json={"$metadata": {"$model": OLD}, "pressure": 300.0, "speed": 60.0})
    assert (put.status_code, put.json()["pressure"], pressure(rest, NEW)) == (200, 300.0, 3.0)
    assert rest.put("/digitaltwins/p0", params=new, json={"$metadata": {"$model": OLD}}).status_code == 400
    motor = "/digitaltwins/p0/components/motor"
    assert rest.get(motor, params=new).json()["speed"] == 60.0
    assert rest.patch(motor, params=new, json=[{"op": "replace", "path": "/speed", "value": 90.0}]).status_code == 204
    assert rest.get("/digitaltwins/p0", params=old).json()["speed"] == 90.0
    for wrong, status in ((rest.get(motor, params=old), 404), (rest.patch(motor, params=old, json=step), 400)):
        assert wrong.status_code == status and wrong.json()["error"]["code"] in ("ComponentNotFound", "JsonPatchInvalid")
    for path in ("/digitaltwins/p0/telemetry", f"{motor}/telemetry"):
        assert rest.post(path, params=new, json={}, headers={"message-id": path}).status_code == 204
    assert rest.post(f"{motor}/telemetry", params=old, json={}, headers={"message-id": "m"}).status_code == 404
    refused = rest.patch("/digitaltwins/p0", params=old, json=[{"op": "add", "path": "/serial", "value": "x"}])
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "ValidationFailed")
    assert "drop serial" in refused.text and "$.serial" in refused.text


def test_many_twins_at_once(rest: TestClient, app: ASGIApp, tokens: TokenAuthority) -> None:
    asked = {"query": "SELECT T FROM DIGITALTWINS T WHERE T.$dtId = 'p0'", "set": {"pressure": 150}}
    assert rest.post("/v1/graph/update", params={"interface": OLD}, json=asked).json()["changed"] == 1
    assert pressure(rest, NEW) == 1.5
    with RpcServer(app, tokens=tokens) as server, grpc.insecure_channel(server.address) as channel:
        request = v1_pb2.UpdateTwinsRequest(query=asked["query"], set_json='{"pressure": 160}', interface=OLD)
        assert Client(channel).UpdateTwins(request).changed == 1
    assert pressure(rest, NEW) == 1.6
