"""Shadows on the surface: how far they are and why not further, and stretches of history that are followed again."""

import json
import threading
import time

import pytest
from tests.simulation.shadow.line import CODE, DTDL, INTERFACE, MODEL, body

from twinwright.api import run_answers
from twinwright.api.rpc import messages
from twinwright.clock import ManualClock, from_iso
from twinwright.errors import ForbiddenError, NotFoundError, UsageError
from twinwright.governance.principals import Principal
from twinwright.platform.local import LocalPlatform
from twinwright.platform.session import Session
from twinwright.telemetry.payloads import Payload

FILES = {
    "twinwright.toml": "",
    "schema/pump.json": json.dumps(DTDL),
    "twins.yaml": "twins:\n" + "".join(f'  - {{$dtId: pump-{n}, $metadata: {{$model: "{INTERFACE}"}}}}\n' for n in (1, 2)),
    "models/lag.py": CODE,
    "models/lag.yaml": MODEL.replace("HOLD", "zero"),
    "shadows/live.yaml": f"name: live\nmodel: lag\ninterface: {INTERFACE}\nresiduals: {{x: error}}\nforecast: {{horizon: PT1M}}\n",
    "contracts/pump.yaml": """name: pump
revision: 1
format: json
twin: "{id}"
time: {field: ts, format: iso8601}
observations:
  - {path: pressure, field: p, unit: kPa}
  - {path: flow, field: q, unit: l/min}
""",
}


def made_in(tmp_path, *more):
    for name, text in [*FILES.items(), *([more] if more else [])]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    made = LocalPlatform(Session(tmp_path, ManualClock(from_iso("2026-03-01T12:00:00Z"))))
    made.apply()
    lines = [json.dumps(body(tick, 60.0 + tick, 100.0)) for tick in range(0, 41, 2)]
    made.push("pump", [Payload("\n".join(lines).encode())])
    made.push("pump", [Payload(json.dumps(body(0, 60.0, 100.0, "pump-2")).encode())])
    return made


@pytest.fixture
def platform(tmp_path):
    made = made_in(tmp_path)
    yield made
    made.close()


def test_a_shadow_is_shown_with_its_twins_the_last_first(platform):
    [listed] = platform.shadow_run()
    found = platform.shadow("live")
    assert listed.items() <= found.items()
    assert [one["twin"] for one in found["items"]] == ["pump-2", "pump-1"]
    assert found["items"][0]["through"] is None
    assert found["items"][1]["through"] == found["through"]
    assert (found["source"], found["forecast_source"], found["residuals"]) == ("shadow:live", "shadow:live+PT1M", {"x": "error"})
    assert (found["failing"], found["retry_seconds"]) == (0, None)
    assert len(platform.shadow("live", limit=1)["items"]) == 1
    assert run_answers.Shadow.model_validate(found).items[0].through is None
    told = messages.message_of(messages.RPCS["GetShadow"].response, found)
    assert (told.commit, told.residuals["x"], told.items[1].through) == (found["commit"], "error", found["through"])
    for wrong, error in (({"name": "none"}, NotFoundError), ({"name": "live", "limit": 0}, UsageError)):
        with pytest.raises(error):
            platform.shadow(**wrong)


def test_a_shadow_is_stopped_and_started_while_others_go_on_over_restarts_and_audited(tmp_path):
    platform = made_in(tmp_path, "shadows/more.yaml", f"name: more\nmodel: lag\ninterface: {INTERFACE}\n")
    platform.session.shadows.start()
    assert platform.shadow_stop("live")["state"] == "stopped"
    assert platform.shadow_stop("live")["state"] == "stopped"  # once more
    said = platform.history("pump-1", "pressure", lane="simulated")["source"]
    platform.push("pump", [Payload(json.dumps(body(44, 70.0)).encode())])
    platform.shadow_run()
    states = {one["name"]: (one["state"], one["behind"] > 0) for one in platform.shadows()}
    assert states == {"live": ("stopped", True), "more": ("following", False)}
    assert [one["name"] for one in platform.status()["consumers"]] == ["shadow.more"]
    platform.close()

    platform = LocalPlatform(Session(tmp_path, ManualClock(from_iso("2026-03-01T12:00:00Z"))))
    platform.session.shadows.start()
    assert [one["state"] for one in platform.shadow_run()] == ["stopped", "following"]
    again = platform.history("pump-1", "pressure", lane="simulated")["source"]
    assert again.count("shadow:live") == said.count("shadow:live")
    assert platform.shadow_start("live")["state"] == "following"
    platform.shadow_run()
    live, more = (through for through in (one["through"] for one in platform.shadows()))
    assert live == more
    switched = platform.session.store.records(platform.principal, "audit")
    told = [(one.body["by"], one.body["shadow"], one.body["action"]) for one in switched if one.id.startswith("shadow-")]
    assert told == [("local-admin", "live", "stop"), ("local-admin", "live", "start")]
    with pytest.raises(NotFoundError):
        platform.shadow_stop("none")
    with pytest.raises(ForbiddenError):
        platform.as_principal(Principal("reader", frozenset({"reader"}))).shadow_stop("live")
    platform.close()


