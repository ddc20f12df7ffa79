"""Webhooks: signed, filtered, in order for each twin, tried again, given up where it can be seen, and harming nobody."""

import json
import threading
from itertools import islice

import pytest
from pydantic import ValidationError
from tests.acceptance.running import until
from tests.events.receiver import SECRET, Receiver
from tests.platform.graph_plant import opened, pump

from twinwright.cli.supervised import sinks
from twinwright.clock import HOUR, ManualClock, from_iso
from twinwright.connectors.runner import Backoff
from twinwright.errors import UsageError
from twinwright.events.runner import WITHIN, WebhookRunner, place_within
from twinwright.events.settings import WebhookSettings
from twinwright.events.webhooks import WebhookSink, signature
from twinwright.governance.principals import SYSTEM
from twinwright.platform.webhooks import expire
from twinwright.telemetry.payloads import Payload


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def quick(monkeypatch):
    """Retries without the waits of real life."""
    monkeypatch.setattr(Backoff, "delay", lambda self, failures, chance: 0.01)


def plant_with(tmp_path, receiver, more='filter = "true"\nstart = "latest"'):
    section = f'[webhooks.hook]\nurl = "{receiver.url}"\nsecret_file = "secret"\n{more}\n'
    platform = opened(tmp_path / "w", ManualClock(from_iso("2026-03-01T08:00:00Z")), section)
    (tmp_path / "w" / "secret").write_text(f"another-secret-that-is-on-its-way-in\n{SECRET}\n")
    return platform


def subjects(events):
    return [event.get("subject") for event in events]


def test_events_are_posted_signed_and_filtered_and_a_place_outlives_the_runner(tmp_path, receiver):
    plant = plant_with(tmp_path, receiver, "filter = \"type = 'Microsoft.DigitalTwins.Twin.Create'\"")
    with sinks(plant.session):
        plant.put_twin("a", pump(count=1))
        plant.patch_twin("a", [{"op": "replace", "path": "/count", "value": 2}])
        token = plant.put_twin("b", pump())["token"]
        receiver.wait_for(lambda one: len(one.events) == 2)
        until(lambda: plant.webhooks()[0]["commit"] >= token)  # what is not remembered yet would come again
        assert plant.status()["consumers"][-1]["name"] == "webhook.hook"
    plant.session.sinks.clear()
    plant.put_twin("c", pump())
    with sinks(plant.session):
        receiver.wait_for(lambda one: len(one.events) == 3)
    assert sorted(subjects(receiver.events)[:2]) == ["a", "b"]
    assert subjects(receiver.events)[2:] == ["c"]
    assert receiver.wrong == []
    assert plant.session.metrics.value("twinwright_webhook_delivered_total", webhook="hook") == 3
    (listed,) = plant.webhooks()
    assert (listed["name"], listed["dead_letters"]) == ("hook", 0) and listed["commit"] > 0
    plant.close()


def test_an_event_route_that_names_it_selects_what_it_gets(tmp_path, receiver):
    plant = plant_with(tmp_path, receiver, "")
    with sinks(plant.session):
        plant.put_twin("before", pump())
        plant.put_event_route("r", {"endpointName": "hook", "filter": "subject = 'a'"})
        plant.put_event_route("s", {"endpointName": "elsewhere", "filter": "true"})
        plant.put_twin("b", pump())
        plant.put_twin("a", pump())
        receiver.wait_for(lambda one: len(one.events) == 1)
        plant.delete_event_route("r")
    assert subjects(receiver.events) == ["a"]
    plant.close()


