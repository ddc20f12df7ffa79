"""Three pumps seen by two sources, telemetry with everything wrong that Exercise A names, and a plain fold of what it should give."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.acceptance.running import write

MODEL = "dtmi:test:Pump;1"
PUMPS = ("pump-1", "pump-2", "pump-3")
BERLIN = ZoneInfo("Europe/Berlin")
LAB_TIME = "%d.%m.%Y %H:%M:%S"
MODES = {"0": "off", "1": "auto", "2": "manual"}
FIELDS = ("n", "ts", "rev", "p_bar", "rpm", "m", "starts")
NOW = datetime.now(UTC).replace(microsecond=0)
BEGIN = NOW - timedelta(hours=6)

SCHEMA = json.dumps(
    [
        {
            "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
            "@id": "dtmi:test:Motor;1",
            "@type": "Interface",
            "contents": [
                {"@type": ["Telemetry", "AngularVelocity"], "name": "speed", "schema": "double", "unit": "revolutionPerMinute"},
            ],
        },
        {
            "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
            "@id": MODEL,
            "@type": "Interface",
            "contents": [
                {"@type": ["Property", "Pressure"], "name": "pressure", "schema": "double", "unit": "kilopascal"},
                {"@type": ["Property", "Temperature"], "name": "temperature", "schema": "double", "unit": "kelvin"},
                {"@type": "Property", "name": "mode", "schema": "string"},
                {"@type": "Property", "name": "starts", "schema": "long"},
                {"@type": "Component", "name": "motor", "schema": "dtmi:test:Motor;1"},
            ],
        },
    ]
)
PUMP = """
name: pump
revision: 1
format: {format}
twin: "pump-{{n}}"
time: {{field: ts, format: iso8601, zone: UTC}}
correction: {{field: rev}}
observations:
  - {{path: pressure, field: p_bar, unit: bar, range: [0, 16], required: true}}
  - {{path: motor/speed, field: rpm, unit: rpm, range: [0, 4000]}}
  - {{path: mode, field: m, map: {{0: "off", 1: auto, 2: manual}}}}
  - {{path: starts, field: starts}}
"""
LAB = f"""
name: lab
revision: 1
format: csv
delimiter: ";"
twin: "{{pump}}"
time: {{field: when, format: "{LAB_TIME}", zone: Europe/Berlin}}
observations:
  - {{path: pressure, field: kPa, unit: kPa, range: [0, 1600]}}
  - {{path: temperature, field: celsius, unit: degC, range: [-20, 150], reject: true}}
