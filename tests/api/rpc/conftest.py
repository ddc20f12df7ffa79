"""The plant of the API's tests, served over gRPC, and a client with its token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from grpc_status import rpc_status
from starlette.types import ASGIApp
from tests.api.conftest import BASE, TOKEN, app, platform, tokens

from twinwright.api.rpc import v1_pb2, v1_pb2_grpc
from twinwright.api.rpc.server import RpcServer
from twinwright.api.tokens import TokenAuthority

__all__ = ["app", "platform", "tokens"]
SEEN = (("authorization", f"Bearer {TOKEN}"),)
LONG = 120.0  # seconds that a call may take on a machine that is busy


@pytest.fixture(scope="module")
def rest(app: ASGIApp) -> TestClient:
    return TestClient(app, BASE, headers={"authorization": f"Bearer {TOKEN}"}, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def served(app: ASGIApp, tokens: TokenAuthority) -> Iterator[RpcServer]:
    with RpcServer(app, tokens=tokens) as server:
        yield server


@pytest.fixture(scope="module")
def channel(served: RpcServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(served.address) as channel:
        yield channel


class Client:
    """The stub, with the token and a long deadline unless told otherwise."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = v1_pb2_grpc.TwinwrightStub(channel)

    def __getattr__(self, name: str):
        call = getattr(self._stub, name)
        return lambda request, **options: call(request, **{"metadata": SEEN, "timeout": LONG, **options})


@pytest.fixture(scope="module")
def client(channel: grpc.Channel) -> Client:
    return Client(channel)


def failure(error: grpc.RpcError) -> tuple[Any, v1_pb2.Error]:
    """The code of a status, and the error object in its details."""
    status = rpc_status.from_call(error)
    told = v1_pb2.Error()
    assert status is not None and status.details[0].Unpack(told)
    return error.code(), told


def refuses(code: Any, call: Any) -> v1_pb2.Error:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    given, told = failure(caught.value)
    assert given == code, told
    return told


def history(client: Client, **fields: Any) -> pa.Table:
    parts = client.History(v1_pb2.HistoryRequest(**fields))
    return pa.ipc.open_stream(b"".join(part.arrow for part in parts)).read_all()