def test_each_twin_s_events_keep_their_order_while_one_is_refused(tmp_path, receiver, quick):
    refusals = {"left": 5}

    def answer(event):
        if event.get("subject") == "a" and refusals["left"]:
            refusals["left"] -= 1
            return 503, {"retry-after": "0"}
        return 200

    receiver.answer = answer
    plant = plant_with(tmp_path, receiver)
    with sinks(plant.session):
        for twin in ("a", "b"):
            plant.put_twin(twin, pump(count=0))
        for count in range(1, 6):
            for twin in ("a", "b"):
                plant.patch_twin(twin, [{"op": "replace", "path": "/count", "value": count}])
        receiver.wait_for(lambda one: len(one.events) == 12)
    for twin in ("a", "b"):
        mine = [event for event in receiver.events if event["subject"] == twin]
        counts = [one["data"].get("count", one["data"].get("patch", [{}])[0].get("value")) for one in mine]
        assert counts == [0, 1, 2, 3, 4, 5]
    assert len(receiver.refused) == 5
    assert plant.session.metrics.value("twinwright_webhook_retried_total", webhook="hook") == 5
    plant.close()


def test_what_is_refused_to_the_bound_is_a_dead_letter_that_can_be_sent_again(tmp_path, receiver, quick):
    receiver.answer = lambda event: 500 if event.get("subject") == "bad" else 410 if event.get("subject") == "gone" else 200
    plant = plant_with(tmp_path, receiver, 'filter = "true"\nattempts = 3')
    with sinks(plant.session):
        for twin in ("bad", "gone", "good"):
            plant.put_twin(twin, pump())
        receiver.wait_for(lambda one: "good" in subjects(one.events) and len(one.refused) == 4)
        until(lambda: len(plant.webhook_letters("hook")) == 2)
    letters = {one["event"]["subject"]: one for one in plant.webhook_letters("hook")}
    assert (letters["bad"]["attempts"], letters["bad"]["reason"]) == (3, "HTTP 500")
    assert (letters["gone"]["attempts"], letters["gone"]["reason"]) == (1, "HTTP 410")
    receiver.answer = lambda event: 500 if event["subject"] == "gone" else 200
    assert plant.retry_webhook_letters("hook") == {"delivered": 1, "still_refused": 1, "left": 0}
    assert [one["event"]["subject"] for one in plant.webhook_letters("hook")] == ["gone"]
    assert plant.webhooks()[0]["dead_letters"] == 1
    assert receiver.wrong == []
    plant.close()


def test_a_receiver_that_hangs_delays_no_write_and_no_stop(tmp_path, receiver):
    held = threading.Event()
    receiver.answer = lambda event: 200 if held.wait(30) else 500
    plant = plant_with(tmp_path, receiver, 'filter = "true"\ntimeout = "PT0.2S"\nattempts = 100')
    with sinks(plant.session):
        plant.put_twin("a", pump())
        for count in range(20):
            plant.patch_twin("given", [{"op": "add", "path": "/count", "value": count}])  # it goes on
    assert plant.state("given")["count"] == 19
    held.set()
    assert not plant.session.sinks[0]._thread.is_alive()
    plant.close()


def test_redirects_are_not_followed(tmp_path, receiver, quick):
    other = Receiver()
    receiver.answer = lambda event: (307, {"location": other.url})
    plant = plant_with(tmp_path, receiver, 'filter = "true"\nattempts = 1')
    with sinks(plant.session):
        plant.put_twin("a", pump())
        receiver.wait_for(lambda one: len(one.refused) == 1)
        until(lambda: plant.webhook_letters("hook"))
    assert [one["reason"] for one in plant.webhook_letters("hook")] == ["HTTP 307"]
    assert other.events == []
    other.close()
    plant.close()


def test_the_signature_is_that_of_standard_webhooks():
    # An independent value: printf '%s' 'a.1.{}' | openssl dgst -sha256 -hmac KEY -binary | base64
    given = signature([b"0123456789abcdef01234567"], "a", 1, b"{}")
    assert given == "v1,4XNUfqztSW8wVZ51P/XeSteXtBrlXFOpXqQ7EpVJusE="
    assert signature([b"x" * 24, b"y" * 24], "a", 1, b"{}").count("v1,") == 2


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": "http://example.com/x"}, "https only"),
        ({"url": "ftp://example.com/x"}, "https://example.com"),
        ({"url": "https://user:word@example.com/x"}, "password"),
        ({"url": "https://[::1"}, "URL"),
        ({"url": "http://127.0.0.1.example.com/"}, "https only"),
        ({"url": "https://example.com", "filter": "typo = 1"}, "no attribute"),
        ({"url": "https://example.com", "secret_env": None}, "either"),
        ({"url": "https://example.com", "secret_file": "x"}, "either"),
        ({"url": "https://example.com", "attempts": 0}, "attempts"),
    ],
)
def test_settings_that_can_not_be_right_are_refused(fields, says):
    with pytest.raises(ValidationError, match=says):
        WebhookSettings.model_validate({"secret_env": "SECRET", **fields})


