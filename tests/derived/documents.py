"""Derived values over two twins, x and y, of which x feeds y: as documents, and what they are by the book."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from twinwright import schema
from twinwright.clock import HOUR
from twinwright.derived.definition import Definition, Plant
from twinwright.derived.folder import compile_folder
from twinwright.documents import Problems
from twinwright.storage.layout import Relationship
from twinwright.storage.protocol import BAD, GOOD, REMOVED

PUMP = "dtmi:example:Pump;1"
_CONTENTS = [
    *({"@type": ["Property", kind], "name": name, "schema": "double", "unit": unit} for name, kind, unit in (
        ("pressure", "Pressure", "kilopascal"), ("mean", "Pressure", "kilopascal"), ("peak", "Pressure", "pascal"),
            ("flow", "VolumeFlowRate", "litrePerMinute"), ("inflow", "VolumeFlowRate", "litrePerMinute"),
    )),
    *({"@type": "Property", "name": name, "schema": kind} for name, kind in (
        ("ratio", "double"), ("readings", "long"), ("wet", "boolean"), ("mode", "string"),
    )),
    {"@type": "Property", "name": "place", "schema": {"@type": "Object", "fields": [{"name": "x", "schema": "double"}]}},
    {"@type": "Relationship", "name": "feeds", "target": PUMP},
]  # fmt: skip
ONTOLOGY = schema.load(
    json.dumps(
        {
            "@context": ["dtmi:dtdl:context;4", "dtmi:dtdl:extension:quantitativeTypes;2"],
            "@id": PUMP,
            "@type": "Interface",
            "contents": _CONTENTS,
        }
    )
)
PLANT = Plant(ONTOLOGY, {"x": PUMP, "y": PUMP}, [Relationship("x", "r", "feeds", "y")])


def written(name: str, path: str, expression: str, inputs: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A document, with some of its fields changed."""
    return {"name": name, "interface": PUMP, "output": {"path": path}, "inputs": dict(inputs), "expression": expression, **changes}


def hourly(path: str, agg: str = "mean", **more: Any) -> dict[str, Any]:
    return {"path": path, "window": {"every": "PT1H", "agg": agg}, **more}


DOCUMENTS = (
    written("mean", "mean", "p", {"p": hourly("pressure")}),
    written("ratio", "ratio", "p / 1 kPa / (q / 1 l/min)", {"p": {"path": "pressure"}, "q": {"path": "flow"}}),
    written("inflow", "inflow", "q", {"q": hourly("flow", "sum", relationship="feeds", direction="in", across="sum")}),
    written("readings", "readings", "n", {"n": hourly("pressure", "count")}),
    written("wet", "wet", "coalesce(q, 0 l/min) > 1 l/min or n > 2", {"n": hourly("pressure", "count"), "q": {"path": "flow"}}),
    written("peak", "peak", "m", {"m": {"path": "mean", "lane": "derived", "window": {"every": "PT2H", "agg": "max"}}}),
)


def compiled(*documents: Mapping[str, Any] | str, plant: Plant = PLANT) -> tuple[dict[str, Definition], Problems]:
    """Definitions by name, and what is wrong."""
    problems = Problems()
    texts = {f"derived/{at}.yaml": one if isinstance(one, str) else yaml.safe_dump(one) for at, one in enumerate(documents)}
    return compile_folder(texts, plant, problems), problems


# --- by the book: one plain loop over all of history for each of DOCUMENTS ---------------------------------------------------

Said = tuple[int, Any]  # kind, value
Row = Mapping[str, Any]
Facts = dict[tuple[int, str, int], Said]  # (twin, path, time)


def by_the_book(history: Sequence[Row]) -> Facts:
    """What DOCUMENTS say of a history: rows of RECORD_SCHEMA in the lane `observed`."""
    facts: Facts = {}
    for twin in (1, 2):
        pressure, flow = (_of(history, twin, path) for path in ("pressure", "flow"))
        for begin, rows in _windows(pressure, HOUR).items():
            good = [row["num"] for row in rows if row["kind"] == GOOD]
            facts[twin, "mean", begin] = (GOOD, sum(good) / len(good)) if good else (BAD, None)
            facts[twin, "readings", begin] = (GOOD, len(good))
            q = _held(flow, begin)
            wet = None if q is not None and q[0] == BAD else q is not None and q[1] > 1
            if wet is None and not len(good) > 2:
                facts[twin, "wet", begin] = (BAD, None)
            else:
                facts[twin, "wet", begin] = (GOOD, int(bool(wet) or len(good) > 2))
        for time in {row["time"] for row in [*pressure, *flow]}:
            p, q = _held(pressure, time), _held(flow, time)
            if p is not None and q is not None:
                usable = p[0] == GOOD and q[0] == GOOD and q[1] != 0
                facts[twin, "ratio", time] = (GOOD, p[1] / q[1]) if usable else (BAD, None)
            elif (p or q or (GOOD,))[0] == BAD:  # nothing comes of it, and not for want of data alone
                facts[twin, "ratio", time] = (BAD, None)
    for begin, rows in _windows(_of(history, 1, "flow"), HOUR).items():
        good = [row["num"] for row in rows if row["kind"] == GOOD]
        facts[2, "inflow", begin] = (GOOD, sum(good)) if good else (BAD, None)
    peaks: dict[tuple[int, int], list[Said]] = {}
    for (twin, path, time), said in facts.items():
        if path == "mean":
            peaks.setdefault((twin, time // (2 * HOUR) * 2 * HOUR), []).append(said)
    for (twin, begin), several in peaks.items():
        good = [value for kind, value in several if kind == GOOD]
        facts[twin, "peak", begin] = (GOOD, max(good) * 1000) if good else (BAD, None)
    return facts


def _of(history: Sequence[Row], twin: int, path: str) -> list[Row]:
    rows = [row for row in history if row["twin"] == twin and row["path"] == path and row["kind"] != REMOVED]
    return sorted(rows, key=lambda row: (row["time"], row["source"]))


def _windows(rows: Sequence[Row], every: int) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["time"] // every * every, []).append(row)
    return found


def _held(rows: Sequence[Row], time: int) -> Said | None:
    before = [row for row in rows if row["time"] <= time]
    return (before[-1]["kind"], before[-1]["num"]) if before else None
