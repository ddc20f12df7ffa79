"""A fleet that is migrated while telemetry comes and a client of each version reads: every value they are shown is checked.

Readings are numbered, and all that one says follows from its number, which is its event time too. So of any value a client is shown, with
its time, it is known what it has to be in the unit of the client's version.
"""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from tests.acceptance.running import Up, twinwright, until, write

import twinwright as tw

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
TWINS = [f"pump-{number}" for number in range(12)]
BATCH = 24


@dataclass(frozen=True)
class Measured:
    """What a version calls a quantity, its unit there (DTDL, and short), and how many of that unit are one of the base."""

    name: str
    kind: str
    dtdl: str
    unit: str
    scale: float = 1.0
    shift: float = 0.0


KILOPASCAL = Measured("pressure", "Pressure", "kilopascal", "kPa")
BAR = Measured("pressure", "Pressure", "bar", "bar", 0.01)
SPEED = Measured("speed", "AngularVelocity", "revolutionPerMinute", "rpm")
RATE = Measured("rate", "AngularVelocity", "revolutionPerMinute", "rpm")
FLOW = Measured("flow", "VolumeFlowRate", "litrePerMinute", "l/min")
VERSIONS = [  # a field comes and a unit changes; then a property is renamed
    {"pressure": KILOPASCAL, "speed": SPEED},
    {"pressure": BAR, "speed": SPEED, "flow": FLOW},
    {"pressure": BAR, "speed": RATE, "flow": FLOW},
]
STEPS = ["  - {unit: pressure, to: bar}\n  - {default: site, value: north}\n", "  - {rename: speed, to: rate}\n"]


def base(quantity: str, number: int) -> float:
    """In the unit of the oldest version that has it."""
    return {"pressure": 100.0 + number % 300, "speed": 1_000.0 + number % 700, "flow": 5.0 + number % 11}[quantity]


def expected(version: int, quantity: str, number: int) -> float:
    one = VERSIONS[version][quantity]
    return base(quantity, number) * one.scale + one.shift


def dtmi(version: int) -> str:
    return f"dtmi:test:Pump;{version + 1}"


