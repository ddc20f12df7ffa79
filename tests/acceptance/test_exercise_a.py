"""Exercise A: telemetry with everything wrong in it gives one state, exact counts and honest freshness, however it arrives."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.acceptance import pumps
from tests.acceptance.pumps import LAB_HEADER, PUMP_HEADER, Reference, Row
from tests.acceptance.running import twinwright
from tests.storage.postgres_server import Server

import twinwright as tw
from twinwright.telemetry.payloads import Payload

ROWS, LAB = pumps.rows(7), pumps.lab_lines(11)
FORMATS: dict[str, Callable[[Sequence[Row]], str]] = {
    "json": lambda some: "".join(row.json() + "\n" for row in some),
    "csv": lambda some: "".join(line + "\n" for line in [PUMP_HEADER, *(row.csv() for row in some)]),
}


def lab_csv(lines: Sequence[str]) -> str:
    return "".join(line + "\n" for line in [LAB_HEADER, *lines])


def close(found: Any, expected: Any) -> None:
    """Equal, but for the last bits of numbers that were converted."""
    if isinstance(expected, dict):
        assert sorted(found) == sorted(expected)
        for key in expected:
            close(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            close(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-12)
    else:
        assert found == expected


class Load:
    """One workspace that is fed by `ingest`, and the reference that is fed the same."""

    def __init__(self, folder: Path, format: str = "json") -> None:
        self.folder, self.format = pumps.workspace(folder, format), format
        self.reference, self.receipts, self.files = Reference(), Counter[str](), 0

    def _ingest(self, contract: str, text: str) -> dict[str, Any]:
        self.files += 1
        path = self.folder / f"load-{self.files}"
        path.write_text(text)
        receipt: dict[str, Any] = twinwright("ingest", path, "--contract", contract, workspace=self.folder).good
        self.receipts.update({name: receipt[name] for name in ("received", "accepted", "duplicate")})
        self.receipts.update({f"dead {reason}": count for reason, count in receipt["dead_lettered"].items()})
        return receipt

    def pumps(self, some: Sequence[Row]) -> dict[str, Any]:
        self.reference.pumps(some)
        return self._ingest("pump", FORMATS[self.format](some))

    def lab(self, lines: Sequence[str]) -> dict[str, Any]:
        self.reference.lab(lines)
        return self._ingest("lab", lab_csv(lines))

    def facts(self) -> str:
        return twinwright("state", "--facts", workspace=self.folder).out

    def check(self) -> str:
        """Everything that is promised; the bytes of the facts."""
        expected = self.reference
        counts = {name: expected.counts[name] for name in ("received", "accepted", "duplicate")}
        assert self.receipts == Counter({**counts, **{f"dead {reason}": count for reason, count in expected.dead.items()}})
        kpi = twinwright("kpi", workspace=self.folder).good
        assert kpi["counts"] == expected.counts
        letters = twinwright("dead-letters", "list", workspace=self.folder).good
        assert letters["by_reason"] == dict(expected.dead)
        answer = twinwright("state", "--facts", workspace=self.folder)
        close(answer.good["value"], expected.documents())
        return answer.out


def arrivals() -> Iterator[tuple[str, Callable[[Load], None]]]:
    def shuffled(seed: int) -> Callable[[Load], None]:
        def feed(load: Load) -> None:
            rng = random.Random(seed)
            some, lines = rng.sample(ROWS, len(ROWS)), rng.sample(LAB, len(LAB))
            borders = sorted(rng.sample(range(1, len(some)), rng.randint(0, 4)))
            parts: list[Any] = [(load.pumps, some[a:b]) for a, b in zip([0, *borders], [*borders, len(some)], strict=True)]
            at = rng.randint(0, len(lines))
            parts += [(load.lab, part) for part in (lines[:at], lines[at:]) if part]
            parts += rng.choices(parts, k=rng.randint(0, 2))  # the same once more
            for take, part in rng.sample(parts, len(parts)):
                take(part)

        return feed

    def in_order(load: Load) -> None:
        load.pumps(ROWS)
        load.lab(LAB)

    def backwards(load: Load) -> None:
        load.lab(LAB[::-1])
        load.pumps(ROWS[::-1])

    def twice(load: Load) -> None:
        in_order(load)
        in_order(load)

    yield from {"in order": in_order, "backwards": backwards, "twice": twice}.items()
    yield from ((f"shuffled {seed}", shuffled(seed)) for seed in range(9))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The facts when everything arrives in order, as JSON lines."""
    load = Load(tmp_path_factory.mktemp("plain"))
    load.pumps(ROWS)
    load.lab(LAB)
    return load.check()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("name", "feed"), list(arrivals()), ids=lambda value: value if isinstance(value, str) else "")
def test_the_facts_are_the_same_bytes_for_any_order_split_format_and_repetition(
    name: str, feed: Callable[[Load], None], format: str, plain: str, tmp_path: Path
) -> None:
    load = Load(tmp_path, format)
    feed(load)
    assert load.check() == plain


@pytest.mark.parametrize("name", ["twice", "shuffled 3", "shuffled 7"])
def test_the_facts_are_the_same_bytes_where_postgres_keeps_them(
    name: str, plain: str, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"ENGINE": "postgres", "DSN": postgres.dsn(), "SCHEMA": postgres.schema()}
    for key, value in settings.items():
        monkeypatch.setenv(f"TWINWRIGHT_STORE__{key}", value)
    load = Load(tmp_path)
    dict(arrivals())[name](load)
    assert load.check() == plain
    assert not list(tmp_path.glob(".twinwright/store*"))