@pytest.mark.parametrize(("secret", "says"), [(None, "not set"), ("short", "5 bytes"), ("whsec_!", "base64"), (" ", "empty")])
def test_a_secret_that_is_none_is_told(secret, says, tmp_path, monkeypatch):
    if secret is not None:
        monkeypatch.setenv("HOOK_SECRET", secret)
    settings = WebhookSettings(url="https://example.com", secret_env="HOOK_SECRET")
    with pytest.raises(UsageError, match=says):
        settings.keys("hook", tmp_path)


def test_a_sink_that_passes_over_what_it_gave_up_unseen_is_caught(tmp_path, receiver, quick, monkeypatch):
    monkeypatch.setattr(WebhookSink, "remember", lambda self, transaction: None)
    with pytest.raises(AssertionError):
        receiver.answer = lambda event: 410
        plant = plant_with(tmp_path, receiver)
        try:
            with sinks(plant.session):
                plant.put_twin("a", pump())
                receiver.wait_for(lambda one: len(one.refused) == 1)
            assert len(plant.webhook_letters("hook")) == 1
        finally:
            plant.close()


def interrupted(plant, receiver):
    """Stopped while an event is refused, and started again: the order in which what happened to one twin came in the end."""
    receiver.answer = lambda event: 503
    with sinks(plant.session):
        plant.put_twin("a", pump())
        receiver.wait_for(lambda one: one.refused)
    plant.session.sinks.clear()
    receiver.answer = lambda event: 200
    with sinks(plant.session):
        plant.patch_twin("a", [{"op": "add", "path": "/count", "value": 1}])
        receiver.wait_for(lambda one: any(event["type"].endswith("Twin.Update") for event in one.events))
    plant.session.sinks.clear()
    assert [event["type"].rpartition(".")[2] for event in receiver.events] == ["Create", "Update"]


def test_what_was_under_way_at_a_stop_comes_first_after_it(tmp_path, receiver):
    plant = plant_with(tmp_path, receiver)
    interrupted(plant, receiver)
    plant.close()


def test_a_runner_that_moves_its_place_before_it_delivers_is_caught(tmp_path, receiver, monkeypatch):
    sound = WebhookRunner._pass_on

    def early(self, log, through):
        start, self._done = self._done, through
        self._remember()
        self._done = start
        sound(self, log, through)

    monkeypatch.setattr(WebhookRunner, "_pass_on", early)
    plant = plant_with(tmp_path, receiver)
    with pytest.raises(AssertionError, match="Create"):
        interrupted(plant, receiver)
    plant.close()


def many(plant, count):
    """So many readings in one commit: as many events."""
    lines = [
        json.dumps({"id": "given", "ts": f"2026-03-01T{7 - k // 3600:02}:{k // 60 % 60:02}:{k % 60:02}Z", "p": k}) for k in range(count)
    ]
    assert plant.push("pump", [Payload("\n".join(lines).encode())]).accepted == count


def left_off(tmp_path, receiver, monkeypatch, between=lambda plant: None, patience=120.0):
    """One commit of 240 events, left off in the middle and gone on with: how many events came twice."""
    monkeypatch.setattr("twinwright.events.runner.PIECE", 20)
    plant = plant_with(tmp_path, receiver)
    held = threading.Event()
    receiver.answer = lambda event: 200 if len(receiver.events) < 130 or held.wait(0.5) else 503
    with sinks(plant.session):
        many(plant, 240)
        receiver.wait_for(lambda one: len(one.events) >= 130)
    held.set()
    between(plant)
    with sinks(plant.session):
        receiver.wait_for(lambda one: len({event["id"] for event in one.events}) >= 240, patience)
    first = list(dict.fromkeys(event["data"]["patch"][0]["value"] for event in receiver.events))
    plant.close()
    assert sorted(first) == list(range(240))
    return len(receiver.events) - 240


