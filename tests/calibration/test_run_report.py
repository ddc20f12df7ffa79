"""The page of a run: self-contained, escaped, and honest in its headline."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.calibration.test_report import HOSTILE, Outline
from tests.simulation.conftest import MemoryHistory, MemoryRecords
from tests.simulation.kinds import function

from twinwright.calibration.run_report import run_report
from twinwright.clock import ManualClock, from_iso
from twinwright.documents import Problems, parse_text
from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.simulation.run_files import StoredRun
from twinwright.simulation.scenario import parse_scenario
from twinwright.simulation.service import SimulationService

SCENARIO = """
name: what-if
model: one
twin: pump-1
from: 2026-03-01T08:00:00Z
horizon: PT30S
inputs: {u: {constant: 2}}
constraints: ["y < 100 V", "y < 40 V"]
"""


@pytest.fixture
def stored(tmp_path: Path):
    service = SimulationService(MemoryHistory(), MemoryRecords(), tmp_path / "runs", ManualClock(from_iso("2026-03-01T10:00:00Z")))

    def run(body: str = "return (t * u[0],)", scenario: str = SCENARIO) -> StoredRun:
        model = function(body, outputs="{y: {unit: V}}", assumptions="[it grows without end]")
        problems = Problems()
        document = parse_text(scenario, "scenarios/s.yaml", problems)
        asked = parse_scenario(document, problems, tmp_path)
        assert asked is not None, problems.items
        answer = service.simulate(LOCAL_ADMIN, asked, model)
        return service.runs.load(LOCAL_ADMIN, answer["runs"][0]["id"])

    return run


def outline(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    return found


def test_it_shows_the_numbers_the_constraints_and_where_they_come_from(stored) -> None:
    run = stored()
    text = run_report(run)
    page = outline(text)
    shown = " ".join(page.text)
    assert "It came to its end, but y < 40 V is violated from 2026-03-01T08:00:20Z." in shown
    for said in ("60 V", "it grows without end", run.id, run.record["digest"], "20 V at 2026-03-01T08:00:30Z", "twinwright runs verify"):
        assert said in shown, said
    assert page.tags.count("svg") == 4  # the output and the input, for a desk and for a telephone
    assert all(one.startswith("#") for one in page.references), "nothing is fetched"
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert len(page.ids) == len(set(page.ids))


def test_a_run_that_kept_all_is_told_so_and_one_that_failed_too(stored) -> None:
    kept = stored(scenario=SCENARIO.replace(', "y < 40 V"', ""))
    assert '<p class="verdict good">It came to its end and kept its constraint.' in run_report(kept)
    failed = run_report(stored("raise ValueError('no water')"))
    assert '<p class="verdict bad">It failed (raised): ' in failed
    assert "no water" in failed
    assert "<svg" not in failed.split("Input u")[0]


def test_names_and_texts_of_others_are_escaped(stored) -> None:
    run = stored()
    hostile = msgspec.structs.replace(
        run, own={**run.own, "scenario": HOSTILE, "twin": HOSTILE, "assumptions": [HOSTILE], "warnings": [HOSTILE]}, log=HOSTILE
    )
    page = outline(run_report(hostile))
    assert "script" not in page.tags
    assert " ".join(page.text).count(HOSTILE) >= 5


def test_the_same_run_gives_the_same_page(stored) -> None:
    run = stored()
    assert run_report(run) == run_report(run)
    moved = msgspec.structs.replace(run, outputs=np.asarray(run.outputs) * 1.01)
    assert run_report(moved) != run_report(run)
