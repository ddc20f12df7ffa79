from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinwright.calibration.dataset import Window
from twinwright.calibration.gate import Policy, acceptance, evidence, refusal, worse_than
from twinwright.calibration.metrics import Metrics
from twinwright.calibration.parameter_sets import Look

HOUR = 3_600_000_000


def hours(start: float, end: float) -> Window:
    return Window(round(start * HOUR), round(end * HOUR))


def body(training=(0, 7), holdout=(7, 10), digest="d", stuck=(), parent=None):
    names = ("tau", "gain", "x0")
    return {
        "artefact_digest": digest,
        "training": hours(*training).as_json(),
        "holdout": hours(*holdout).as_json() if holdout else None,
        "parameters": {name: {"at_bound": name in stuck, "per": "run" if name == "x0" else None} for name in names},
        "parent": parent,
    }


def look(start=7, end=10, *, first=True, skill=0.5, rmse=1.0) -> Look:
    return Look("m", "t", hours(start, end), "id", {"y": Metrics(rmse=rmse, skill=skill, count=9)}, "persistence: held", first)


def refused(lineage=None, looks=None, digest="d", **policy) -> str | None:
    return refusal([body()] if lineage is None else lineage, [look()] if looks is None else looks, digest, Policy(**policy))


def test_the_fits_own_holdout_counts_at_its_first_look():
    assert refused() is None


def test_a_changed_artefact_is_refused():
    assert "artefact has changed" in refused(digest="other")


def test_no_holdout_is_refused_even_with_newer_evidence():
    assert "no holdout was kept" in refused([body(holdout=None)], [look(20, 22)])


def test_a_parameter_at_its_bound_is_refused_unless_the_policy_allows_it():
    assert "tau ended at a bound" in refused([body(stuck=("tau",))])
    assert refused([body(stuck=("tau",))], allow_at_bound=True) is None


def test_where_a_run_begins_may_lie_at_a_bound():
    assert refused([body(stuck=("x0",))]) is None


def test_a_second_look_at_the_holdout_is_no_evidence():
    reason = refused(looks=[look(first=False)])
    assert "had been looked at before" in reason
    assert "from 1970-01-01T10:00:00Z on" in reason, "says from when data would do"


def test_newer_data_are_evidence_after_the_holdout_was_spent():
    assert refused(looks=[look(first=False), look(10, 12)]) is None


def test_a_window_that_an_ancestor_was_trained_on_is_no_evidence():
    assert refused([body(), body(training=(5, 9))]) is not None
    assert refused([body(), body(training=(5, 9))], [look(), look(10, 12)]) is None


def test_the_newest_evidence_decides():
    assert "does not beat the baseline" in refused(looks=[look(), look(10, 12, skill=-0.1)])


@pytest.mark.parametrize(("skill", "words"), [(0.0, "does not beat"), (None, "not known"), (-2.0, "-2.000")])
def test_without_skill_over_the_baseline_it_is_refused(skill, words):
    assert words in refused(looks=[look(skill=skill)])


def test_a_policy_may_ask_for_more_skill():
    assert "needed more than 0.6" in refused(min_skill=0.6)


def test_the_promoted_set_must_not_be_better_on_the_same_window():
    assert "RMSE of y 1 against 0.9" in worse_than(look(), {"y": Metrics(rmse=0.9)}, "a" * 64)
    assert worse_than(look(), {"y": Metrics(rmse=1.0)}, "a" * 64) is None
    assert worse_than(look(), {"other": Metrics(rmse=0.1)}, "a" * 64) is None


def test_a_yes_says_on_what_it_rests():
    assert acceptance(look()) == (
        "skill y 0.500 over persistence on 1970-01-01T07:00:00Z to 1970-01-01T10:00:00Z, which no fit of its lineage saw"
    )


windows = st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda pair: hours(pair[0], pair[0] + pair[1]))


@given(st.lists(windows, min_size=1, max_size=4), st.lists(st.tuples(windows, st.booleans()), max_size=5))
def test_no_set_is_promoted_on_a_window_that_overlaps_training_or_was_looked_at(training, seen):
    looks = [Look("m", "t", window, "id", {"y": Metrics(rmse=1.0, skill=0.9)}, "persistence", first) for window, first in seen]
    lineage = [{**body(), "training": window.as_json()} for window in training]
    honest = [one for one in looks if one.first and all(one.window.start >= window.end for window in training)]
    assert (refusal(lineage, looks, "d", Policy()) is None) == bool(honest)
    picked = evidence(looks, training)
    assert picked is (honest[-1] if honest else None)
    assert picked is None or not any(picked.window.overlaps(window) for window in training)