def test_a_place_is_within_a_commit(tmp_path, receiver, quick, monkeypatch):
    assert left_off(tmp_path, receiver, monkeypatch) <= 20


def test_a_commit_that_is_told_otherwise_than_it_was_is_told_from_its_beginning(tmp_path, receiver, quick, monkeypatch):
    def another(plant):
        store = plant.session.store
        held = store.position(SYSTEM, WITHIN, "hook")
        assert held >> 32 == 120
        with store.transaction(SYSTEM, "sink") as transaction:
            transaction.move_positions(WITHIN, [("hook", held, held ^ 1)])

    assert left_off(tmp_path, receiver, monkeypatch, another) >= 130


def test_a_place_that_is_kept_too_early_is_found_out(tmp_path, receiver, quick, monkeypatch):
    monkeypatch.setattr("twinwright.events.runner.place_within", lambda number, event: place_within(number + 30, event))
    monkeypatch.setattr(WebhookRunner, "_left", lambda self, log, through: skipping(self, log, through))

    def skipping(self, log, through):
        events = log.between(SYSTEM, self._done, through, self._lanes)
        return islice(((event, k) for k, event in enumerate(events, 1)), self._within >> 32, None)

    with pytest.raises(AssertionError):
        left_off(tmp_path, receiver, monkeypatch, patience=3.0)


def test_old_dead_letters_expire_and_stay_counted(tmp_path, receiver, quick):
    receiver.answer = lambda event: 410
    plant = plant_with(tmp_path, receiver, 'filter = "true"\n[retention]\nwebhook_letters = "P7D"')
    with sinks(plant.session):
        plant.put_twin("a", pump())
        until(lambda: plant.webhooks()[0]["dead_letters"] == 1)
        assert expire(plant.session, SYSTEM) == 0
        plant.session.clock.advance(8 * 24 * HOUR)
        plant.put_twin("b", pump())
        until(lambda: plant.webhooks()[0]["dead_letters"] == 2)
        assert expire(plant.session, SYSTEM) == 1
        assert [one["event"]["subject"] for one in plant.webhook_letters("hook")] == ["b"]
        (listed,) = plant.webhooks()
        assert (listed["dead_letters"], listed["expired"]) == (1, 1)
        assert plant.session.sinks[0]._sink.letters == 1
    assert plant.session.metrics.value("twinwright_webhook_expired_total", webhook="hook") == 1
    receiver.answer = lambda event: 200
    assert plant.retry_webhook_letters("hook") == {"delivered": 1, "still_refused": 0, "left": 0}
    plant.close()


def test_an_apply_starts_those_anew_whose_settings_it_changed(tmp_path, receiver, quick):
    plant = plant_with(tmp_path, receiver, "filter = \"subject = 'a'\"")
    settings = tmp_path / "w" / "twinwright.toml"
    with sinks(plant.session):
        (first,) = plant.session.sinks
        plant.put_twin("a", pump())
        receiver.wait_for(lambda one: len(one.events) == 1)
        plant.apply()
        assert plant.session.sinks == [first], "nothing changed"
        settings.write_text(settings.read_text().replace("'a'", "'b'") + "# longer\n")
        plant.apply()
        (second,) = plant.session.sinks
        assert second is not first and not first._thread.is_alive()
        plant.put_twin("c", pump())
        plant.put_twin("b", pump())
        receiver.wait_for(lambda one: len(one.events) == 2)
        settings.write_text(settings.read_text() + '\n[webhooks.broken]\nurl = "https://example.com"\nsecret_file = "gone"\n')
        plant.apply()
        assert plant.session.sinks == [second], "one that can't be made stops none that runs"
        settings.write_text("\n")
        plant.apply()
        assert plant.session.sinks == [] and not second._thread.is_alive()
    assert subjects(receiver.events) == ["a", "b"]
    plant.close()
