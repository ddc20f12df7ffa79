"""A fleet that sends telemetry, and clients of every version of its interface that read it: every value they are shown is checked.

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
from tests.acceptance.running import Up, twinwright, write

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
TWINS = [f"pump-{number}" for number in range(12)]
WRITTEN = [f"valve-{version}" for version in range(3)]  # of the same interface; each is changed by a client of one version
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
    twins = "".join(f"  - {{$dtId: {twin}, $metadata: {{$model: '{dtmi(0)}'}}}}\n" for twin in (*TWINS, *WRITTEN))
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
    served: range = range(1)  # the versions that clients may speak
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
                limits = httpx.Limits(max_keepalive_connections=0)  # the server may be about to close one that was idle
                with httpx.Client(base_url=running.url, headers=running.headers, timeout=240, limits=limits) as client:
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
        assert sorted(found) == sorted([*TWINS, *WRITTEN])
        for twin in TWINS:
            self.check_document(found[twin], known[twin], flows.get(twin))
        for twin in WRITTEN:
            assert found[twin]["$metadata"]["$model"] == dtmi(self.version)
            self.check_written(found[twin])

    def check_written(self, shown: dict[str, Any]) -> None:
        """What a client wrote is of some number, whichever."""
        for quantity, one in self.names.items():
            if shown.get(one.name) is not None:
                assert any(math.isclose(shown[one.name], expected(self.version, quantity, n), rel_tol=1e-9) for n in range(700)), shown

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
        for twin in WRITTEN:
            self.check_written({one.name: found[twin].get(quantity) for quantity, one in names.items()} if twin in found else {})
        for twin in found.keys() - set(WRITTEN):
            one = found[twin]
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
        self.at = dict.fromkeys((*TWINS, *WRITTEN), dtmi(0))
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