def when(number: int) -> str:
    return (BEGIN + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def number_of(time: str) -> int:
    return int((datetime.fromisoformat(time) - BEGIN).total_seconds())


# --- the workspace -----------------------------------------------------------------------------------------------------


def schema(version: int) -> str:
    contents: list[dict[str, Any]] = [
        {"@type": ["Property", one.kind], "name": one.name, "schema": "double", "unit": one.dtdl} for one in VERSIONS[version].values()
    ]
    contents += [{"@type": "Property", "name": "site", "schema": "string"}] if version else []
    context = ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"]
    return json.dumps({"@context": context, "@type": "Interface", "@id": dtmi(version), "contents": contents})


def contract(version: int) -> str:
    lines = [f"  - {{path: {one.name}, field: {name}, unit: {one.unit}, required: true}}" for name, one in VERSIONS[version].items()]
    head = f'name: of-{version + 1}\ntime: {{field: t}}\ntwin: "{{id}}"\nobservations:\n'
    return head + "\n".join(lines) + "\n"


def plant(folder: Path, toml: str = "") -> Path:
    twins = "".join(f"  - {{$dtId: {twin}, $metadata: {{$model: '{dtmi(0)}'}}}}\n" for twin in TWINS)
    files = {"twinwright.toml": "[api]\nconsole = false\n" + toml, "twins.yaml": f"twins:\n{twins}"}
    write(folder, {**files, "schema/pump1.json": schema(0), "contracts/of-1.yaml": contract(0)})
    assert twinwright("apply", workspace=folder).code == 0
    return folder


def stage(folder: Path, shares: Sequence[float]) -> None:
    """Write down that so many of the twins are of each later version."""
    for version, share in enumerate(shares, 1):
        migration = f"name: to-{version + 1}\nfrom: {dtmi(version - 1)}\nto: {dtmi(version)}\nshare: {share}\nsteps:\n{STEPS[version - 1]}"
        files = {f"schema/pump{version + 1}.json": schema(version), f"contracts/of-{version + 1}.yaml": contract(version)}
        write(folder, {**files, f"migrations/to-{version + 1}.yaml": migration})


# --- who sends, and who reads ------------------------------------------------------------------------------------------


@dataclass
class Fleet:
    """What is shared by all who send and read. `acknowledged` has the numbers of each twin that are durable for sure."""

    folder: Path
    running: Up | None = None
    down: bool = False  # it is being killed, or is dead
    stopping: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    acknowledged: dict[str, set[int]] = field(default_factory=lambda: {twin: set() for twin in TWINS})
    flows: dict[str, int] = field(default_factory=dict)  # the newest number of each twin that came with a flow
    sent: int = 0
    half: int = 0  # kills that came before an apply was done
    slowest: float = 0.0

    def up(self) -> None:
        self.running = Up(self.folder)
        self.down = False

    def kill(self) -> None:
        assert self.running is not None
        self.down = True
        self.running.kill()

    def numbers(self, count: int) -> list[int]:
        with self.lock:
            self.sent += count
            return list(range(self.sent - count, self.sent))

    def known(self, twin: str) -> set[int]:
        with self.lock:
            return set(self.acknowledged[twin])


class Client(threading.Thread):
    """Goes on over kills: only while the platform is being killed may a request fail."""

    def __init__(self, fleet: Fleet, version: int) -> None:
        super().__init__(daemon=True)
        self.fleet, self.version = fleet, version
        self.error: BaseException | None = None
        self.done = 0
        self.leave = threading.Event()

    @property
    def over(self) -> bool:
        return self.leave.is_set() or self.fleet.stopping.is_set()

    def run(self) -> None:
        try:
            while not self.over:
                running = self.fleet.running
                if self.fleet.down or running is None:
                    time.sleep(0.01)
                    continue
                # a connection is not used again that the server may be about to close for having been idle
                limits = httpx.Limits(keepalive_expiry=1.0)
                with httpx.Client(base_url=running.url, headers=running.headers, timeout=60, limits=limits) as client:
                    try:
                        while not self.over:
                            self.once(client)
                            self.done += 1
                    except httpx.TransportError:
                        assert self.fleet.down or self.fleet.running is not running, "a request failed while the platform was up"
        except BaseException as error:  # noqa: BLE001 - shown by the thread that waits
            self.error = error

    def once(self, client: httpx.Client) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Leave, once what is under way is done. Raises what went wrong."""
        self.leave.set()
        self.join(60)
        self.check()

    def check(self) -> None:
        if self.error is not None:
            raise self.error


class Sender(Client):
    """Sends readings under the contract of a version for twins of any; what was not acknowledged comes again."""

    def __init__(self, fleet: Fleet, version: int) -> None:
        super().__init__(fleet, version)
        self.rng = random.Random(version)
        self.batch: list[int] = []
        self.tries = 0

    @property
    def over(self) -> bool:
        return super().over and not self.batch

    def once(self, client: httpx.Client) -> None:
        if not self.batch:
            self.batch = self.fleet.numbers(BATCH)
            self.rng.shuffle(self.batch)
        names = list(VERSIONS[self.version])
        lines = [
            json.dumps({"id": twin_of(n), "t": when(n), **{name: expected(self.version, name, n) for name in names}}) for n in self.batch
        ]
        began = time.monotonic()
        self.tries += 1
        answer = client.post(
            f"/v1/telemetry/of-{self.version + 1}", content="\n".join(lines), headers={"content-type": "application/x-ndjson"}
        )
        assert answer.status_code == 200, answer.text
        receipt = answer.json()
        assert (receipt["received"], receipt["dead_lettered"]) == (BATCH, {}), receipt
        assert receipt["accepted"] + receipt["duplicate"] == BATCH
        with self.fleet.lock:
            for number in self.batch:
                twin = twin_of(number)
                self.fleet.acknowledged[twin].add(number)
                if "flow" in names:
                    self.fleet.flows[twin] = max(number, self.fleet.flows.get(twin, -1))
            self.fleet.slowest = max(self.fleet.slowest, time.monotonic() - began)
        self.batch = []
        time.sleep(0.6)


def twin_of(number: int) -> str:
    return TWINS[number % len(TWINS)]


class Reader(Client):
    """Reads as its version all the time: documents, history, windows and queries."""

    def __init__(self, fleet: Fleet, version: int) -> None:
        super().__init__(fleet, version)
        self.rng = random.Random(100 + version)
        self.names = VERSIONS[version]
        self.ways = [self.document, self.documents, self.history, self.windows, self.query]

    def once(self, client: httpx.Client) -> None:
        self.rng.choice(self.ways)(client)
        time.sleep(0.05)

    def get(self, client: httpx.Client, path: str, **params: str) -> Any:
        answer = client.get(path, params={"interface": dtmi(self.version), **params})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def close(self, quantity: str, number: int, value: float) -> None:
        assert math.isclose(value, expected(self.version, quantity, number), rel_tol=1e-9), (self.version + 1, quantity, number, value)

    def check_document(self, document: dict[str, Any], known: set[int], flow: int | None) -> None:
        assert document["$metadata"]["$model"] == dtmi(self.version)
        assert document.get("site", "north") == "north" and not ("site" in document and self.version == 0)  # twins that were moved have it
        for quantity, one in self.names.items():
            if one.name not in document:
                assert (flow is None) if quantity == "flow" else not known, f"{document['$dtId']} lost its {one.name}"
                continue
            number = number_of(document["$metadata"][one.name]["sourceTime"])
            least = flow if quantity == "flow" else max(known, default=0)
            assert number >= (least or 0), f"{document['$dtId']} went back to {number} from {least}"
            self.close(quantity, number, document[one.name])
        others = {one.name for version in VERSIONS for one in version.values()} - {one.name for one in self.names.values()}
        assert not others & document.keys()

    def document(self, client: httpx.Client) -> None:
        twin = self.rng.choice(TWINS)
        known, flow = self.fleet.known(twin), self.fleet.flows.get(twin)
        self.check_document(self.get(client, f"/digitaltwins/{twin}"), known, flow)

    def documents(self, client: httpx.Client) -> None:
        known, flows = {twin: self.fleet.known(twin) for twin in TWINS}, dict(self.fleet.flows)
        found = {one["$dtId"]: one for one in self.get(client, "/v1/state")["value"]}
        assert sorted(found) == sorted(TWINS)
        for twin, document in found.items():
            self.check_document(document, known[twin], flows.get(twin))

    def history(self, client: httpx.Client) -> None:
        twin, quantity = self.rng.choice(TWINS), self.rng.choice(["pressure", "speed"])
        known = self.fleet.known(twin)
        since = self.rng.choice([0, max(known, default=0) // 2])
        found = self.get(client, f"/v1/history/{twin}/{self.names[quantity].name}", **{"from": when(since)})
        self.check_series(quantity, found, {number for number in known if number >= since})

    def check_series(self, quantity: str, found: dict[str, Any], known: set[int]) -> None:
        numbers = [number_of(time) for time in found["times"]]
        assert numbers == sorted(set(numbers)) and known <= set(numbers), f"{len(known - set(numbers))} are missing"
        assert found["unit"] == self.names[quantity].unit and set(found["quality"]) <= {"good"}
        for number, value in zip(numbers, found["values"], strict=True):
            self.close(quantity, number, value)

    def windows(self, client: httpx.Client) -> None:
        twin, quantity, agg = self.rng.choice(TWINS), self.rng.choice(["pressure", "speed"]), self.rng.choice(["min", "max", "mean"])
        known = self.fleet.known(twin)
        found = self.get(client, f"/v1/history/{twin}/{self.names[quantity].name}", every="PT1M", agg=agg)
        begins = [number_of(time) for time in found["times"]]
        assert {number // 60 * 60 for number in known} <= set(begins)
        assert found["unit"] == self.names[quantity].unit
        for begin, value in zip(begins, found["values"], strict=True):
            could = [expected(self.version, quantity, number) for number in range(begin, begin + 60) if twin_of(number) == twin]
            assert min(could) * (1 - 1e-9) <= value <= max(could) * (1 + 1e-9), (twin, quantity, begin, value)

    def query(self, client: httpx.Client) -> None:
        names = {quantity: self.names[quantity] for quantity in ("pressure", "speed")}
        known = {twin: max(self.fleet.known(twin), default=-1) for twin in TWINS}
        lowest = min(expected(self.version, "pressure", number) for number in range(300)) * 0.99
        columns = ", ".join(f"T.{one.name} AS {quantity}" for quantity, one in names.items())
        text = f"SELECT T.$dtId AS id, {columns} FROM DIGITALTWINS T WHERE T.{names['pressure'].name} > {lowest}"
        answer = client.post("/query", json={"query": text}, params={"interface": dtmi(self.version)})
        assert answer.status_code == 200, answer.text
        found = {one["id"]: one for one in answer.json()["value"]}
        assert {twin for twin, number in known.items() if number >= 0} <= found.keys()
        for twin, one in found.items():
            fits = (
                all(math.isclose(one[name], expected(self.version, name, number), rel_tol=1e-9) for name in names)
                for number in self.candidates(twin, known[twin])
            )
            assert any(fits), (twin, one)

    def candidates(self, twin: str, known: int) -> Iterator[int]:
        """The numbers that may be a twin's newest."""
        return (number for number in range(max(known, 0), self.fleet.sent) if twin_of(number) == twin)


class Listener(Client):
    """Follows the stream of events over kills: each twin's in order, values in the unit of the model that the event names, and of every
    twin each step from one version to the next."""

    FILTER = f"type = 'Twinwright.Twin.Migration' OR subject = '{TWINS[0]}'"

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet, 0)
        self.last = "0"
        self.seen: set[str] = set()
        self.sequence: dict[str, str] = {}
        self.at = dict.fromkeys(TWINS, dtmi(0))
        self.values = 0

    def once(self, client: httpx.Client) -> None:
        headers = {"accept": "text/event-stream", "last-event-id": self.last}
        with client.stream("GET", "/v1/events", params={"filter": self.FILTER}, headers=headers, timeout=240) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                if self.over:
                    return
                if line.startswith("id: "):
                    self.last = line[4:]
                elif line.startswith("data: "):
                    self.take(json.loads(line[6:]))

    def read_the_rest(self, there: Mapping[str, str]) -> None:
        """By pages, from where the stream was left: then every twin has been told to be where it is."""
        assert self.fleet.running is not None
        with self.fleet.running.client() as client:
            place, at, last = str(self.last), 0, math.inf
            while at < last:
                page = client.get("/v1/events", params={"filter": self.FILTER, "place": place}, timeout=240).json()
                for one in page["events"]:
                    self.take(one["event"])
                place, at, last = page["place"], page["through"], page["last"]
        assert self.at == there and self.values > 10

    def take(self, event: dict[str, Any]) -> None:
        if event["id"] in self.seen:
            return  # the connection broke within its commit
        self.seen.add(event["id"])
        twin = event["partitionkey"]
        assert event["sequence"] >= self.sequence.get(twin, "")
        self.sequence[twin] = event["sequence"]
        data = event["data"]
        if event["type"] == "Twinwright.Twin.Migration":
            assert data["from"] == self.at[twin], f"{twin} was at {self.at[twin]}: {data}"
            self.at[twin] = data["to"]
        elif event["type"] == "Microsoft.DigitalTwins.Twin.Update" and event.get("datasource", "api") != "api":
            assert data["modelId"] == self.at[twin], f"{twin} is at {self.at[twin]}: {event}"
            version, number = int(data["modelId"].rpartition(";")[2]) - 1, number_of(event["time"])
            found = {step["path"][1:]: step["value"] for step in data["patch"]}
            for quantity, one in VERSIONS[version].items():
                if one.name in found:
                    assert math.isclose(found.pop(one.name), expected(version, quantity, number), rel_tol=1e-9), event
                    self.values += 1
            assert not found, event