def test_the_data_of_this_exercise_has_every_fault_in_it() -> None:
    reference = Reference().pumps(ROWS).lab(LAB)
    reasons = {"malformed", "missing_field", "bad_time", "future_time", "bad_type", "out_of_range", "unknown_twin"}
    assert set(reference.dead) == reasons and reference.duplicate > 50 and len(reference.readings) > 250


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.tuples(st.lists(st.sampled_from(ROWS), max_size=12), st.lists(st.sampled_from(LAB), max_size=4)), min_size=1, max_size=4
    ),
    rng=st.randoms(use_true_random=False),
)
def test_any_batches_pushed_in_any_order_give_what_a_plain_fold_gives(
    batches: list[tuple[list[Row], list[str]]], rng: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Through the Python surface, each line a payload of its own or all of a batch together."""
    states = []
    for round in range(2):
        folder, reference = pumps.workspace(tmp_path_factory.mktemp("push")), Reference()
        platform = tw.open(folder)
        platform.apply()
        for some, lines in rng.sample(batches, len(batches)) if round else batches:
            if some:
                together = FORMATS["json"](some).encode()
                alone = [Payload(row.json().encode()) for row in some]
                receipt = platform.push("pump", alone if round else [Payload(together)])
                assert receipt.received == len(some)
                reference.pumps(some)
            if lines:
                assert platform.push("lab", [Payload(lab_csv(lines).encode())]).received == len(lines)
                reference.lab(lines)
        assert platform.kpi()["counts"] == reference.counts
        platform.close()
        states.append(twinwright("state", "--facts", workspace=folder).out)
        close(twinwright("state", "--facts", workspace=folder).json["value"], reference.documents())
    assert states[0] == states[1]


def test_history_has_one_value_of_each_key_and_is_bad_where_the_source_was(plain: str, tmp_path: Path) -> None:
    load = Load(tmp_path)
    load.lab(LAB)
    load.pumps(ROWS)
    for twin, path in (("pump-1", "pressure"), ("pump-2", "motor/speed"), ("pump-3", "mode"), ("pump-2", "temperature")):
        answer = twinwright("history", twin, path, workspace=tmp_path).good
        expected = load.reference.series(twin, path)
        assert list(zip(answer["times"], answer["source"], strict=True)) == [(when, source) for when, _, source in expected]
        close(answer["values"], [value for _, value, _ in expected])
        assert answer["quality"] == ["bad" if value is None else "good" for _, value, _ in expected]


def test_freshness_is_the_age_of_the_newest_event_of_each_contract(tmp_path: Path) -> None:
    load = Load(tmp_path)
    load.pumps(ROWS)
    load.lab(LAB)
    before = time.time()
    kpi = twinwright("kpi", workspace=tmp_path).good
    after = time.time()
    for contract, newest in load.reference.newest.items():
        entry = kpi[f"freshness.{contract}"]
        assert before - newest.timestamp() <= entry["value"] <= after - newest.timestamp()
        assert (entry["unit"], entry["target"], entry["met"]) == ("s", 300.0, False)
    shares = load.reference.counts
    assert kpi["dead_letter_share"]["value"] == pytest.approx(shares["dead_lettered"] / shares["received"])


def test_a_correction_to_a_smaller_value_wins_whenever_it_arrives(tmp_path: Path) -> None:
    base = {"n": 1, "ts": "2026-03-01T08:00:00Z", "rev": 0, "p_bar": 9.0, "rpm": None, "m": None, "starts": None}
    first, smaller = Row(tuple(base.items())), Row(tuple({**base, "rev": 1, "p_bar": 2.0}.items()))
    for order in ([first, smaller], [smaller, first]):
        load = Load(tmp_path / f"{order[0].fields[2][1]}")
        for row in order:
            assert load.pumps([row])["accepted"] == 1
        assert twinwright("state", "pump-1", workspace=load.folder).good["pressure"] == 200.0
        assert twinwright("history", "pump-1", "pressure", workspace=load.folder).good["values"] == [200.0]


def test_what_is_refused_is_kept_whole_and_is_accepted_once_its_twin_is_declared(tmp_path: Path) -> None:
    load = Load(tmp_path)
    load.pumps(ROWS)
    listed = twinwright("dead-letters", "list", "--reason", "unknown_twin", workspace=tmp_path).good
    assert listed["total"] == load.reference.dead["unknown_twin"] == len(listed["items"])
    texts = {row.json() for row in ROWS}
    assert {item["payload"] for item in listed["items"]} <= texts
    whole = twinwright("dead-letters", "show", str(listed["items"][0]["id"]), workspace=tmp_path).good
    assert (whole["reason"], whole["contract"], whole["revision"], whole["status"]) == ("unknown_twin", "pump", 1, "open")
    twins = tmp_path / "twins.yaml"
    twins.write_text(twins.read_text() + f"  - {{$dtId: pump-4, $metadata: {{$model: '{pumps.MODEL}'}}}}\n")
    assert twinwright("apply", workspace=tmp_path).good["breaking"] is False
    again = twinwright("dead-letters", "retry", workspace=tmp_path).good
    assert again["received"] == again["accepted"] + again["duplicate"] == listed["total"]
    assert again["still_refused"] == sum(load.reference.dead.values()) - listed["total"]
    counts = twinwright("kpi", workspace=tmp_path).good["counts"]
    assert counts == {
        "received": load.reference.received,
        "accepted": len(load.reference.readings) + again["accepted"],
        "duplicate": load.reference.duplicate + again["duplicate"],
        "dead_lettered": again["still_refused"],
    }
    assert twinwright("state", "pump-4", workspace=tmp_path).good["pressure"] >= 0
