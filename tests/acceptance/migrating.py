"""A fleet that is migrated, rolled back and killed in the midst while it sends, and clients of every version read it and write to it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.running import twinwright, until, write
from tests.acceptance.version_writer import Writer
from tests.acceptance.versions import TWINS, VERSIONS, WRITTEN, Client, Fleet, Listener, Reader, Sender, dtmi, plant, stage

import twinwright as tw

EACH = (Sender, Reader, Writer)  # the clients of a version
PATIENCE = 300.0  # seconds that all of them are waited for, however busy the machine is


@dataclass(frozen=True)
class Stage:
    """Shares to be applied, and whether the platform is killed while they are."""

    shares: tuple[float, ...]
    kill: bool = False


def migrate(folder: Path, stages: Sequence[Stage], seed: int, toml: str = "") -> Fleet:
    """Go through stages while all send and read; then retire the first version. Every check of every reader has to hold."""
    fleet, rng, took = Fleet(plant(folder, toml)), random.Random(seed), 1.0
    fleet.up()
    clients: list[Client] = [of(fleet, 0) for of in EACH]
    for one in clients:
        one.start()
    listener = Listener(fleet)
    listener.start()
    until(lambda: _go_on(clients) and all(client.done > 2 for client in clients), PATIENCE)
    for number, one in enumerate(stages):
        stage(folder, one.shares)
        if one.kill:
            _kill_within_apply(fleet, rng, took)
            fleet.up()
            fleet.half += _check_all_or_nothing(folder, stages[number - 1].shares if number else (), one.shares)
        began = time.monotonic()
        assert twinwright("apply", workspace=folder).code == 0
        took = time.monotonic() - began
        assert twinwright("plan", workspace=folder).good["changes"] == []
        found = _models(folder)
        assert all(version == _version_of(twin, one.shares) for twin, version in found.items()), (number, found)
        fleet.served = range(len(one.shares) + 1)
        for version in range(len(clients) // len(EACH), len(one.shares) + 1):
            for of in EACH:
                clients.append(of(fleet, version))
                clients[-1].start()
        before = [client.done for client in clients]
        until(lambda before=before: _go_on(clients) and all(now.done > was + 3 for now, was in zip(clients, before, strict=True)), PATIENCE)
    _retire_the_first(fleet, clients)
    listener.finish()  # while there is something to be told
    for client in clients:
        client.finish()
        assert not isinstance(client, Writer) or client.moved <= len(stages) + 1, client.moved
    listener.read_the_rest({twin: dtmi(version) for twin, version in _models(folder).items()})
    _check_the_end(fleet)
    return fleet


def _go_on(clients: Sequence[Client]) -> bool:
    for client in clients:
        client.check()
    return True


def _kill_within_apply(fleet: Fleet, rng: random.Random, took: float) -> None:
    """At any instant from when it is asked to apply; mostly before it has answered."""
    platform = tw.open(fleet.folder)

    def apply() -> None:
        try:
            platform.apply()
        except tw.errors.PlatformError:
            assert fleet.down

    asked = threading.Thread(target=apply)
    asked.start()
    time.sleep(rng.uniform(0.0, took))
    fleet.kill()
    asked.join(30)
    assert not asked.is_alive()


def _check_all_or_nothing(folder: Path, before: Sequence[float], after: Sequence[float]) -> int:
    """Whatever the instant of the kill: every twin is where it was, or every one is where it was to go. 1 for the first of these."""
    found = _models(folder)
    gone = [all(version == _version_of(twin, shares) for twin, version in found.items()) for shares in (before, after)]
    assert any(gone), found
    return int(not gone[1])


def _models(folder: Path) -> dict[str, int]:
    found = twinwright("state", workspace=folder).good["value"]
    return {one["$dtId"]: int(one["$metadata"]["$model"].rpartition(";")[2]) - 1 for one in found}


def _version_of(twin: str, shares: Sequence[float]) -> int:
    from twinwright.platform.migrating import place_of

    return next((version for version, share in enumerate(shares) if place_of(twin) >= share), len(shares))


def _retire_the_first(fleet: Fleet, clients: Sequence[Client]) -> None:
    """Refused while something uses it, and says what; done once nothing does."""
    folder = fleet.folder
    others = clients[len(EACH) :]
    for client in clients[: len(EACH)]:
        client.finish()
    fleet.served = fleet.served[1:]
    before = [client.done for client in others]
    until(lambda: _go_on(clients) and all(now.done > was + 1 for now, was in zip(others, before, strict=True)), PATIENCE)
    refused = twinwright("schema", "retire", dtmi(0), workspace=folder)
    assert refused.code != 0 and "twins.yaml" in refused.out, refused.out
    twins = (folder / "twins.yaml").read_text().replace(dtmi(0), dtmi(1))
    write(folder, {"contracts/of-1.yaml": None, "twins.yaml": twins})
    assert twinwright("apply", workspace=folder).code == 0
    assert twinwright("schema", "retire", dtmi(0), workspace=folder).good["retired"] is True
    assert fleet.running is not None
    with fleet.running.client() as caller:
        path, asked = f"/digitaltwins/{WRITTEN[0]}", {"interface": dtmi(0)}
        assert caller.get(path, params=asked).status_code == 404
        refusal = caller.patch(path, params=asked, json=[{"op": "add", "path": "/pressure", "value": 100.0}])
        assert refusal.status_code == 404 and "is retired" in refusal.text
        assert caller.put(path, json={"$metadata": {"$model": dtmi(0)}, "pressure": 100.0}).status_code == 400
    before = [client.done for client in others]
    until(lambda: _go_on(clients) and all(now.done > was + 3 for now, was in zip(others, before, strict=True)), PATIENCE)


def _check_the_end(fleet: Fleet) -> None:
    """Nothing was refused, nothing lost or counted twice; and old history is what it was through every version that is served."""
    platform = tw.open(fleet.folder)
    try:
        counts = platform.kpi()["counts"]
        assert counts["received"] == counts["accepted"] + counts["duplicate"] and counts["dead_lettered"] == 0
        assert counts["accepted"] == fleet.sent == sum(map(len, fleet.acknowledged.values()))
        assert platform.dead_letters()["total"] == 0
        assert platform.reconcile()["inconsistent"] == 0
        for version in range(1, len(VERSIONS)):
            reader = Reader(fleet, version)
            for twin in TWINS:
                for quantity in ("pressure", "speed"):
                    table = platform.history(twin, VERSIONS[version][quantity].name, interface=dtmi(version))
                    times = [time.isoformat() for time in table["times"].to_pylist()]
                    found = {"times": times, "values": table["values"].to_pylist(), "unit": VERSIONS[version][quantity].unit, "quality": []}
                    reader.check_series(quantity, found, fleet.acknowledged[twin])
                    assert len(times) == len(fleet.acknowledged[twin])
    finally:
        platform.close()
    assert fleet.running is not None and fleet.running.stop() == 0
