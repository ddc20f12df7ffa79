"""The gate before promotion: a pure function from what is known of a parameter set to yes or no, with the reason.

It judges on one window only: the newest one at which the set was looked at *before anyone had looked at it for this model*, and that is
younger than every training window of the set's lineage. So the fit's own holdout counts at its first look; afterwards only newer data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinwright.calibration.dataset import Window
from twinwright.calibration.metrics import Metrics
from twinwright.calibration.parameter_sets import Look, window_of
from twinwright.clock import to_iso


@dataclass(frozen=True, slots=True)
class Policy:
    """What a promotion must meet. `allow_at_bound` lets pass a parameter that ended at its bound."""

    min_skill: float = 0.0
    allow_at_bound: bool = False

    def as_json(self) -> dict[str, Any]:
        return {"min_skill": self.min_skill, "allow_at_bound": self.allow_at_bound}


DEFAULT_POLICY = Policy()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's answer, with the reason in plain words."""

    promoted: bool
    reason: str


def training_windows(lineage: Sequence[Mapping[str, Any]]) -> list[Window]:
    """The training window of a set and of each of its ancestors."""
    return [window_of(body["training"]) for body in lineage]


def evidence(looks: Sequence[Look], training: Sequence[Window]) -> Look | None:
    """The newest first look at a window younger than every training window; None without one. `looks` are oldest first."""
    youngest = max(window.end for window in training)
    honest = [look for look in looks if look.first and look.window.start >= youngest]
    return honest[-1] if honest else None


def refusal(lineage: Sequence[Mapping[str, Any]], looks: Sequence[Look], artefact_digest: str, policy: Policy) -> str | None:
    """Why a set can't be promoted whatever is promoted now; None where nothing stands against it.

    `lineage` has the set first and then its ancestors, `artefact_digest` is of the model as it is now.
    """
    body = lineage[0]
    if body["artefact_digest"] != artefact_digest:
        return "the model's artefact has changed since the fit: calibrate again"
    if body["holdout"] is None:
        return "no holdout was kept (--holdout 0): its errors are known only on the data it was fitted to"
    stuck = [name for name, one in body["parameters"].items() if one.get("at_bound") and one.get("per") != "run"]
    if stuck and not policy.allow_at_bound:
        return f"{', '.join(stuck)} ended at a bound: widen the bounds if that is physical, or allow it by policy"
    training = training_windows(lineage)
    judged = evidence(looks, training)
    if judged is None:
        after = max([*(window.end for window in training), *(look.window.end for look in looks)])
        return (
            "the holdout had been looked at before, or is not younger than every training window of the lineage: "
            f"validate it on data from {to_iso(after)} on, then promote"
        )
    return _against_baseline(judged, policy)


def _against_baseline(judged: Look, policy: Policy) -> str | None:
    for output, metrics in judged.metrics.items():
        if metrics.skill is None:
            return f"the skill of {output} on {judged.window} is not known: its baseline ({judged.baseline}) has no error to compare with"
        if metrics.skill <= policy.min_skill:
            return (
                f"it does not beat the baseline on {judged.window}: skill of {output} {metrics.skill:.3f}, "
                f"needed more than {policy.min_skill:g} ({judged.baseline})"
            )
    return None


def worse_than(judged: Look, incumbent: Mapping[str, Metrics], incumbent_id: str) -> str | None:
    """Why a set loses against the promoted one on the same window; None where it is at least as good on every output."""
    for output, metrics in judged.metrics.items():
        other = incumbent.get(output)
        if other is not None and other.rmse is not None and metrics.rmse is not None and metrics.rmse > other.rmse:
            return (
                f"it is worse than the promoted set {incumbent_id[:12]} on {judged.window}: "
                f"RMSE of {output} {metrics.rmse:.4g} against {other.rmse:.4g}"
            )
    return None


def acceptance(judged: Look) -> str:
    """The reason of a yes."""
    skills = ", ".join(f"{output} {metrics.skill:.3f}" for output, metrics in judged.metrics.items())
    return f"skill {skills} over {judged.baseline.split(':')[0]} on {judged.window}, which no fit of its lineage saw"
