"""Reports: self-contained, escaped, and honest in their headline."""

from __future__ import annotations

import builtins
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from twinwright.calibration import plots
from twinwright.calibration.plots import Track, comparison, correlogram, residuals
from twinwright.clock import SECOND, from_iso
from twinwright.errors import MissingExtraError
from twinwright.governance.principals import LOCAL_ADMIN

START = from_iso("2026-03-01T08:00:00Z")
HOSTILE = "<script>alert('tau')</script>"


class Outline(HTMLParser):
    """What a browser would fetch, run or number from a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "srcset", "action", "data") or name.startswith("on"):
                self.references.append(value)

    def handle_data(self, data):
        self.text.append(data)


def outline(path: str) -> Outline:
    found = Outline()
    found.feed(Path(path).read_text(encoding="utf-8"))
    return found


@pytest.fixture
def report(service, observe_lag):
    def make(**options) -> dict:
        observe_lag()
        return service.calibrate(LOCAL_ADMIN, "lag", twin="lag-1", **{"starts": 2, **options})

    return make


def test_a_report_fetches_and_runs_nothing(report):
    page = outline(report()["report"])
    assert all(reference.startswith("#") for reference in page.references)
    assert not {"script", "link", "iframe", "img", "object", "embed", "base", "form"} & set(page.tags)
    style = re.findall(r"url\(([^)]*)\)", Path(report()["report"]).read_text(encoding="utf-8"))
    assert all(target.startswith("#") for target in style)
    assert "@import" not in Path(report()["report"]).read_text(encoding="utf-8")


def test_every_id_is_used_once_and_every_reference_has_its_target(report):
    page = outline(report()["report"])
    assert len(page.ids) == len(set(page.ids))
    assert {reference[1:] for reference in page.references} <= set(page.ids)


def test_the_headline_says_what_was_found_in_plain_words(report):
    text = " ".join(outline(report()["report"]).text)
    assert "Better than a naive guess on data the fit did not see: its typical error in level is 0." in text
    assert "for holding the last value (skill 0." in text


def test_without_a_holdout_the_headline_says_not_validated(report):
    text = " ".join(outline(report(holdout=0)["report"]).text)
    assert "Not validated: its typical error" in text
    assert "no holdout was kept" in text


def test_a_model_worse_than_persistence_is_called_so(service, observe_lag):
    observe_lag()
    found = service.validate(LOCAL_ADMIN, "lag", twin="lag-1", start=START + 200 * SECOND, end=START + 260 * SECOND)
    text = " ".join(outline(found["report"]).text)
    assert found["metrics"]["skill"] < 0
    assert "No better than a naive guess: on this window" in text


def test_a_report_has_its_parts(report):
    found = report()
    page = outline(found["report"])
    text = " ".join(page.text)
    parts = ("Parameters", "Errors", "Warnings", "Assumptions of the model", "Where it comes from", "Holdout", "95 % interval", "Baseline")
    for part in (*parts, found["id"], "one time constant is enough", "level: autocorrelation of the error"):
        assert part in text, part
    assert page.tags.count("svg") == 6, "three figures, each for a desk and for a telephone"


def test_a_validation_has_its_report_too(report, service):
    found = report()
    validation = service.validate(LOCAL_ADMIN, "lag", twin="lag-1", start=START + 500 * SECOND, parameters=found["id"])
    text = " ".join(outline(validation["report"]).text)
    assert "Validation of lag on lag-1" in text
    assert validation["id"] in text
    assert "to estimate how the run begins" in text


def test_all_text_is_escaped(service, observe_lag, model_definition):
    observe_lag()
    lag = model_definition("lag")
    hostile = replace(
        lag,
        version=HOSTILE,
        assumptions=(HOSTILE,),
        outputs=(replace(lag.outputs[0], name=HOSTILE, state="level"),),
    )
    found = replace(service, model=lambda name: hostile).calibrate(LOCAL_ADMIN, "lag", twin="lag-1", starts=1)
    page = outline(found["report"])
    assert "script" not in page.tags
    assert HOSTILE in "".join(page.text)


def test_without_matplotlib_a_fit_still_works_and_says_what_is_missing(report, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    found = report()
    assert found["report"] is None
    assert any("twinwright[report]" in warning for warning in found["warnings"])
    with pytest.raises(MissingExtraError):
        comparison(track())


def track(count: int = 50, *, gap: bool = False, unit: str | None = "kPa", kept: bool = True) -> Track:
    times = START + SECOND * np.arange(count)
    if gap:
        times[count // 2 :] += 3600 * SECOND
    wave = np.sin(np.arange(count) / 5.0)
    return Track("p", unit, times, wave, wave + 0.1, wave - 0.2, wave + 0.4, int(times[count // 2]) if kept else None)


@pytest.mark.parametrize("draw", [comparison, residuals, correlogram])
def test_figures_are_svg_in_the_colours_of_the_page(draw):
    markup = draw(track())
    for svg in re.findall(r"<svg.*?</svg>", markup, re.DOTALL):
        root = ElementTree.fromstring(svg)
        assert root.get("viewBox")
        assert root.get("width") is None, "it takes the width of the page"
        assert root.get("role") == "img"
        assert root.get("aria-label").startswith("p: ")
    assert "var(--simulated)" in markup
    assert "#00000" not in markup
    assert "metadata" not in markup


def test_what_the_fit_did_not_see_is_shaded():
    assert "var(--kept)" in comparison(track())
    assert "var(--kept)" not in comparison(track(kept=False))


def test_a_gap_in_the_observations_breaks_the_line():
    whole, broken = plots._broken(track().times, track().observed), plots._broken(track(gap=True).times, track(gap=True).observed)
    assert not np.isnan(whole[1]).any()
    assert np.isnan(broken[1]).sum() == 1


def test_a_long_series_is_thinned_without_losing_its_peaks():
    values = np.zeros(100_000)
    values[77_777], values[33_333] = 9.0, -9.0
    kept = plots._thin(values)
    assert kept.size <= plots.MAX_POINTS
    assert {77_777, 33_333} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()


def test_a_unit_with_a_dollar_is_text():
    assert "$/h" in comparison(track(unit="$/h"))
