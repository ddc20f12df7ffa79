"""The client over the network answers as the platform does, in the same types, and says what is wrong with a connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.running import Up
from tests.api.conftest import reading, write_workspace

import twinwright
from twinwright import sdk
from twinwright.errors import (
    DigitalTwinNotFoundError,
    InvalidError,
    NotFoundError,
    PlatformError,
    PreconditionFailedError,
    RefusedError,
    UnauthorisedError,
    UsageError,
)
from twinwright.platform.opened import Opened
from twinwright.platform.wire import METHODS
from twinwright.sdk.rest import ABSENT
from twinwright.telemetry.payloads import Payload

PUMP = {"$metadata": {"$model": "dtmi:test:Pump;1"}, "pressure": 100.0}
VALVE = {"@context": "dtmi:dtdl:context;3", "@id": "dtmi:test:Valve;1", "@type": "Interface"}
WINDOW = {"start": "2026-03-01T08:00:00Z", "end": "2026-03-01T08:05:00Z"}
VOLATILE = {"seconds", "charge", "uptime_seconds", "now", "freshness_seconds", "created", "at", "before", "commit", "store_bytes", "id"}
VOLATILE |= {"token", "$etag", "etag", "$lastUpdateTime", "lastUpdateTime", "uploadTime", "looks", "started", "wall_seconds"}
VOLATILE |= {"ageSeconds", "sourceTime", "report", "warnings"}

# By method: a call on a client that has been let in. {which} is another word for each of the two who ask.
Call = Callable[[Any, str, dict[str, Any]], Any]
READS: dict[str, Call] = {
    "state": lambda one, _, __: [one.state("pump-1"), one.state(), one.state("pump-1", facts=True, as_of="2026-03-01T08:01:00Z")],
    "twins": lambda one, _, __: one.twins(),
    "history": lambda one, _, __: one.history("pump-1", "pressure", every="PT1M", agg="max", unit="bar", **WINDOW),
    "query": lambda one, _, __: one.query("SELECT T.$dtId AS id FROM digitaltwins T WHERE T.pressure > 1", max_items=1)["value"],
    "relationships": lambda one, _, __: [one.relationships(), one.relationships("pump-1", as_of="2026-03-01T08:01:00Z")],
    "relationship_page": lambda one, _, __: [one.relationship_page("pump-1", name="feeds", max_items=1), one.relationship_page()],
    "incoming_relationship_page": lambda one, _, __: one.incoming_relationship_page("pump-2", max_items=1),
    "relationship": lambda one, _, __: one.relationship("pump-1", "r1"),
    "incoming_relationships": lambda one, _, __: one.incoming_relationships("pump-2"),
    "interfaces": lambda one, _, __: one.interfaces(),
    "interface": lambda one, _, __: one.interface("dtmi:test:Pump;1"),
    "interface_list": lambda one, _, __: one.interface_list(dependencies_for=["dtmi:test:Pump;1"]),
    "gaps": lambda one, _, __: [one.gaps("pump", **WINDOW), one.gaps(**WINDOW)],
    "reconciliations": lambda one, _, __: [entry["every_seconds"] for entry in one.reconciliations()],
    "paths": lambda one, _, __: one.paths("pump-1"),
    "dead_letters": lambda one, _, __: one.dead_letters(contract="pump", limit=1),
    "dead_letter": lambda one, _, __: one.dead_letter(1),
    "kpi": lambda one, _, __: one.kpi(window="PT10M")["counts"],
    "status": lambda one, _, __: one.status(),
    "clock": lambda one, _, __: one.clock(),
    "models": lambda one, _, __: one.models(),
    "scenarios": lambda one, _, __: one.scenarios(),
    "runs": lambda one, _, __: one.runs(),
    "run": lambda one, _, kept: one.run(kept["run"], outputs=False),
    "compare_runs": lambda one, _, kept: one.compare_runs(kept["run"], kept["run"]),
    "explain_run": lambda one, _, kept: one.explain_run(kept["run"]),
    "run_report": lambda one, _, kept: one.run_report(kept["run"]),
    "verify_run": lambda one, _, kept: one.verify_run(kept["run"]),
    "shadows": lambda one, _, __: one.shadows(),
    "parameter_sets": lambda one, _, __: one.parameter_sets("lag"),
    "parameter_set": lambda one, _, kept: one.parameter_set(kept["set"]),
    "validations": lambda one, _, __: one.validations(),
    "report": lambda one, _, kept: one.report(kept["set"]),
    "event_routes": lambda one, _, __: one.event_routes(),
    "events": lambda one, _, __: one.events(after=0, filter="type = 'Microsoft.DigitalTwins.Twin.Create'"),
    "run_requests": lambda one, _, __: one.run_requests(),
    "graph_diff": lambda one, _, __: one.graph_diff("1", "2", max_items=2),
    "forks": lambda one, _, __: one.forks(),
    "webhooks": lambda one, _, __: one.webhooks(),
    "webhook_letters": lambda one, _, __: one.webhook_letters("none"),
    "import_jobs": lambda one, _, __: one.import_jobs(),
    "delete_jobs": lambda one, _, __: one.delete_jobs(),
    "metrics": lambda one, _, __: sorted(set(re.findall(r"^# TYPE (\S+)", one.metrics().decode(), re.MULTILINE))),
}
# What writes is asked twice, by each for things of his own.
WRITES: dict[str, Call] = {
    "put_twin": lambda one, which, _: one.put_twin(which, {"$dtId": which, **PUMP}, if_none_match="*"),
    "patch_twin": lambda one, which, _: one.patch_twin(which, [{"op": "replace", "path": "/pressure", "value": 101.0}], if_match="*"),
    "send_telemetry": lambda one, which, _: one.send_telemetry(which, {}, message_id="m", source_time="2026-03-01T08:00:00Z"),
    "put_relationship": lambda one, which, _: one.put_relationship(
        which, "r", {"$targetId": "pump-1", "$relationshipName": "feeds"}, if_none_match="*"
    ),
    "delete_relationship": lambda one, which, _: one.delete_relationship(which, "r"),
    "delete_twin": lambda one, which, _: one.delete_twin(which),
    "add_interfaces": lambda one, which, _: one.add_interfaces([{**VALVE, "@id": f"dtmi:test:{which.title()};1"}]),
    "decommission_interface": lambda one, which, _: one.decommission_interface(
        f"dtmi:test:{which.title()};1", [{"op": "replace", "path": "/decommissioned", "value": True}]
    ),
    "delete_interface": lambda one, which, _: one.delete_interface(f"dtmi:test:{which.title()};1"),
    "put_event_route": lambda one, which, _: one.put_event_route(which, {"endpointName": "e", "filter": "true"}),
    "event_route": lambda one, which, _: {**one.event_route(which), "id": ""},
    "delete_event_route": lambda one, which, _: one.delete_event_route(which),
    "start_delete_job": lambda one, which, _: one.start_delete_job(which)["status"],
    "push": lambda one, _, __: one.push("pump", [Payload(reading(10, 202.0, u=2.02))]).as_json(),
    "ingest": lambda one, _, kept: one.ingest([kept["file"]], "pump"),
    "retry_dead_letters": lambda one, _, __: [one.retry_dead_letters([1], dry_run=True), one.retry_dead_letters(contract="logger")],
    "expire_dead_letters": lambda one, _, __: one.expire_dead_letters(older_than="P1D")["expired"],
    "replay": lambda one, _, __: [
        one.replay(contract="logger", dry_run=True)["cost"]["rows"],
        one.replay(contract="logger", rate=1000.0),
    ],
    "reconcile": lambda one, _, kept: [one.reconcile(), one.reconcile(against=kept["snapshot"], contract="pump")],
    "run_reconciliation": lambda one, _, __: one.run_reconciliation("nightly"),
    "update": lambda one, which, _: one.update(
        "SELECT T FROM DIGITALTWINS T WHERE T.$dtId = 'pump-1'", set={"pressure": 120.0}, dry_run=True
    )["preview"],
    "import_query": lambda one, which, _: one.import_query(
        "SELECT T.$dtId AS pump FROM DIGITALTWINS T WHERE T.$dtId = 'pump-1'",
        template={"twins": [{"$dtId": f"gauge-{which}-{{pump}}", "$metadata": {"$model": "dtmi:test:Pump;1"}, "pressure": "{bar} bar"}]},
        rows=[{"pump": "pump-1", "bar": 2}],
        on=["pump"],
        dry_run=True,
    ),
    "create_fork": lambda one, which, _: one.create_fork(which)["commit"] > 0,
    "fork_diff": lambda one, which, _: one.fork_diff(which, limit=5)["counts"],
    "drop_fork": lambda one, which, _: one.drop_fork(which),
    "trust_clock": lambda one, _, __: one.trust_clock(),
    "shadow_run": lambda one, _, __: one.shadow_run(),
    "prune_runs": lambda one, _, __: one.prune_runs(older_than="P30D", dry_run=True),
    "simulate": lambda one, _, __: one.simulate("step")["runs"][0],
    "submit_run": lambda one, _, __: [one.submit_run("step", priority=7)[name] for name in ("scenario", "model", "priority", "total")],
    "calibrate": lambda one, _, __: one.calibrate("lag", twin="pump-1", only=["tau"], holdout=0.4, **WINDOW),
    "validate": lambda one, _, __: one.validate("lag", twin="pump-1", **WINDOW)["metrics"],
    "promote": lambda one, _, kept: one.promote("lag", kept["set"]),
}
REFUSED: dict[str, tuple[Call, type[Exception]]] = {
    "patch_relationship": (lambda one, _, __: one.patch_relationship("pump-1", "none", [], if_match="*"), UsageError),
    "shadow": (lambda one, _, __: one.shadow("none"), NotFoundError),
    "shadow_said": (lambda one, _, __: one.shadow_said("none", after=0), NotFoundError),
    "shadow_stop": (lambda one, _, __: one.shadow_stop("none"), NotFoundError),
    "shadow_start": (lambda one, _, __: one.shadow_start("none"), NotFoundError),
    "run_request": (lambda one, _, __: one.run_request("none"), NotFoundError),
    "watch_request": (lambda one, _, __: one.watch_request("none"), NotFoundError),
    "cancel_request": (lambda one, _, __: one.cancel_request("none"), NotFoundError),
    "request_results": (lambda one, _, __: one.request_results("none"), NotFoundError),
    "component": (lambda one, _, __: one.component("pump-1", "none"), NotFoundError),
    "retry_webhook_letters": (lambda one, _, __: one.retry_webhook_letters("none", ["1"]), NotFoundError),
    "import_job": (lambda one, _, __: one.import_job("none"), NotFoundError),
    "put_import_job": (lambda one, _, __: one.put_import_job("j", {"inputBlobUri": "../x", "outputBlobUri": "y"}), UsageError),
    "cancel_import_job": (lambda one, _, __: one.cancel_import_job("none"), NotFoundError),
    "delete_import_job": (lambda one, _, __: one.delete_import_job("none"), NotFoundError),
    "delete_job": (lambda one, _, __: one.delete_job("none"), NotFoundError),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = write_workspace(tmp_path_factory.mktemp("sdk"))
    (folder / "twinwright.toml").write_text('[api]\nconsole = false\n[reconcile.nightly]\nevery = "P7D"\n')
    contract = folder / "contracts" / "pump.yaml"
    contract.write_text(contract.read_text() + "gap: PT1S\n")
    with twinwright.open(folder) as platform:
        platform.apply()
    up = Up(folder, "--tls", "auto")
    yield up
    assert up.stop() == 0


@pytest.fixture(scope="module")
def remote(running: Up) -> Iterator[Opened]:
    token = running.headers["authorization"].removeprefix("Bearer ")
    with sdk.connect(running.url, token, ca=running.said["certificate"]) as platform:
        yield platform


@pytest.fixture(scope="module")
def local(running: Up) -> Iterator[Opened]:
    with twinwright.open(running.folder) as platform:
        yield platform


@pytest.fixture(scope="module")
def kept(local: Opened, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is there before it is asked for: readings, a dead letter, a run, a parameter set, a file."""
    local.push("pump", [Payload(b"\n".join([b"not json", *(reading(5 * k, 200.0 + k, u=2.0 + 0.01 * k) for k in range(60))]))])
    file = tmp_path_factory.mktemp("files") / "more.ndjson"
    file.write_bytes(b"\n".join(reading(5 * k, 200.0 + k, u=2.0 + 0.01 * k) for k in range(60)))
    snapshot = file.with_name("snapshot.ndjson")
    snapshot.write_bytes(b"\n".join([reading(295, 1.0), reading(295, 2.0, "pump-2"), b"no json"]))
    run = local.simulate("step")["runs"][0]["id"]
    return {"run": run, "set": local.calibrate("lag", twin="pump-1", **WINDOW)["id"], "file": str(file), "snapshot": str(snapshot)}


