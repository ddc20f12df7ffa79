"""Comparisons with what a source says of itself, wherever that is read from, now and at regular times; and holes in history."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.plant import FILES, PUMP_SCHEMA, workspace
from tests.acceptance.running import write

from twinwright.clock import HOUR, SECOND, ManualClock, from_iso, to_iso
from twinwright.errors import ForbiddenError, NotFoundError, PlatformError, UsageError, WorkspaceError
from twinwright.governance.principals import Principal
from twinwright.platform import gaps, reconciling, snapshots
from twinwright.platform.local import LocalPlatform
from twinwright.platform.session import Session
from twinwright.telemetry.payloads import Payload
from twinwright.twins.judged import Window

BEGIN = from_iso("2026-03-01T00:00:00Z")
TOKEN = "a-token-of-the-gateway-that-is-long"


class Gateway:
    """Says what its sensors show, to whoever brings its token."""

    def __init__(self) -> None:
        self.values: list[dict[str, Any]] = []
        self.status, self.asked, self.size = 200, [], 0
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gateway.asked.append(self.headers.get("authorization"))
                self.send_response(gateway.status)
                body = "\n".join(map(json.dumps, gateway.values)).encode() or b"x" * gateway.size
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/values"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    yield made
    made.close()


class Plant:
    def __init__(self, folder: Path, toml: str = "", contract: str = "") -> None:
        self.folder = workspace(folder)
        write(self.folder, {"twinwright.toml": toml, "contracts/pump.yaml": FILES["contracts/pump.yaml"] + contract})
        self.clock = ManualClock(BEGIN)
        self.session = Session(self.folder, self.clock)
        self.platform = LocalPlatform(self.session)
        self.platform.apply()

    def push(self, *seconds: int, **fields: Any) -> None:
        self.clock.advance(max(0, BEGIN + max(seconds) * SECOND - self.clock.now()))
        self.platform.push("pump", [Payload(json.dumps(said(second, **fields)).encode()) for second in seconds])


def said(second: int, **fields: Any) -> dict[str, Any]:
    return {"id": "pump-1", "ts": to_iso(BEGIN + second * SECOND), "p": 500, **fields}


@pytest.fixture
def plant(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Plant]:
    made = Plant(tmp_path / "plant", *getattr(request, "param", ()))
    yield made
    made.session.close()


def test_a_snapshot_is_fetched_from_an_address(plant: Plant, gateway: Gateway) -> None:
    plant.push(0)
    plant.clock.advance(100 * SECOND)
    gateway.values = [said(60, p=700)]
    found = plant.platform.reconcile(against=gateway.url, contract="pump")
    assert [(one["kind"], one["path"], one["theirs"], one["ours"]) for one in found["items"]] == [("missing", "pressure", 700.0, 500.0)]
    repaired = plant.platform.reconcile(against=gateway.url, contract="pump", repair=True)
    assert (repaired["inconsistent"], repaired["repaired"]) == (1, 1)
    assert plant.platform.reconcile(against=gateway.url, contract="pump")["inconsistent"] == 0
    assert gateway.asked == [None] * 3
    assert not list(Path("/tmp").glob("twinwright-snapshot-*"))


def test_an_address_that_fails_is_told(plant: Plant, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.status = 503
    with pytest.raises(PlatformError, match="answered 503"):
        plant.platform.reconcile(against=gateway.url, contract="pump")
    gateway.status, gateway.size = 200, 10_000
    monkeypatch.setattr(snapshots, "MAX_BYTES", 5_000)
    with pytest.raises(PlatformError, match="more than 5000 bytes"):
        plant.platform.reconcile(against=gateway.url, contract="pump")
    with pytest.raises(PlatformError, match="can't be fetched"):
        plant.platform.reconcile(against="http://127.0.0.1:1/values", contract="pump")


@pytest.mark.parametrize("address", ["http://example.com/x", "https://me:secret@example.com/x", "https://", "http://[::1/x"])
def test_addresses_that_must_not_be_asked_are_refused(plant: Plant, address: str) -> None:
    with pytest.raises(UsageError):
        plant.platform.reconcile(against=address, contract="pump")


def test_who_may_only_read_opens_no_connector_and_repairs_nothing(plant: Plant, tmp_path: Path) -> None:
    plant.push(0)
    plant.clock.advance(100 * SECOND)
    reader = plant.platform.as_principal(Principal("reader", frozenset({"reader"})))
    file = tmp_path / "snapshot.ndjson"
    file.write_text(json.dumps(said(60, p=700)))
    assert reader.reconcile(against=str(file), contract="pump")["missing"] == 1
    for asked in ({"against": "source"}, {"against": str(file), "repair": True}):
        with pytest.raises(ForbiddenError):
            reader.reconcile(contract="pump", **asked)


def test_a_contract_without_a_connector_can_not_ask_its_source(plant: Plant) -> None:
    with pytest.raises(UsageError, match="no connector"):
        plant.platform.reconcile(against="source", contract="pump")


def toml(gateway: Gateway, every: str = "PT1H") -> str:
    settings = f'[reconcile.gateway]\nagainst = "{gateway.url}"\ncontract = "pump"\nevery = "{every}"\nrepair = true\n'
    return settings + 'token_env = "GATEWAY_TOKEN"\n[reconcile.state]\nevery = "PT10M"\n'


def test_comparisons_are_made_when_they_are_due(tmp_path: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", TOKEN)
    plant = Plant(tmp_path / "plant", toml(gateway))
    plant.push(0)
    plant.clock.advance(100 * SECOND)
    gateway.values = [said(60, p=700)]
    go_on = threading.Event()
    assert [one["last"] for one in plant.platform.reconciliations()] == [None, None]
    reconciling.run_due(plant.session, go_on)
    assert gateway.asked == [f"Bearer {TOKEN}"]
    first, state = (one["last"] for one in plant.platform.reconciliations())
    assert (first["outcome"], first["missing"], first["repaired"], state["outcome"]) == ("equal", 1, 1, "equal")
    assert plant.platform.state("pump-1")["pressure"] == 700
    reconciling.run_due(plant.session, go_on)
    assert len(gateway.asked) == 1  # nothing is due
    plant.clock.advance(HOUR)
    gateway.status = 500
    reconciling.run_due(plant.session, go_on)
    failed, _ = (one["last"] for one in plant.platform.reconciliations())
    assert (failed["outcome"], "answered 500" in failed["error"]) == ("failed", True)
    metrics = plant.session.metrics
    assert metrics.value("twinwright_reconciliations_total", job="gateway", outcome="failed") == 1
    assert metrics.value("twinwright_reconciliation_inconsistent", job="gateway") == 0
    gateway.status, gateway.values = 200, [said(60, p=701)]  # another value of the same time: nobody knows which is right
    assert plant.platform.run_reconciliation("gateway")["outcome"] == "differs"
    assert metrics.value("twinwright_reconciliation_inconsistent", job="gateway") == 1
    stopped = threading.Event()
    stopped.set()
    plant.clock.advance(2 * HOUR)
    reconciling.run_due(plant.session, stopped)
    assert len(gateway.asked) == 3
    plant.session.close()


def test_a_comparison_without_its_token_says_so_and_tells_nobody(tmp_path: Path, gateway: Gateway) -> None:
    plant = Plant(tmp_path / "plant", toml(gateway))
    result = plant.platform.run_reconciliation("gateway")
    assert result["outcome"] == "failed"
    assert "GATEWAY_TOKEN is not set" in result["error"]
    assert gateway.asked == []
    with pytest.raises(NotFoundError, match=r"\[reconcile.nightly\]"):
        plant.platform.run_reconciliation("nightly")
    plant.session.close()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('against = "x.csv"', "belong together"),
        ("repair = true", "for a snapshot"),
        ('every = "PT1S"', "greater than or equal to"),
        ('against = "source"\ncontract = "pump"\ntoken_env = "A"\ntoken_file = "b"', "either token_env or token_file"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, settings: str, says: str) -> None:
    folder = workspace(tmp_path / "plant")
    write(folder, {"twinwright.toml": f"[reconcile.nightly]\n{settings}\n"})
    session = Session(folder)
    with pytest.raises(WorkspaceError, match=says):
        LocalPlatform(session).apply()
    session.close()


SEQUENCE = "  - {path: starts, field: n, sequence: {wrap: 10}}\n"


def counting(folder: Path) -> Plant:
    """A plant whose pumps number what they send, from 0 to 9, once a minute."""
    contract = FILES["contracts/pump.yaml"]
    plant = Plant(folder)
    counter = '{"@type": "Property", "name": "mode", "schema": "string"},'
    schema = PUMP_SCHEMA.replace(counter, counter + counter.replace("mode", "starts").replace("string", "integer"))
    write(plant.folder, {next(name for name in FILES if name.startswith("schema/")): schema})
    head, _, tail = contract.partition("observations:\n")
    write(plant.folder, {"contracts/pump.yaml": f"{head}gap: PT1M\nobservations:\n{SEQUENCE}{tail}".replace("revision: 1", "revision: 2")})
    plant.platform.apply()
    return plant


def test_gaps_are_told_by_rhythm_and_by_sequence_number(tmp_path: Path) -> None:
    plant = counting(tmp_path / "plant")
    for second, number in ((0, 7), (30, 8), (60, 1), (90, 2), (300, 3), (320, 3)):  # 9 and 0 are left out; then four minutes
        plant.push(second, n=number)
    found = plant.platform.gaps("pump")
    told = [(one["path"], one["from"], one["to"], one["missing"]) for one in found["items"]]
    at = {second: to_iso(BEGIN + second * SECOND) for second in (30, 60, 90, 300)}
    assert (at[30], at[60], 2) in [gap[1:] for gap in told if gap[0] == "starts"]
    assert ("pressure", at[90], at[300], None) in told
    assert (found["missing"], found["inconsistent"]) == (2, len(told))
    plant.push(45, n=9)  # late: the hole closes by one
    again = plant.platform.gaps("pump", start=at[30], end=to_iso(BEGIN + 61 * SECOND))
    assert [(one["from"], one["to"], one["missing"]) for one in again["items"] if one["path"] == "starts"] == [
        (to_iso(BEGIN + 45 * SECOND), at[60], 1)
    ]
    with pytest.raises(NotFoundError, match="no contract 'boiler'"):
        plant.platform.gaps("boiler")
    plant.session.close()


@pytest.mark.parametrize("at_once", [1, 2, 1_000])
def test_a_gap_is_told_whole_however_history_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(gaps, "_AT_ONCE", at_once)
    plant = counting(tmp_path / "plant")
    for second, number in ((3_540, 1), (3_590, 2), (3_610, 5), (21_590, 6), (21_610, 9), (90_000_000, 0)):
        plant.push(second, n=number)
    found = plant.platform.gaps("pump", start=to_iso(BEGIN), end=to_iso(BEGIN + 90_000_001 * SECOND))
    at = {second: to_iso(BEGIN + second * SECOND) for second in (3_590, 3_610, 21_590, 21_610, 90_000_000)}
    assert [(one["from"], one["to"], one["missing"]) for one in found["items"] if one["path"] == "starts"] == [
        (at[3_590], at[3_610], 2),
        (at[3_610], at[21_590], 0),
        (at[21_590], at[21_610], 2),
        (at[21_610], at[90_000_000], 0),
    ]
    assert found["missing"] == 4
    plant.session.close()


def test_years_without_a_reading_are_not_looked_through() -> None:
    windows = list(gaps._windows({0: 60, 1: 60, 90_000: 60}, 10, 100_000 * HOUR))
    assert windows == [Window(10, 90_001 * HOUR)]


def test_without_a_rhythm_nobody_knows_what_a_gap_is(plant: Plant) -> None:
    with pytest.raises(UsageError, match="what a gap is"):
        plant.platform.gaps()
