"""Law 10, honest validation: errors count on data that no fit of the lineage saw, at the first look, beside a naive baseline.

Each check takes the part that it guards as an argument. It passes for ours, and is shown to catch the broken ones in `mutants/`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mutating import variant

from twinwright.calibration import baseline, gate
from twinwright.calibration.dataset import Window
from twinwright.calibration.metrics import Metrics
from twinwright.calibration.parameter_sets import Look

MUTANTS = Path(__file__).parent / "mutants"
law = settings(derandomize=True, database=None, max_examples=300, deadline=None, report_multiple_bugs=False)

window = st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda pair: Window(pair[0], pair[0] + pair[1]))
lineages = st.lists(window, min_size=1, max_size=3)
histories = st.lists(window, max_size=5)


def looked_at(windows: list[Window]) -> list[Look]:
    """The looks at one set in their order; one is the first where no earlier one overlaps it."""
    return [
        Look("m", "t", one, "id", {"y": Metrics(rmse=1.0, skill=0.5)}, "persistence", not any(one.overlaps(w) for w in windows[:place]))
        for place, one in enumerate(windows)
    ]


def check_the_window_that_judges(evidence: Callable[..., Look | None]) -> None:
    """No moment of the window that judges was trained on by any set of the lineage, or looked at before."""

    @law
    @given(lineages, histories)
    def check(training: list[Window], windows: list[Window]) -> None:
        looks = looked_at(windows)
        picked = evidence(looks, training)
        if picked is None:
            return
        place = next(i for i, look in enumerate(looks) if look is picked)
        moments = range(picked.window.start, picked.window.end)
        assert not any(w.start <= moment < w.end for w in training for moment in moments)
        assert not any(w.start <= moment < w.end for w in windows[:place] for moment in moments)
        assert all(moment >= w.end for w in training for moment in moments)

    check()


def check_the_baseline(persistence: Callable[..., Any]) -> None:
    """What happens inside a window changes nothing of its baseline, as long as something was observed before it."""
    values = st.lists(st.integers(-9, 9), min_size=4, max_size=12)

    @law
    @given(values, values, st.integers(1, 3))
    def check(first: list[int], second: list[int], split: int) -> None:
        size = min(len(first), len(second))
        times = np.arange(size)
        observed = np.array(first[:size], dtype=float)
        otherwise = np.concatenate([observed[:split], np.array(second[split:size], dtype=float)])
        one = persistence(times, observed, split, size)
        other = persistence(times, otherwise, split, size)
        assert one.values.tolist() == other.values.tolist() == [observed[split - 1]] * (size - split)

    check()


def mutant(name: str) -> Any:
    return variant(MUTANTS / f"{name}.py")


def test_the_gate_judges_on_unseen_data_at_their_first_look():
    check_the_window_that_judges(gate.evidence)


@pytest.mark.parametrize("name", ["validation_overlapping_window", "validation_inside_training", "validation_repeated_look"])
def test_a_broken_gate_is_caught(name):
    with pytest.raises(AssertionError):
        check_the_window_that_judges(mutant(name).evidence)


def test_the_baseline_knows_nothing_of_the_window():
    check_the_baseline(baseline.persistence)


def test_a_baseline_that_looks_ahead_is_caught():
    with pytest.raises(AssertionError):
        check_the_baseline(mutant("validation_kind_baseline").persistence)