def plain(value: Any) -> Any:
    """Without what is another at every call."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if name not in VOLATILE}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return re.sub(r"theirs|ours", "one", value, flags=re.IGNORECASE) if isinstance(value, str) else value


def differences(there: Any, here: Any, place: str = "$") -> Iterator[str]:
    """Where two answers are not the same."""
    if isinstance(there, dict) and isinstance(here, dict) and there.keys() == here.keys():
        for name in there:
            yield from differences(there[name], here[name], f"{place}.{name}")
    elif repr(there) != repr(here):
        yield f"{place}: {there!r:.100} {here!r:.100}"


@pytest.mark.parametrize("method", READS)
def test_a_read_answers_as_twinwright_open_does(method: str, remote: Opened, local: Opened, kept: dict[str, Any]) -> None:
    there, here = (READS[method](one, "", kept) for one in (remote, local))
    if method in ("state", "status", "clock"):  # ages and clocks
        assert plain(there) == plain(here)
    elif method == "history":
        assert there.equals(here, check_metadata=True)
    else:
        assert there == here


def test_what_writes_answers_as_twinwright_open_does(remote: Opened, local: Opened, kept: dict[str, Any]) -> None:
    wrong = {}
    for method, call in WRITES.items():
        if method == "start_delete_job":
            continue  # it deletes what the others need: at the end
        there, here = call(remote, "theirs", kept), call(local, "ours", kept)
        if differing := list(differences(plain(there), plain(here))):
            wrong[method] = differing
    assert wrong == {}


def test_a_fork_is_used_as_where_it_is_kept(running: Up, remote: Opened) -> None:
    assert remote.create_fork("far")["name"] == "far"
    fork = remote.fork("far")
    receipt = fork.push("pump", [Payload(reading(1_800, 555.0))])
    assert fork.history("pump-1", "pressure", after=receipt.token)["values"].to_pylist()[-1] == 555.0
    assert 555.0 not in remote.history("pump-1", "pressure")["values"].to_pylist()
    with twinwright.open(running.folder) as here:
        assert here.fork("far").state("pump-1")["pressure"] == fork.state("pump-1")["pressure"] == 555.0
        assert here.fork_diff("far") == remote.fork_diff("far")
    assert remote.drop_fork("far") == {"dropped": "far"}
    assert remote.forks() == []


def test_what_is_submitted_is_watched_and_fetched(remote: Opened, kept: dict[str, Any]) -> None:
    taken = remote.submit_run("step", priority=3)
    told: list[tuple[int, int]] = []
    assert remote.watch_request(taken["id"], progress=lambda *far: told.append(far))["status"] == "done"
    assert told[-1] == (1, 1) and remote.run_request(taken["id"])["ok"] == 1
    assert taken["id"] in [one["id"] for one in remote.run_requests()]
    assert remote.request_results(taken["id"])[:4] == b"PAR1"
    with pytest.raises(RefusedError):
        remote.cancel_request(taken["id"])


@pytest.mark.parametrize("method", REFUSED)
def test_a_refusal_is_the_same_error_with_the_same_words(method: str, remote: Opened, local: Opened) -> None:
    call, kind = REFUSED[method]
    told = []
    for one in (remote, local):
        with pytest.raises(kind) as caught:
            call(one, "", {})
        told.append((caught.value.code, caught.value.exit_code, str(caught.value)))
    assert told[0] == told[1]


def test_every_method_of_the_platform_is_there_or_says_why_not(remote: Opened) -> None:
    assert READS.keys() | WRITES.keys() | REFUSED.keys() | ABSENT.keys() == METHODS
    for method, why in ABSENT.items():
        with pytest.raises(AttributeError, match=why[:20]):
            getattr(remote, method)
    for method in METHODS - ABSENT.keys():
        assert callable(getattr(remote, method))


def test_errors_are_those_of_the_platform(remote: Opened, kept: dict[str, Any]) -> None:
    with pytest.raises(NotFoundError):
        remote.history("pump-9", "pressure")
    with pytest.raises(DigitalTwinNotFoundError):
        remote.delete_twin("pump-9")
    with pytest.raises(PreconditionFailedError):
        remote.put_twin("pump-1", {"$dtId": "pump-1", **PUMP}, if_none_match="*")
    with pytest.raises(InvalidError) as caught:
        remote.put_twin("pump-8", {"$metadata": PUMP["$metadata"], "presure": 1, "drive": "x"})
    assert len(caught.value.problems) == 2
    with pytest.raises((RefusedError, UsageError)):
        remote.calibrate("lag", twin="pump-2")
    with pytest.raises(InvalidError), _told() as steps:
        remote.simulate({"name": "x"}, progress=steps)
    with pytest.raises(NotFoundError, match="no file"):
        remote.ingest(["nowhere.ndjson"], "pump")
    with pytest.raises(NotFoundError):
        remote.ingest([kept["file"]], "nothing")
    with pytest.raises(NotFoundError, match="no file"):
        remote.reconcile(against="nowhere.ndjson", contract="pump")
    with pytest.raises(UsageError, match="asked where the platform is"):
        remote.reconcile(against="https://127.0.0.1:1/values", contract="pump")
    with pytest.raises(UsageError, match="no connector"):
        remote.reconcile(against="source", contract="pump")
    for wrong in (lambda: remote.push("pump", []), lambda: remote.reconcile(against="x"), lambda: remote.simulate("step", executor="dask")):
        with pytest.raises(UsageError):
            wrong()


def test_what_a_snapshot_has_more_is_taken_in_from_afar(remote: Opened, kept: dict[str, Any], tmp_path: Path) -> None:
    snapshot = tmp_path / "later.ndjson"
    snapshot.write_bytes(reading(1_700, 321.0))
    repaired = remote.reconcile(against=str(snapshot), contract="pump", repair=True)
    assert repaired["repaired"] == 1 and [one["kind"] for one in repaired["items"]].count("missing") == 1
    assert 321.0 in remote.history("pump-1", "pressure", after=repaired["token"])["values"].to_pylist()


class _told(list):
    """Progress as it is told."""

    def __call__(self, done: int, total: int) -> None:
        self.append((done, total))

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None: ...


def test_progress_is_told_of_files_and_runs(remote: Opened, kept: dict[str, Any]) -> None:
    files, runs = _told(), _told()
    receipt = remote.ingest([kept["file"], kept["file"]], "pump", progress=files)
    assert receipt["received"] == receipt["duplicate"] + receipt["accepted"]
    size = Path(kept["file"]).stat().st_size
    assert files == [(size, 2 * size), (2 * size, 2 * size)]
    answer = remote.simulate("step", fresh=True, progress=runs)
    assert runs[-1] == (1, 1) and answer["runs"][0]["outputs"]["y"].schema.field("values").metadata == {b"unit": b"kPa"}


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


def test_the_graph_is_deleted_by_a_job(remote: Opened) -> None:
    assert remote.start_delete_job("all")["status"]
    assert remote.delete_job("all")["id"] == "all" and [one["id"] for one in remote.delete_jobs()] == ["all"]