"""
TWINS = "twins:\n" + "".join(f"  - {{$dtId: {pump}, $metadata: {{$model: '{MODEL}'}}}}\n" for pump in PUMPS)


def workspace(folder: Path, format: str = "json") -> Path:
    files = {"twinwright.toml": "", "schema/pump.json": SCHEMA, "twins.yaml": TWINS, "contracts/lab.yaml": LAB}
    return write(folder, {**files, "contracts/pump.yaml": PUMP.format(format=format)})


# --- telemetry -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A line of the pumps' telemetry as fields (None is missing), or as text that is no line at all."""

    fields: tuple[tuple[str, Any], ...] = ()
    broken: str | None = None

    def json(self) -> str:
        if self.broken is not None:
            return self.broken
        return json.dumps({name: value for name, value in self.fields if value is not None})

    def csv(self) -> str:
        if self.broken is not None:
            return "1,2,3"  # too few cells
        values = dict(self.fields)
        out = io.StringIO()
        csv.writer(out, lineterminator="").writerow(["" if values.get(name) is None else values[name] for name in FIELDS])
        return out.getvalue()


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def rows(seed: int, count: int = 240) -> list[Row]:
    """Telemetry with each kind of fault in it, in order of time."""
    rng = random.Random(seed)
    made: list[dict[str, Any]] = [
        {
            "n": rng.randint(1, 3),
            "ts": _iso(BEGIN + timedelta(seconds=60 * rng.randint(0, 350))),
            "rev": rng.choice([None, 0, 0, 1, 2]),
            "p_bar": rng.randint(0, 64) / 4,
            "rpm": rng.choice([None, float(rng.randint(0, 4000))]),
            "m": rng.choice([None, 0, 1, 2]),
            "starts": rng.choice([None, rng.randint(0, 99)]),
        }
        for _ in range(count)
    ]
    for k in range(0, count, 5):  # corrections, most of them to smaller values
        made.append({**made[k], "rev": rng.randint(1, 3), "p_bar": max(0.0, made[k]["p_bar"] - 0.5)})
    for k in range(0, count, 11):  # a bad optional value
        made.append({**made[k], "rev": 4, **rng.choice([{"rpm": "fast"}, {"rpm": 9999.0}, {"m": 7}, {"starts": "many"}])})
    for k in range(0, count, 17):  # true conflicts: another value in the same version
        made.append({**made[k], "p_bar": rng.randint(0, 64) / 4})
    faults: Sequence[dict[str, Any]] = (
        {"ts": None},
        {"n": None},
        {"p_bar": None},
        {"ts": "yesterday"},
        {"ts": "2026-02-30T08:00:00Z"},
        {"ts": _iso(NOW + timedelta(days=1))},
        {"p_bar": "much"},
        {"rev": "latest"},
        {"p_bar": 16.25},
        {"p_bar": -0.25},
        {"n": 4},
    )
    for fault in faults:
        for _ in range(rng.randint(1, 4)):
            made.append({**rng.choice(made[:count]), **fault})
    result = [Row(tuple(fields.items())) for fields in made]
    result += [Row(broken=text) for text in ('{"n": 1, "ts"', "not json", '{"n": 1,}', "17", "null", '"text"')]
    result += rng.choices(result, k=len(result) // 4)  # repeated
    return result


def lab_lines(seed: int, count: int = 80) -> list[str]:
    """Lines of the laboratory's CSV without its header, some at the very times at which the pumps speak."""
    rng = random.Random(seed)
    lines = []
    for _ in range(count):
        moment = (BEGIN + timedelta(seconds=60 * rng.randint(0, 358))).astimezone(BERLIN).strftime(LAB_TIME)
        pressure = rng.choice(["", str(rng.randint(0, 1600)), str(rng.randint(0, 1600)), "high"])
        lines.append(f"pump-{rng.randint(1, 4)};{moment};{pressure};{rng.choice(['', '20.5', '33', '151', 'hot'])}")
    lines += ["pump-1;32.01.2026 10:00:00;5;", "pump-1;;5;", "pump-1;short"]
    return lines + rng.choices(lines, k=count // 5)


LAB_HEADER = "pump;when;kPa;celsius"
PUMP_HEADER = ",".join(FIELDS)


# --- what it should give ---------------------------------------------------------------------------------------------

BAD = object()


@dataclass
class Reference:
    """A plain fold: what was refused by reason, and the set of readings."""

    received: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    readings: set[tuple[Any, ...]] = field(default_factory=set)  # source, twin, time, correction, ((path, value), ...)
    duplicate: int = 0

    def take(self, source: str, judged: str | tuple[Any, ...]) -> None:
        self.received += 1
        if isinstance(judged, str):
            self.dead[judged] += 1
        elif (source, *judged) in self.readings:
            self.duplicate += 1
        else:
            self.readings.add((source, *judged))

    def pumps(self, lines: Iterable[Row]) -> Reference:
        for line in lines:
            self.take("pump", "malformed" if line.broken is not None else _pump(dict(line.fields)))
        return self

    def lab(self, lines: Iterable[str]) -> Reference:
        for line in lines:
            cells = line.split(";")
            self.take("lab", "malformed" if len(cells) != 4 else _lab(*cells))
        return self

    @property
    def counts(self) -> dict[str, int]:
        dead = sum(self.dead.values())
        return {"received": self.received, "accepted": len(self.readings), "duplicate": self.duplicate, "dead_lettered": dead}

    @property
    def newest(self) -> dict[str, datetime]:
        found: dict[str, datetime] = {}
        for source, _, time, *_ in self.readings:
            found[source] = max(time, found.get(source, time))
        return found

    def documents(self) -> list[dict[str, Any]]:
        """What `state --facts` shows: of each (twin, path) the greatest (time, source), and behind a bad one the last good value."""
        current: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for source, twin, time, correction, values in self.readings:
            for path, value in values:
                key, version = (twin, path, time, source), (correction, value is not BAD, value if value is not BAD else 0, value)
                if key not in current or version[:3] > current[key][:3]:
                    current[key] = version
        documents = []
        for twin in PUMPS:
            document: dict[str, Any] = {"$dtId": twin, "$metadata": {"$model": MODEL}}
            for path in sorted({path for of, path, *_ in current if of == twin}):
                keys = sorted(key for key in current if key[:2] == (twin, path))
                good = [key for key in keys if current[key][3] is not BAD]
                owner, notes, name = document, document["$metadata"], path
                if "/" in path:
                    owner = document.setdefault(path.split("/")[0], {"$metadata": {}})
                    notes, name = owner["$metadata"], path.split("/")[1]
                notes[name] = {"sourceTime": _iso(keys[-1][2]), "source": keys[-1][3], "quality": "good" if keys[-1] in good else "bad"}
                unit = {"pressure": "kPa", "temperature": "K", "motor/speed": "rpm"}.get(path)
                notes[name] |= {"unit": unit} if unit else {}
                if good:
                    owner[name] = current[good[-1]][3]
            documents.append(document)
        return documents

    def series(self, twin: str, path: str) -> list[tuple[str, Any, str]]:
        """(time, value or None, source) of each key, in order."""
        current: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for source, of, time, correction, values in self.readings:
            for name, value in values:
                key, version = (time, source), (correction, value is not BAD, value if value is not BAD else 0, value)
                if (of, name) == (twin, path) and (key not in current or version[:3] > current[key][:3]):
                    current[key] = version
        return [(_iso(time), None if value is BAD else value, source) for (time, source), (*_, value) in sorted(current.items())]


def _pump(fields: dict[str, Any]) -> str | tuple[Any, ...]:
    if fields["ts"] is None or fields["n"] is None or fields["p_bar"] is None:
        return "missing_field"
    try:
        time = datetime.strptime(fields["ts"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return "bad_time"
    if time > datetime.now(UTC) + timedelta(seconds=30):
        return "future_time"
    if fields["n"] not in (1, 2, 3):
        return "unknown_twin"
    if isinstance(fields["rev"], str) or isinstance(fields["p_bar"], str):
        return "bad_type"
    if not 0 <= fields["p_bar"] <= 16:
        return "out_of_range"
    values: list[tuple[str, Any]] = [("pressure", fields["p_bar"] * 100)]
    if (rpm := fields["rpm"]) is not None:
        values.append(("motor/speed", rpm if isinstance(rpm, float) and rpm <= 4000 else BAD))
    if (mode := fields["m"]) is not None:
        values.append(("mode", MODES.get(str(mode), BAD)))
    if (starts := fields["starts"]) is not None:
        values.append(("starts", starts if isinstance(starts, int) else BAD))
    return f"pump-{fields['n']}", time, fields["rev"] or 0, tuple(values)


def _lab(pump: str, when: str, pressure: str, celsius: str) -> str | tuple[Any, ...]:
    if not when:
        return "missing_field"
    try:
        time = datetime.strptime(when, LAB_TIME).replace(tzinfo=BERLIN).astimezone(UTC)
    except ValueError:
        return "bad_time"
    if pump not in PUMPS:
        return "unknown_twin"
    if celsius == "151":
        return "out_of_range"
    values: list[tuple[str, Any]] = []
    if pressure:
        values.append(("pressure", BAD if pressure == "high" else float(pressure)))
    if celsius:
        values.append(("temperature", BAD if celsius == "hot" else float(celsius) + 273.15))
    return (pump, time, 0, tuple(values)) if values else "missing_field"
