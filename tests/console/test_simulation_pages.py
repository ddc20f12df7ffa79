"""The pages of what simulates on its own in a real browser: the queue, shadows and forks."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.console.visitor import Visitor

from twinwright.clock import SECOND, to_iso
from twinwright.console.pages.queue import _far
from twinwright.telemetry.payloads import Payload

pytestmark = pytest.mark.browser
Plant = Any


def test_a_request_is_seen_to_wait_run_and_end_and_is_fetched_and_cancelled(visitor: Visitor, plant: Plant) -> None:
    page = visitor.open("queue")
    expect(page.get_by_text("Nothing waits")).to_be_visible()
    long = plant.platform.submit_run("long", fresh=True)
    short = plant.platform.submit_run("more-power", priority="low")
    rows = {one["id"]: page.locator(f"[data-request='{one['id']}']") for one in (long, short)}
    expect(rows[long["id"]]).to_contain_text("20 runs, next")
    expect(rows[short["id"]]).to_contain_text("low priority")
    expect(rows[short["id"]]).to_contain_text("1 before it")
    plant.platform.resume_runs()
    expect(rows[long["id"]].locator(".tw-pill")).to_have_text("running")
    expect(rows[long["id"]]).to_contain_text("of 20 runs")
    expect(rows[long["id"]].locator(".tw-bar")).to_be_visible()
    rows[long["id"]].get_by_role("button", name="Cancel long").click()
    expect(page.get_by_text("Cancelled: runs that had ended are kept")).to_be_visible()
    expect(rows[long["id"]].locator(".tw-pill")).to_have_text("cancelled")
    expect(rows[short["id"]].locator(".tw-pill")).to_have_text("done")
    expect(page.locator(".tw-tile", has_text="Done").locator(".tw-number")).to_have_text("1")
    with page.expect_download() as fetched:
        rows[short["id"]].get_by_role("link", name=re.compile("as csv$")).click()
    assert fetched.value.suggested_filename == f"runs-{short['id'][:12]}.csv"
    assert "discharge-pressure" in fetched.value.path().read_text() or fetched.value.path().stat().st_size > 1_000
    assert visitor.problems == [] and visitor.elsewhere == []


def test_how_far_a_request_is_is_told_in_words() -> None:
    one = {"status": "running", "total": 40, "done": 12, "eta_seconds": 130.0, "ahead": 0, "failed": None}
    assert _far(one) == "12 of 40 runs, about 2.2\u00a0min left"
    assert _far(one | {"eta_seconds": None}) == "12 of 40 runs"
    assert _far(one | {"status": "waiting", "ahead": 3}) == "40 runs, 3 before it"
    assert _far(one | {"status": "waiting", "total": 1}) == "1 run, next"
    assert _far(one | {"status": "done", "failed": 2}) == "40 runs, 2 failed"


def test_a_shadow_is_shown_beside_what_was_observed_stopped_and_started(visitor: Visitor, plant: Plant) -> None:
    page = visitor.open("shadows")
    expect(page.locator(".tw-subhead h2")).to_have_text("booster")
    for line in ("var(--observed)", "var(--accent)"):
        expect(page.locator(f".tw-chart svg path[stroke='{line}'][fill='none']").first).to_be_visible()
    expect(page.locator(".tw-chart svg path[stroke-dasharray]").first).to_be_visible()
    residual = page.locator(".tw-chart-card", has_text="Residual").locator(".tw-number")
    expect(residual).to_have_text(re.compile(r"^−?\d+(\.\d+)?\skPa$"))
    state = page.locator(".tw-tile", has_text="State").locator(".tw-number")
    expect(state).to_have_text("Following")

    page.get_by_role("button", name="Stop booster").click()
    expect(state).to_have_text("Stopped")
    through = plant.platform.shadow("booster")["through"]
    at = plant.platform.session.clock.now() + 20 * SECOND
    reading = {"unit": "booster", "ts": to_iso(at), "p": 480.0, "w": 24.0}
    plant.platform.push("station", [Payload(json.dumps(reading).encode())])
    behind = page.locator(".tw-tile", has_text="Behind").locator(".tw-number")
    expect(behind).not_to_have_text("0")
    assert plant.platform.shadow("booster")["through"] == through
    page.get_by_role("button", name="Start booster").click()
    expect(state).to_have_text("Following")
    expect(behind).to_have_text("0")
    assert plant.platform.shadow("booster")["through"] > through

    page.locator("button", has_text="fleet").click()
    expect(page.locator(".tw-subhead h2")).to_have_text("fleet")
    page.locator("button", has_text="pump-3").click()
    expect(page.locator(".tw-chart-card").first).to_contain_text("pump-3")
    expect(page.locator(".tw-chart svg")).to_have_count(1)
    assert visitor.problems == [] and visitor.elsewhere == []


def test_a_fork_is_made_compared_and_dropped(visitor: Visitor, plant: Plant) -> None:
    page = visitor.open("forks")
    page.get_by_label("Name").fill("No such name")
    page.get_by_role("button", name="Fork the workspace").click()
    expect(page.get_by_text("No such name").first).to_be_visible()
    page.get_by_label("Name").fill("rehearsal")
    page.get_by_label("Name").press("Enter")
    expect(page.locator(".tw-subhead h2")).to_have_text("rehearsal")
    expect(page.get_by_text("No value differs")).to_be_visible()
    reading = {"unit": "pump-2", "ts": to_iso(plant.platform.session.clock.now()), "p": 777.0}
    plant.platform.fork("rehearsal").push("station", [Payload(json.dumps(reading).encode())])
    page.get_by_role("button", name="Compare again").click()
    expect(page.locator("tr", has_text="pressure")).to_contain_text("777")
    page.get_by_role("button", name="the workspace now").click()
    expect(page.get_by_role("button", name="the workspace now")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("th", has_text="Workspace")).to_be_visible()
    assert plant.platform.history("pump-2", "pressure")["values"][-1] != 777.0
    page.get_by_role("button", name="Drop rehearsal").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("button", name="Keep it")).to_be_hidden()
    assert [one["name"] for one in plant.platform.forks()] == ["rehearsal"]
    page.get_by_role("button", name="Drop rehearsal").click()
    page.get_by_role("button", name="with all that is in it").click()
    expect(page.get_by_text("No forks yet")).to_be_visible()
    assert plant.platform.forks() == []
    assert visitor.problems == [] and visitor.elsewhere == []
