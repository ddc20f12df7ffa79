"""The laws from outside: payloads as senders write them go in through the public surface, and the referee says what has to come out.

Numbers in all their spellings, NaN, huge integers, nulls, text that isn't ASCII, keys in any order; as documents, arrays and lines;
two sources that speak of one moment; corrections; restarts; and a replay under another zone.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.running import write
from tests.laws.reference import referee

import twinwright
from twinwright.clock import HOUR, to_iso
from twinwright.platform.opened import Opened
from twinwright.telemetry.payloads import Payload

TWINS = ("x", "Ünï-テ😀", "a b/c", "q\"'")
UNITS: dict[str, dict[str, str | None]] = {"a": {"p": "kPa"}, "b": {"p": "bar"}}
SCHEMA = {
    "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
    "@id": "dtmi:laws:T;1",
    "@type": "Interface",
    "contents": [
        {"@type": ["Telemetry", "Pressure"], "name": "p", "schema": "double", "unit": "kilopascal"},
        {"@type": "Telemetry", "name": "i", "schema": "long"},
        {"@type": "Telemetry", "name": "b", "schema": "boolean"},
        {"@type": "Telemetry", "name": "s", "schema": "string"},
    ],
}
# As a sender writes it, and what it means; None: said, and unusable.
SPELT: dict[str, list[tuple[str, Any]]] = {
    "p": [("0.0", 0.0), ("-0.0", 0.0), ("0", 0.0), ("1", 1.0), ("10e-1", 1.0), ("9", None), ('"x"', None), ("true", None), ("[]", None)],
    "i": [("0", 0), ("1.0", 1), ("1e0", 1), ("9223372036854775807", 2**63 - 1), ("9223372036854775808", None), ("-1.5", None)],
    "b": [("true", True), ("false", False), ("0", None), ('"t"', None)],
    "s": [('""', ""), ('"a"', "a"), ('"\\u00e9\\ud83d\\ude00"', "é😀"), ('"é😀"', "é😀"), ('"\\u0000"', "\x00"), ("1", None)],
}
NOT_JSON = [("NaN", None), ("-Infinity", None)]  # which many senders write; in an array they spoil its syntax


def files(revision: int, zone: str) -> dict[str, str]:
    twins = "".join(f'  - {{$dtId: {json.dumps(twin, ensure_ascii=False)}, $metadata: {{$model: "dtmi:laws:T;1"}}}}\n' for twin in TWINS)
    made = {"twinwright.toml": "", "schema/t.json": json.dumps(SCHEMA), "twins.yaml": f"twins:\n{twins}"}
    for source, units in UNITS.items():
        made[f"contracts/{source}.yaml"] = (
            f"name: {source}\nrevision: {revision}\ntwin: '{{id}}'\ntime: {{field: ts, zone: {zone}}}\ncorrection: {{field: rev}}\n"
            f"observations:\n  - {{path: p, field: p, unit: {units['p']}, range: [-5, 5]}}\n"
            + "".join(f"  - {{path: {path}, field: {path}}}\n" for path in "ibs")
        )
    return made


class Sender:
    """Makes payloads, and what they mean to the referee."""

    def __init__(self, laws: Any, rng: random.Random) -> None:
        self.laws, self.rng = laws, rng

        class Said(laws.Value):  # with the order in which the product settles a conflict
            def canonical(self) -> bytes:
                return repr((self.kind != "bad", type(self.value).__name__, self.value)).encode()

        self.said = Said

    def reading(self) -> tuple[str, str, Any]:
        """Source, document, and the reading; None for a document that says nothing."""
        rng, source, twin, hour = self.rng, self.rng.choice("ab"), self.rng.choice(TWINS), self.rng.randrange(8, 12)
        fields, values = {}, {}
        for path, spelt in SPELT.items():
            if rng.random() < 0.5:
                fields[path], value = rng.choice([*spelt, *NOT_JSON] if rng.random() < 0.1 else spelt)
                unit = UNITS[source].get(path)
                values[path] = self.said("bad", None, unit) if value is None else self.said("good", value, unit)
            elif rng.random() < 0.3:
                fields[path] = "null"
        correction = rng.choice([0, 0, 1, 2**40, -3])
        fields |= {"id": json.dumps(twin, ensure_ascii=rng.random() < 0.5), "ts": f'"1970-01-01T{hour:02}:00:00"'}
        if correction or rng.random() < 0.5:
            fields["rev"] = str(correction)
        body = ",".join(f'"{name}":{text}' for name, text in rng.sample(list(fields.items()), len(fields)))
        said = self.laws.Reading(source, twin, hour * HOUR, tuple(sorted(values.items())), correction)
        return source, "{" + body + "}", said if values else None

    def packed(self, documents: list[str]) -> list[Payload]:
        """Documents in one of the forms in which they may come."""
        form = self.rng.choice(["array", "lines", "apart"])
        if form == "array" and not any(word in one for word in ("NaN", "Infinity") for one in documents):
            return [Payload(("[" + ",\n".join(documents) + "]").encode())]
        return [Payload("\n".join(documents).encode())] if form == "lines" else [Payload(one.encode()) for one in documents]


def check_state(platform: Opened, laws: Any, history: Any) -> None:
    """Every document shows the value, source, time and quality that the referee's does, and no more."""
    state, records = history.state(), history.history()
    shown = {one["$dtId"]: one for one in platform.state(facts=True)["value"]}
    for twin in TWINS:
        document = laws.document(state, twin, records)
        for path in SPELT:
            cell, note, value = state.get((twin, path, "observed")), shown[twin]["$metadata"].get(path), shown[twin].get(path)
            assert (cell is None) == (note is None), (twin, path)
            if cell is None:
                continue
            assert (note["sourceTime"], note["source"], note["quality"]) == (to_iso(cell[0]), cell[1], cell[2].kind), (twin, path)
            expected = document.get(path)
            if path == "p" and expected:  # shown in kPa, whoever measured it
                assert value in (pytest.approx(expected), pytest.approx(100 * expected))
            else:
                assert (type(value), value) == (type(expected), expected), (twin, path)


