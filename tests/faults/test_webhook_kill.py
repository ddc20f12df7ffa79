"""Killed while it delivers: the receiver has every event of every twin, in order, at least once."""

import random
import threading
import time

import httpx
import pytest
from tests.acceptance.running import Up, write
from tests.events.receiver import SECRET, Receiver
from tests.platform.graph_plant import FILES, pump

TWINS = ("a", "b", "c")


class Writing:
    """Writes count after count to each twin, and knows which were acknowledged."""

    def __init__(self):
        self.count, self.acknowledged = 0, {twin: [] for twin in TWINS}

    def write(self, running, stop):
        with running.client() as client:
            while not stop.is_set():
                self.count += 1
                for twin in TWINS:
                    try:
                        answer = client.put(f"/digitaltwins/{twin}", json=pump(count=self.count))
                    except httpx.HTTPError:
                        return
                    if answer.status_code == 200:
                        self.acknowledged[twin].append(self.count)


def value_of(event):
    data = event["data"]
    steps = {step["path"]: step["value"] for step in data.get("patch", ())}
    return data.get("count", steps.get("/count"))


def check(writing, events):
    """Nothing is missing, and what comes for the first time comes in order."""
    for twin in TWINS:
        told = [value_of(event) for event in events if event.get("subject") == twin]
        first = list(dict.fromkeys(value for value in told if value is not None))
        assert first == sorted(first), twin
        assert set(writing.acknowledged[twin]) <= set(first), (twin, set(writing.acknowledged[twin]) - set(first))


def killed(tmp_path, receiver, kills):
    rng = random.Random(7)
    toml = f'[api]\nconsole = false\n[webhooks.hook]\nurl = "{receiver.url}"\nsecret_file = "secret"\nfilter = "true"\nstart = "earliest"\n'
    folder = write(tmp_path / "w", {**FILES, "twinwright.toml": toml, "secret": SECRET})
    writing = Writing()
    for _ in range(kills):
        running, stop = Up(folder), threading.Event()
        writer = threading.Thread(target=writing.write, args=(running, stop))
        writer.start()
        before = len(receiver.events)
        receiver.wait_for(lambda one, before=before: len(one.events) > before + 20)
        time.sleep(rng.uniform(0, 0.5))
        running.kill()
        stop.set()
        writer.join()
    running = Up(folder)
    last = {twin: counts[-1] for twin, counts in writing.acknowledged.items()}
    try:
        receiver.wait_for(lambda one: all(any(value_of(e) == last[t] and e.get("subject") == t for e in one.events) for t in TWINS))
    finally:
        running.stop()
    assert receiver.wrong == []
    check(writing, receiver.events)


def test_a_receiver_has_everything_in_order_over_kills(tmp_path):
    receiver = Receiver(lambda event: 200 if random.random() > 0.05 else 503)
    killed(tmp_path, receiver, 2)
    receiver.close()


@pytest.mark.parametrize("broken", ["lost", "reordered"])
def test_a_delivery_that_loses_or_reorders_is_caught(broken):
    writing = Writing()
    writing.acknowledged = {twin: [1, 2, 3] for twin in TWINS}
    told = [{"subject": twin, "data": {"count": count}} for count in (1, 2, 1, 2, 3) for twin in TWINS]  # 1 and 2 came again
    check(writing, told)
    wrong = told[:-1] if broken == "lost" else [told[6 + 3 + 3], *told]
    with pytest.raises(AssertionError):
        check(writing, wrong)
