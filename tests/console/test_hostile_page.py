"""A hostile page in a real browser that holds a valid session: it learns nothing and changes nothing."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser
Plant = Any
ATTACK = """
async (target) => {
  const sockets = target.replace("http", "ws");
  const reading = '{"unit": "pump-1", "ts": "2026-01-01T00:00:00Z", "p": 666}';
  const settle = (promise) => Promise.race([promise, new Promise((done) => setTimeout(() => done("nothing"), 2500))]);
  const read = async (path, options) => {
    try {
      const answer = await fetch(target + path, { credentials: "include", ...options });
      return [answer.type, answer.status, await answer.text()].join(" ");
    } catch (error) { return "refused"; }
  };
  const loaded = (tag, path, set) => settle(new Promise((done) => {
    const element = document.createElement(tag);
    element.onload = () => done(tag === "iframe" ? "loaded a frame" : "loaded");
    element.onerror = () => done("refused");
    element[set || "src"] = target + path;
    if (tag === "link") element.rel = "stylesheet";
    document.body.append(element);
  }));
  const socket = (path) => settle(new Promise((done) => {
    const made = new WebSocket(sockets + path);
    made.onopen = () => done("open");
    made.onerror = made.onclose = () => done("refused");
  }));
  const form = (path, enctype) => settle(new Promise((done) => {
    const frame = document.createElement("iframe");
    frame.name = "f" + Math.random();
    const made = document.createElement("form");
    Object.assign(made, { method: "POST", action: target + path, target: frame.name, enctype });
    const field = document.createElement("input");
    field.name = reading.slice(0, -1) + ', "x": "'; field.value = '"}';
    made.append(field); document.body.append(frame, made);
    let first = true;
    frame.onload = () => { if (first) { first = false; return; } done("refused"); };
    made.submit();
    setTimeout(() => done("refused"), 1500);
  }));
  const results = {};
  for (const path of ["/v1/twins", "/digitaltwins/pump-1", "/metrics", "/openapi.json", "/console/", "/healthz"]) {
    results["cors " + path] = await read(path, { mode: "cors" });
    results["no-cors " + path] = await read(path, { mode: "no-cors" });
  }
  const simple = { method: "POST", body: reading, headers: { "content-type": "text/plain" } };
  results["post cors"] = await read("/v1/telemetry/station", { ...simple, mode: "cors" });
  results["post no-cors"] = await read("/v1/telemetry/station", { ...simple, mode: "no-cors" });
  results["post json"] = await read("/v1/telemetry/station", { ...simple, headers: { "content-type": "application/json" } });
  results["retry"] = await read("/v1/dead-letters/retry", { method: "POST", mode: "no-cors" });
  results["simulate"] = await read("/v1/scenarios", { method: "POST", mode: "no-cors", body: '{"scenario": "as-run"}' });
  results["polling"] = await read("/console/_nicegui_ws/socket.io/?EIO=4&transport=polling", { mode: "cors" });
  results["beacon"] = navigator.sendBeacon(target + "/v1/telemetry/station", reading) ? "sent" : "refused";
  results["img"] = await loaded("img", "/v1/twins");
  results["script"] = await loaded("script", "/v1/twins");
  results["style"] = await loaded("link", "/console/assets/console.css", "href");
  results["console script"] = await loaded("script", "/console/assets/console.js");
  results["iframe"] = await loaded("iframe", "/console/");
  results["object"] = await loaded("object", "/v1/reports/x", "data");
  results["form"] = await form("/v1/telemetry/station", "text/plain");
  results["form url"] = await form("/v1/dead-letters/retry", "application/x-www-form-urlencoded");
  results["websocket"] = await socket("/console/_nicegui_ws/socket.io/?EIO=4&transport=websocket");
  results["websocket api"] = await socket("/v1/events");
  results["events"] = await settle(new Promise((done) => {
    const source = new EventSource(target + "/v1/twins", { withCredentials: true });
    source.onopen = () => done("open"); source.onerror = () => { source.close(); done("refused"); };
  }));
  return results;
}
"""
HARMLESS = {"refused", "nothing", "sent", "opaque 0 ", "loaded a frame"}  # an opaque answer has neither status nor text for the page


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>hostile</title><body></body>")

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@pytest.fixture(scope="module")
def hostile() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def session(chromium: Browser, plant: Plant) -> Iterator[BrowserContext]:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(plant.login)
    page.wait_for_url("**/console/")
    page.wait_for_selector(".tw-chart svg")
    page.close()
    yield context
    context.close()


@pytest.fixture
def signed_in(session: BrowserContext, plant: Plant) -> Iterator[BrowserContext]:
    """The browser with a valid session, and no page open."""
    _wait_until_quiet(plant)
    yield session
    for page in session.pages:
        page.close()


def facts(plant: Plant) -> tuple[object, ...]:
    """What nobody may have changed."""
    counts = plant.platform.kpi()["counts"]
    return tuple(counts.items()), len(plant.platform.runs()), plant.platform.dead_letters()["by_reason"], plant.platform.status()["commit"]


def _wait_until_quiet(plant: Plant) -> None:
    """What closed pages had asked for is answered and counted."""
    before = -1.0
    while (now := served(plant)) != before:
        before = now
        time.sleep(1.0)


def served(plant: Plant) -> float:
    """How many requests got more than a refusal."""
    samples = [sample for family in plant.platform.session.metrics.registry.collect() for sample in family.samples]
    return sum(one.value for one in samples if one.name == "twinwright_http_requests_total" and one.labels["status"] < "400")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "evil.example"])
def test_a_hostile_page_gets_nothing_and_changes_nothing(signed_in: BrowserContext, plant: Plant, hostile: int, name: str) -> None:
    before, answered = facts(plant), served(plant)
    page = signed_in.new_page()
    page.goto(f"http://{name}:{hostile}/")
    results: dict[str, str] = page.evaluate(ATTACK, plant.server.url)
    page.wait_for_timeout(500)
    assert {what: result for what, result in results.items() if result not in HARMLESS} == {}
    assert [frame.url for frame in page.frames if frame.url.startswith(plant.server.url) and "twins" in frame.content()] == []
    assert facts(plant) == before
    assert served(plant) == answered, "not one of the requests was answered with more than a refusal"


def test_the_attack_succeeds_from_our_own_page(signed_in: BrowserContext, plant: Plant) -> None:
    """The control: what is refused above is refused for where it comes from, not for being broken."""
    page = signed_in.new_page()
    page.goto(f"{plant.server.url}/console/")
    results = page.evaluate(
        """async (target) => {
          const read = await fetch(target + "/v1/twins", { credentials: "include" });
          const wrote = await fetch(target + "/v1/dead-letters/retry", { method: "POST" });
          const opened = await new Promise((done) => {
            const made = new WebSocket(target.replace("http", "ws") + "/console/_nicegui_ws/socket.io/?EIO=4&transport=websocket");
            made.onopen = () => done(true); made.onerror = () => done(false);
          });
          return [read.status, wrote.status, opened];
        }""",
        plant.server.url,
    )
    assert results == [200, 200, True]


def test_a_rebound_name_gets_nothing(signed_in: BrowserContext, plant: Plant) -> None:
    port = plant.server.port
    page = signed_in.new_page()
    for path in ("/v1/twins", "/console/", "/healthz", "/login?code=x"):
        answer = page.goto(f"http://evil.example:{port}{path}")
        assert answer is not None and answer.status == 421
    page.route("**/attack", lambda route: route.fulfill(content_type="text/html", body="<title>hostile</title>"))
    page.goto(f"http://evil.example:{port}/attack")  # a page of the name before it was rebound: now of one origin with our server
    results = page.evaluate(
        """async () => {
          const status = (asked) => asked.then((answer) => answer.status, () => 421);  // a browser may refuse before we do
          const [read, wrote] = [await status(fetch("/v1/twins")), await status(fetch("/v1/dead-letters/retry", { method: "POST" }))];
          const opened = await new Promise((done) => {
            const made = new WebSocket(location.origin.replace("http", "ws") + "/console/_nicegui_ws/socket.io/?EIO=4&transport=websocket");
            made.onopen = () => done(true); made.onerror = () => done(false);
          });
          return [read, wrote, opened];
        }"""
    )
    assert results == [421, 421, False]


def test_a_window_opened_on_the_console_is_out_of_reach(signed_in: BrowserContext, plant: Plant, hostile: int) -> None:
    page: Page = signed_in.new_page()
    page.goto(f"http://127.0.0.1:{hostile}/")
    seen = page.evaluate(
        """async (target) => {
          const opened = window.open(target + "/console/");
          for (const until = Date.now() + 30000; Date.now() < until && !opened.closed; ) {
            await new Promise((done) => setTimeout(done, 250));  // until it has left the empty page that it begins with
            try { opened.document.title; } catch (error) { return [opened.closed, "refused"]; }
          }
          return [opened.closed, opened.closed || !opened.document ? "" : opened.document.title];
        }""",
        plant.server.url,
    )
    assert seen[0] is True or seen[1] == "refused"
    assert seen[1] in ("refused", "")