@pytest.mark.parametrize("seed", range(6))
def test_what_comes_out_is_what_the_referee_says(seed: int, tmp_path: Path) -> None:
    laws = referee()
    if laws is None:
        pytest.skip("the referee of the laws stands beside shared/data, which is not on this machine")
    rng = random.Random(seed)
    sender, history = Sender(laws, rng), laws.History()
    folder = write(tmp_path / "w", files(1, "UTC"))
    platform = twinwright.open(folder)
    try:
        platform.apply()
        pool = [sender.reading() for _ in range(20)]
        for _ in range(4):
            batch = [rng.choice(pool) for _ in range(rng.randrange(1, 12))]
            for source in "ab":
                mine = [one for one in batch if one[0] == source]
                if not mine:
                    continue
                receipt = platform.push(source, sender.packed([document for _, document, _ in mine]))
                before = history.accepted, history.duplicate
                history.ingest([said for _, _, said in mine if said is not None])
                assert (receipt.accepted, receipt.duplicate) == (history.accepted - before[0], history.duplicate - before[1])
                silent = sum(said is None for _, _, said in mine)
                assert dict(receipt.dead_lettered) == ({"missing_field": silent} if silent else {})
            if rng.random() < 0.5:
                platform.close()
                platform = twinwright.open(folder)
        check_state(platform, laws, history)
        assert platform.reconcile()["inconsistent"] == 0
        counts, facts = platform.kpi()["counts"], platform.state(facts=True)
        known, last = str(platform.status()["commit"]), history.commit

        write(folder, files(2, "Etc/GMT+1"))  # the same local times are an hour later
        platform.apply()
        for source in sorted({said.source for said, _ in history.sightings}):
            again = [said._replace(time=said.time + HOUR) for said, _ in history.sightings if said.source == source]
            history.replay(source, 1, last, 2, again)
        platform.replay()
        check_state(platform, laws, history)
        assert platform.state(facts=True, known_at=known) == facts
        assert platform.kpi()["counts"] == counts
    finally:
        platform.close()
