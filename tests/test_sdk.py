"""The client over the network answers as the platform does, in the same types, and says what is wrong with a connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.running import Up
from tests.api.conftest import reading, write_workspace

import twinwright
from twinwright import sdk
from twinwright.errors import NotFoundError, PlatformError, UnauthorisedError, UsageError
from twinwright.platform.opened import Opened
from twinwright.telemetry.payloads import Payload


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = write_workspace(tmp_path_factory.mktemp("sdk"))
    (folder / "twinwright.toml").write_text("[api]\nconsole = false\n")
    with twinwright.open(folder) as platform:
        platform.apply()
    up = Up(folder, "--tls", "auto")
    yield up
    assert up.stop() == 0


@pytest.fixture
def remote(running: Up) -> Iterator[Opened]:
    token = running.headers["authorization"].removeprefix("Bearer ")
    with sdk.connect(running.url, token, ca=running.said["certificate"]) as platform:
        yield platform


def test_what_is_pushed_is_read_as_where_it_is_kept(running: Up, remote: Opened) -> None:
    receipt = remote.push("pump", [Payload(b"\n".join([*(reading(k, 200.0 + k, u=2.0) for k in range(5)), b"not json"]))], key="one")
    assert (receipt.accepted, sum(receipt.dead_lettered.values())) == (5, 1)
    table = remote.history("pump-1", "pressure", unit="bar", after=receipt.token)
    assert table["values"].to_pylist() == pytest.approx([2.0, 2.01, 2.02, 2.03, 2.04])
    assert table.schema.field("values").metadata == {b"unit": b"bar"}
    with twinwright.open(running.folder) as here:
        assert table.equals(here.history("pump-1", "pressure", unit="bar"), check_metadata=True)
        for method, given in [("twins", ()), ("paths", ("pump-1",)), ("scenarios", ()), ("runs", ()), ("validations", ())]:
            assert getattr(remote, method)(*given) == getattr(here, method)(*given), method
        text = "SELECT T.$dtId AS id FROM digitaltwins T WHERE T.pressure > 200"
        assert remote.query(text)["value"] == here.query(text)["value"] == [{"id": "pump-1"}]
    assert remote.state("pump-1")["pressure"] == 204.0
    [letter] = remote.dead_letters(contract="pump")["items"]
    assert remote.dead_letter(letter["id"])["payload"] == "not json"
    assert remote.retry_dead_letters([letter["id"]])["still_refused"] == 1


def test_errors_are_those_of_the_platform(remote: Opened) -> None:
    with pytest.raises(NotFoundError):
        remote.history("pump-9", "pressure")
    with pytest.raises(UsageError, match="takes twin"):
        remote.paths()
    with pytest.raises(AttributeError, match="no place for 'apply'"):
        remote.apply()


def test_a_connection_is_verified_and_needs_a_token(running: Up, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TWINWRIGHT_TOKEN", raising=False)
    with pytest.raises(UsageError, match="TWINWRIGHT_TOKEN"):
        sdk.connect(running.url)
    monkeypatch.setenv("TWINWRIGHT_TOKEN", "a-token-that-is-false-and-long-enough")
    with pytest.raises(UnauthorisedError), sdk.connect(running.url, ca=running.said["certificate"]) as platform:
        platform.twins()
    with pytest.raises(PlatformError, match="certificate"), sdk.connect(running.url) as platform:
        platform.twins()
    for url, more in [("http://plant.example", {}), ("plant", {}), (running.url, {"ca": tmp_path / "none"})]:
        with pytest.raises(UsageError):
            sdk.connect(url, **more)
