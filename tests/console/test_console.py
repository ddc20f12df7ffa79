"""The console in a real browser: it shows what the platform holds, does what its buttons say, and fits."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect
from tests.console.visitor import Visitor

from twinwright.clock import to_iso

pytestmark = pytest.mark.browser
PAGES = ("", "dead-letters", "runs", "queue", "shadows", "forks", "models")
Plant = Any


def test_signing_in_leads_to_live_charts_with_units(visitor: Visitor) -> None:
    page = visitor.page
    expect(page).to_have_url(f"{visitor.url}/console/")
    expect(page.locator(".tw-chart svg")).to_have_count(4)
    for unit in ("kPa", "°C", "kW", "no unit"):
        expect(page.locator(".tw-chart svg text", has_text=re.compile(f"^{unit}$"))).to_have_count(1)
    expect(page.locator(".tw-chart-card", has_text="Pressure").locator(".tw-number")).to_have_text(re.compile(r"^\d+(\.\d+)?\skPa$"))
    strokes = page.locator(".tw-chart svg path[stroke='var(--accent)']")
    expect(strokes.first).to_be_visible()
    assert max(len(path.get_attribute("d") or "") for path in strokes.all()) > 1_000, "a line of hundreds of points"
    expect(page.locator(".tw-tile", has_text="Refused").locator(".tw-number")).to_have_text("9")
    assert visitor.problems == [] and visitor.elsewhere == []


def test_hovering_tells_value_unit_and_both_times_and_keeps_the_line(visitor: Visitor) -> None:
    page = visitor.page
    chart = page.locator(".tw-chart").first
    line = chart.locator("path[stroke='var(--accent)'][fill='none']")
    expect(line).to_have_count(1)
    chart.hover(position={"x": 220, "y": 90})
    expect(page.locator(".tw-tip").first).to_have_text(re.compile(r"^Pressure\d+(\.\d+)?\skPa$"))
    expect(page.locator(".tw-tip-time").first).to_contain_text(re.compile(r"\d\d:\d\d:\d\d.*UTC$"))
    page.wait_for_timeout(300)
    expect(line).to_have_count(1)
    assert line.evaluate("(one) => getComputedStyle(one).stroke") == "rgb(15, 118, 110)"


def test_new_telemetry_appears_by_itself(visitor: Visitor, plant: Plant) -> None:
    page = visitor.page
    shown = page.locator(".tw-chart-card", has_text="Bearing temperature").locator(".tw-number")
    expect(page.locator("[aria-pressed=true]", has_text="pump-1")).to_be_visible()
    expect(shown).not_to_have_text("–")
    now = plant.platform.session.clock.now()
    httpx.post(
        f"{visitor.url}/v1/telemetry/station",
        json={"unit": "pump-1", "ts": to_iso(now), "p": 500, "t": 99.25},
        headers={"authorization": "Bearer a-token-of-tests-that-is-long-enough"},
        timeout=60,
    ).raise_for_status()
    expect(shown).to_have_text("99.25\u00a0°C")


def test_another_twin_and_window_are_chosen(visitor: Visitor) -> None:
    page = visitor.page
    drawn = page.locator(".tw-chart svg")
    expect(drawn).to_have_count(4)  # a chart that is taken away before it was ever drawn makes NiceGUI's script complain
    page.locator("button", has_text="pump-4").click()
    expect(page.locator(".tw-subhead h2")).to_have_text("pump-4")
    expect(page.locator(".tw-chart-card", has_text="Mode").locator(".tw-number")).to_have_text("manual")
    page.get_by_role("button", name="15 min").click()
    expect(page.get_by_role("button", name="15 min")).to_have_attribute("aria-pressed", "true")
    expect(drawn).to_have_count(4)
    page.locator("button", has_text="reservoir").click()
    expect(page.locator(".tw-subhead")).to_contain_text("never")
    expect(page.locator(".tw-chart-card", has_text="Level").locator(".tw-number")).to_have_text("–")
    assert visitor.problems == []


def test_the_choice_keeps_the_focus_while_data_come_in(visitor: Visitor) -> None:
    page = visitor.page
    page.get_by_role("button", name="6 h").focus()
    page.wait_for_timeout(5_000)
    assert page.evaluate("document.activeElement.textContent") == "6 h"


def test_times_are_local_with_utc_on_hover(visitor: Visitor) -> None:
    made = visitor.open("runs").locator(".tw-facts time")
    expect(made).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$"))
    utc = (made.get_attribute("title") or "")[11:16]
    local = re.search(r"(\d\d):(\d\d):\d\d$", made.text_content() or "")
    assert local is not None
    minutes = (int(local[1]) * 60 + int(local[2]) - int(utc[:2]) * 60 - int(utc[3:])) % (24 * 60)
    assert minutes == 330, "half past five ahead of UTC in Kolkata"


def test_a_run_is_shown_beside_what_was_observed_and_verified(visitor: Visitor) -> None:
    page = visitor.open("runs")
    page.locator("button", has_text="more-power").click()
    expect(page.locator(".tw-subhead h2")).to_have_text("more-power")
    for line in ("var(--observed)", "var(--accent)"):
        expect(page.locator(f".tw-chart svg path[stroke='{line}']").first).to_be_visible()
    expect(page.locator(".tw-findings")).to_contain_text("violated")
    page.get_by_role("button", name="Repeat this run").click()
    expect(page.get_by_text("Repeated: the same bytes")).to_be_visible(timeout=20_000)
    assert visitor.problems == []


def test_parameter_sets_have_intervals_and_open_their_report(visitor: Visitor) -> None:
    page = visitor.open("models")
    row = page.locator("tr", has_text="gain")
    expect(row).to_contain_text(re.compile(r"\d+(\.\d+)? … \d+(\.\d+)?"))
    expect(row).to_contain_text("kPa/kW")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name=re.compile("^Report ")).first.click()
    expect(opened.value.locator("h1")).to_be_visible()
    assert "/v1/reports/" in opened.value.url


def test_dead_letters_are_shown_whole_and_read_again(visitor: Visitor, plant: Plant) -> None:
    page = visitor.open("dead-letters")
    page.locator("button", has_text="Unknown twin").click()
    expect(page.locator(".tw-letter")).to_have_count(3)
    expect(page.locator(".tw-letter pre").first).to_contain_text('"unit": "pump-9"')
    page.locator(".tw-letter").first.get_by_role("button", name="Read dead letter").click()
    expect(page.get_by_text("0 taken, 1 still refused")).to_be_visible()

    twins = plant.platform.session.folder / "twins.yaml"
    twins.write_text(twins.read_text() + '  - {$dtId: pump-9, $metadata: {$model: "dtmi:station:Pump;1"}}\n')
    plant.platform.apply()
    page.get_by_role("button", name="Read all 9 again").click()
    expect(page.get_by_text("3 taken, 6 still refused")).to_be_visible()
    expect(page.locator("button", has_text="Unknown twin")).to_have_count(0)
    assert plant.platform.dead_letters()["by_reason"] == {"bad_time": 1, "malformed": 1, "out_of_range": 4}
    assert visitor.problems == []


@pytest.mark.parametrize(("scheme", "widths"), [("light", (400, 768, 1400)), ("dark", (1400, 768, 400))])
def test_no_page_overflows_and_colours_follow_the_system(chromium: Browser, plant: Plant, scheme: Any, widths: tuple[int, ...]) -> None:
    """Neither as wide as it was opened nor made wider or narrower."""
    context = chromium.new_context(color_scheme=scheme)
    visitor = Visitor(context.new_page(), plant)
    for name in PAGES:
        visitor.page.set_viewport_size({"width": widths[0], "height": 900})
        page = visitor.open(name)
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(600)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            over = page.evaluate(
                """[...document.querySelectorAll(".tw-main *")].filter((one) => !one.closest(".tw-scroll, svg, pre")
                   && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.className)"""
            )
            assert over == [], (name, width)
            paper = [int(part) for part in re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]]
            assert (sum(paper) > 600) == (scheme == "light"), (name, width)
    assert visitor.problems == [] and visitor.elsewhere == []
    context.close()


def test_text_has_enough_contrast_in_both_schemes(chromium: Browser, plant: Plant) -> None:
    for scheme in ("light", "dark"):
        context = chromium.new_context(color_scheme=scheme)
        page = Visitor(context.new_page(), plant).open("")
        colours = {
            name: page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}')").strip()
            for name in ("ink", "muted", "accent", "card", "paper", "good", "good-soft", "bad", "bad-soft", "warn", "warn-soft")
        }
        pairs = [("ink", "card"), ("muted", "card"), ("muted", "paper"), ("accent", "card")]
        pairs += [(name, f"{name}-soft") for name in ("good", "bad", "warn")]
        for front, back in pairs:
            assert _contrast(colours[front], colours[back]) >= 4.5, (scheme, front, back)
        context.close()


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2, 1.4.3."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_without_a_session_there_is_a_page_that_says_how_to_get_one(chromium: Browser, plant: Plant) -> None:
    context = chromium.new_context()
    page = context.new_page()
    answer = page.goto(f"{plant.server.url}/console/")
    assert answer is not None and answer.status == 401
    expect(page.locator("h1")).to_have_text("You are not signed in")
    context.close()