def test_another_shadow_of_the_name_of_one_that_was_stopped_follows(tmp_path):
    platform = made_in(tmp_path)
    platform.shadow_run()
    platform.shadow_stop("live")
    text = (tmp_path / "shadows/live.yaml").read_text()
    (tmp_path / "shadows/live.yaml").unlink()
    platform.apply()
    platform.shadow_run()
    assert platform.history("pump-1", "pressure", lane="simulated")["times"] == []
    (tmp_path / "shadows/live.yaml").write_text(text)
    platform.apply()
    [found] = platform.shadow_run()
    assert found["state"] == "following"
    assert found["behind"] == 0
    platform.close()


def test_a_replay_says_what_was_said_live_and_stores_nothing(platform):
    platform.shadow_run()
    before = platform.status()["commit"]
    told = []
    found = platform.shadow_replay("live", twin="pump-1", progress=lambda done, total: told.append((done, total)))
    live = platform.history("pump-1", "pressure", lane="simulated")
    said = zip(live["times"], live["values"], live["source"], strict=True)
    mine = [(time, value) for time, value, source in said if source == "shadow:live"]
    assert list(zip(found["outputs"]["x"]["times"], found["outputs"]["x"]["values"], strict=True)) == mine
    assert len(mine) == 21
    assert found["residuals"]["error"]["times"] == platform.history("pump-1", "error", lane="derived")["times"]
    assert found["forecast"]["x"]["times"][-1] > mine[-1][0]
    assert told[-1] == (200, 200)
    assert platform.status()["commit"] == before


def test_what_a_replay_in_a_fork_says_is_on_the_lanes_of_the_fork_alone(platform):
    platform.create_fork("rehearsal")
    fork = platform.fork("rehearsal")
    found = fork.shadow_replay("live", twin="pump-1")
    there = fork.history("pump-1", "pressure", lane="simulated")
    assert found["fork"] == "rehearsal"
    assert set(there["source"]) == {"replay:live", "replay:live+PT1M"}
    said = zip(there["values"], there["source"], strict=True)
    assert [value for value, source in said if source == "replay:live"] == found["outputs"]["x"]["values"]
    assert platform.history("pump-1", "pressure", lane="simulated")["times"] == []


def test_a_replay_keeps_its_pace_and_ends_when_who_watches_it_is_gone(platform):
    clock, stop = platform.session.clock, threading.Event()

    def passing():
        while not stop.wait(0.005):
            clock.advance(5_000)

    class GoneError(Exception):
        pass

    told = []

    def watching(done, total):
        told.append(done)
        if done >= 60:
            raise GoneError

    platform.shadow_replay("live", twin="pump-1")  # so that the model is loaded
    threading.Thread(target=passing, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(GoneError):
        platform.shadow_replay("live", twin="pump-1", speed=40.0, progress=watching)
    stop.set()
    assert told == sorted(told)
    assert len(set(told)) > 2
    assert max(told) < 200
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({}, UsageError, "follows many twins"),
        ({"twin": "pump-9"}, NotFoundError, "follows no twin"),
        ({"twin": "pump-1", "speed": 0.0}, UsageError, "is no speed"),
        ({"twin": "pump-1", "speed": float("nan")}, UsageError, "is no speed"),
        ({"twin": "pump-1", "start": "2026-03-02T00:00:00Z", "end": "2026-03-01T00:00:00Z"}, UsageError, "is not before"),
    ],
)
def test_a_replay_that_cannot_be_is_refused_with_what_to_do(platform, options, error, said):
    with pytest.raises(error, match=said) as refused:
        platform.shadow_replay("live", **options)
    assert refused.value.remedy