# --- all of it -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """Shares to be applied, and whether the platform is killed while they are."""

    shares: tuple[float, ...]
    kill: bool = False


def migrate(folder: Path, stages: Sequence[Stage], seed: int, toml: str = "") -> Fleet:
    """Go through stages while all send and read; then retire the first version. Every check of every reader has to hold."""
    fleet, rng, took = Fleet(plant(folder, toml)), random.Random(seed), 1.0
    fleet.up()
    clients: list[Client] = [Sender(fleet, 0), Reader(fleet, 0)]
    for one in clients:
        one.start()
    listener = Listener(fleet)
    listener.start()
    until(lambda: _go_on(clients) and clients[0].done > 2 and clients[1].done > 2)
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
        assert all(found[twin] == _version_of(twin, one.shares) for twin in TWINS), (number, found)
        for version in range(len(clients) // 2, len(one.shares) + 1):
            for client in (Sender(fleet, version), Reader(fleet, version)):
                client.start()
                clients.append(client)
        before = [client.done for client in clients]
        until(lambda before=before: _go_on(clients) and all(now.done > was + 3 for now, was in zip(clients, before, strict=True)))
    _retire_the_first(fleet, clients)
    listener.finish()  # while there is something to be told
    for client in clients:
        client.finish()
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
    gone = [all(found[twin] == _version_of(twin, shares) for twin in TWINS) for shares in (before, after)]
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
    for client in clients[:2]:
        client.finish()
    refused = twinwright("schema", "retire", dtmi(0), workspace=folder)
    assert refused.code != 0 and "twins.yaml" in refused.out, refused.out
    twins = (folder / "twins.yaml").read_text().replace(dtmi(0), dtmi(1))
    write(folder, {"contracts/of-1.yaml": None, "twins.yaml": twins})
    assert twinwright("apply", workspace=folder).code == 0
    assert twinwright("schema", "retire", dtmi(0), workspace=folder).good["retired"] is True
    assert fleet.running is not None
    with fleet.running.client() as client:
        assert client.get("/digitaltwins/pump-0", params={"interface": dtmi(0)}).status_code == 404
    before = [client.done for client in clients[2:]]
    until(lambda: _go_on(clients) and all(now.done > was + 3 for now, was in zip(clients[2:], before, strict=True)))


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
