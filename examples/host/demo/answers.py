"""What the platform has to say once it has been fed: receipts beside the relay's own count, the model, the what-if, its health."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from demo.feed import TWIN
from demo.relay import Tally
from demo.screen import Screen
from demo.stage import EXAMPLE, Work
from twinwright.platform.opened import Opened

KERNEL_SECONDS = 60  # what the kernel's source says; printed beside the result, and known to nothing that makes it
DRAIN_SECONDS = 30.0


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def receipts(screen: Screen, tw: Opened, tally: Tally) -> bool:
    """The platform's counts beside the relay's; whether all are equal."""
    screen.step(
        "Receipts", "received = accepted + duplicate + refused: nothing lost, nothing counted twice, every refusal with its reason."
    )
    deadline = time.monotonic() + DRAIN_SECONDS
    while (counts := tw.kpi()["counts"])["received"] < tally.received and time.monotonic() < deadline:
        time.sleep(0.1)
    by_reason = tw.dead_letters(limit=1)["by_reason"]
    rows = [
        ["received", tally.received, counts["received"]],
        ["accepted", tally.accepted, counts["accepted"]],
        ["duplicate", tally.duplicate, counts["duplicate"]],
        ["refused", tally.refused.total(), counts["dead_lettered"]],
    ]
    reasons = sorted({*tally.refused, *by_reason})
    rows += [[f"  {reason}", tally.refused[reason], by_reason.get(reason, 0)] for reason in reasons]
    rows = [[*row, row[1] == row[2]] for row in rows]
    screen.table(["readings", "relay", "platform", "equal"], rows)
    exact = all(row[-1] for row in rows)
    screen.say("Exactly those that the relay made." if exact else "THEY DIFFER: the platform or the demo has an error.")
    return exact


def model(screen: Screen, tw: Opened, results: Path, work: Work, holdout: float) -> bool:
    """Calibrate, validate, promote, ask; whether the answer repeats byte for byte."""
    series = {path: _series(tw, path) for path in ("active", "load1")}
    _judge_excitation(screen, series, work)
    fit = _fit(screen, tw, holdout)
    if fit["report"]:
        shutil.copy(fit["report"], results / "demo-report.html")
    promoted = _gate(screen, tw, fit["id"])
    return _what_if(screen, tw, series, None if promoted else fit["id"])


def health(screen: Screen, tw: Opened) -> None:
    """The KPI table."""
    screen.step(
        "How the platform is",
        "Each figure has a target. The relay saw to it that too much is refused; the feed has ended, so freshness grows.",
    )
    kpis = {name: one for name, one in tw.kpi().items() if name != "counts"}
    screen.table(["kpi", "value", "unit", "target", "met"], [[n, k["value"], k["unit"], k["target"], k["met"]] for n, k in kpis.items()])


def _series(tw: Opened, path: str) -> tuple[list[str], np.ndarray[Any, np.dtype[np.float64]]]:
    found = tw.history(TWIN, path)
    return [time.isoformat() for time in found["times"].to_pylist()], found["values"].to_numpy()  # what is missing is NaN there


def _judge_excitation(screen: Screen, series: Mapping[str, Any], work: Work) -> None:
    """Say so where the counts are not of this machine, or others keep it busy."""
    active, load = series["active"][1], series["load1"][1]
    quiet, busy = np.quantile(active, [0.2, 0.8])
    rise = busy - quiet
    if rise < work.count / 2:
        screen.say(
            f"Of {work.count} busy processes {rise:.1f} showed: the counts here are not of this machine alone; the fit is worth less."
        )
    elif np.ptp(load) < 0.05 * work.count:
        screen.say("The load average did not follow the work: it is another host's; the fit is worth nothing.")
    elif quiet > work.count / 4:
        screen.say(f"Other programs kept some {quiet:.1f} tasks busy meanwhile: what is found below is less certain for it.")


def _fit(screen: Screen, tw: Opened, holdout: float) -> dict[str, Any]:
    why = "Errors are quoted on data that the fit did not see, beside a baseline that anyone could have: persistence."
    screen.step("The load average as a lag of the active tasks: which time constant?", why)
    fit = tw.calibrate("load", twin=TWIN, holdout=holdout)
    tau = fit["parameters"]["tau"]
    known = tau["low"] is not None and tau["high"] is not None
    interval = f"95 % between {tau['low']:.1f} and {tau['high']:.1f} s" if known else "without an interval"
    screen.say(f"time constant {tau['value']:.1f} s ({interval}); the kernel's source says {KERNEL_SECONDS} s, and nobody told the model.")
    metrics = fit["metrics"]
    rows = [
        ["on the first part, which was fitted", metrics["train"]["rmse"]],
        ["on the rest, which was not seen", metrics["holdout"]["rmse"]],
        ["persistence on the rest", metrics["baseline"]["rmse"]],
    ]
    screen.table(["error (RMSE, tasks)", "load1"], rows)
    for warning in fit["warnings"]:
        screen.say(f"note: {warning}")
    return fit


def _gate(screen: Screen, tw: Opened, id: str) -> bool:
    screen.step("The gate", "Only parameters that were judged on unseen data, and beat the baseline there, may be used as promoted.")
    verdict = tw.promote("load", id)
    screen.say(f"{'promoted' if verdict['promoted'] else 'not promoted'}: {verdict['reason']}")
    return bool(verdict["promoted"])


def _what_if(screen: Screen, tw: Opened, series: Mapping[str, Any], parameters: str | None) -> bool:
    screen.step(
        "What if there had been twice the work, for five minutes?",
        "A scenario file is a question; the answer is a run that can be repeated.",
    )
    scenario = yaml.safe_load((EXAMPLE / "scenarios" / "twice-the-work.yaml").read_text(encoding="utf-8"))
    scenario["from"] = series["load1"][0][0]
    if parameters is not None:
        scenario["parameters"] = parameters
    runs = tw.simulate(scenario)["runs"]
    failed = [run for run in runs if run["status"] != "ok"]
    if failed:
        screen.say(f"the run failed: {failed[0]['failure']}")
        return False
    loads = [run["outputs"]["load1"]["values"].to_pylist() for run in runs]
    screen.table(
        ["load average", "highest", "after 5 min"],
        [[n, max(v), v[-1]] for n, v in zip(("as it was", "twice the work"), loads, strict=True)],
    )
    for text in _assumed(runs):
        screen.say(f"assumed: {text}")
    verdict = tw.verify_run(runs[-1]["id"])
    screen.say(
        f"runs verify {runs[-1]['id'][:12]}: "
        + ("repeated in another process, equal byte for byte" if verdict["verified"] else verdict["reason"])
    )
    return bool(verdict["verified"])


def _assumed(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    kept = [text for run in runs for text in run.get("warnings") or []]
    return list(dict.fromkeys(["the recorded counts of tasks are replayed, times two", *kept]))
