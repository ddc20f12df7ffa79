"""`calibrate`, `validate` and `promote`: what the commands, the Python interface and REST call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinwright.calibration import gate
from twinwright.calibration.calibrate import calibrate, parameter_set
from twinwright.calibration.dataset import Window, build
from twinwright.calibration.estimate import SearchOptions
from twinwright.calibration.evaluation import OutputErrors
from twinwright.calibration.metrics import Metrics
from twinwright.calibration.parameter_sets import Look, ParameterSets, content_id
from twinwright.calibration.report import calibration_report, validation_report
from twinwright.calibration.validate import known_of, validate, validation_body
from twinwright.clock import Clock, to_iso
from twinwright.errors import MissingExtraError, UsageError
from twinwright.governance.principals import Principal
from twinwright.simulation.child import Limits
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import ModelError
from twinwright.storage.records import RecordStore
from twinwright.twins.series import SeriesReader

DECLARED = "declared"  # the values of the model file, where an id of a parameter set is asked for


@dataclass(frozen=True, slots=True)
class CalibrationService:
    """Fits models to history, judges them, and promotes what passes the gate.

    `model` gives a definition by name (raising NotFoundError); reports are written into `reports`; model code runs within `limits`.
    """

    reader: SeriesReader
    records: RecordStore
    clock: Clock
    reports: Path
    model: Callable[[str], ModelDefinition]
    limits: Limits = field(default_factory=Limits)
    sets: ParameterSets = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sets", ParameterSets(self.records))

    def calibrate(
        self,
        principal: Principal,
        model: str,
        *,
        twin: str,
        start: int | None = None,
        end: int | None = None,
        holdout: float = 0.3,
        only: Sequence[str] | None = None,
        parameters: str | None = None,
        starts: int = 8,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Fit a model to a window (microseconds) and store a parameter set; its body with `id` and the path of its `report`.

        `holdout` is the share of the time, at its end, that the fit doesn't see; `only` names what to estimate; `parameters` is the
        set to start from. Raises UsageError (too few data, unknown names), NotFoundError, ForbiddenError, ModelError.
        """
        principal.require_write()
        if not 0 <= holdout <= 0.9:
            raise UsageError(f"a holdout of {holdout:g}", where="holdout", remedy="Give a share from 0 (none) to 0.9")
        if starts < 1:
            raise UsageError(f"{starts} starts", where="starts", remedy="Give 1 or more")
        definition = self.model(model)
        parent = None if parameters in (None, DECLARED) else self._set(principal, definition, parameters)
        values = known_of(definition, parent).values
        dataset = build(self.reader, principal, definition, twin, start, end).split(holdout)
        options = SearchOptions(starts=starts, seed=seed)
        found = calibrate(definition, dataset, values, only, options, self.limits)
        body = parameter_set(definition, found, values, parent=_id(parent), only=only, options=options)
        earlier = self.sets.looks(principal, definition.name, twin, dataset.judged) if dataset.judged else 0
        body |= {"looks": earlier + 1 if dataset.judged else 0, "created": to_iso(self.clock.now()), "by": principal.name}
        if found.holdout is not None and dataset.judged is not None:
            # counted before it is shown: a look that is not on record could be repeated for ever
            self._look(principal, definition.name, twin, dataset.judged, content_id(body), found.holdout, earlier)
        stored = self.sets.save(principal, body)
        return self._with_report(stored, stored["id"], lambda: calibration_report(stored, found))

    def validate(
        self,
        principal: Principal,
        model: str,
        *,
        twin: str,
        start: int | None = None,
        end: int | None = None,
        parameters: str | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Judge a parameter set (default: the promoted one, else the declared values) on a window; what was found, with its report.

        Raises UsageError, NotFoundError, ForbiddenError, ModelError.
        """
        principal.require_write()
        definition = self.model(model)
        chosen = self.sets.promoted(principal, model) if parameters is None else None
        if parameters not in (None, DECLARED):
            chosen = self._set(principal, definition, parameters)
        options = SearchOptions(starts=4, seed=seed)
        found = validate(self.reader, principal, definition, twin, start, end, known_of(definition, chosen), options, self.limits)
        training = gate.training_windows(self.sets.lineage(principal, chosen)) if chosen else []
        body = validation_body(definition, found, chosen, not any(window.overlaps(found.window) for window in training))
        earlier = self.sets.looks(principal, definition.name, twin, found.window)
        self._look(principal, definition.name, twin, found.window, _id(chosen), found.judged, earlier)
        body |= {"looks": earlier + 1, "created": to_iso(self.clock.now()), "by": principal.name}
        stored = self.sets.save_validation(principal, body)
        return self._with_report(stored, f"validation-{stored['id']}", lambda: validation_report(stored, found, chosen))

    def promote(self, principal: Principal, model: str, id: str, *, policy: gate.Policy = gate.DEFAULT_POLICY) -> dict[str, Any]:
        """Make a set the one that `parameters: promoted` means, if the gate lets it pass: `promoted`, `reason`, `parameter_set`.

        Raises NotFoundError, and ForbiddenError for anyone but an administrator.
        """
        principal.require_admin()
        definition = self.model(model)
        body = self._set(principal, definition, id)
        lineage, looks = self.sets.lineage(principal, body), self.sets.looks_of(principal, body)
        verdict = self._verdict(principal, definition, lineage, looks, policy)
        if verdict.promoted:
            record = {"parameter_set": body["id"], "reason": verdict.reason, "policy": policy.as_json()}
            self.sets.promote(principal, model, {**record, "at": to_iso(self.clock.now()), "by": principal.name})
        return {"promoted": verdict.promoted, "reason": verdict.reason, "parameter_set": body["id"]}

    def _verdict(
        self,
        principal: Principal,
        definition: ModelDefinition,
        lineage: Sequence[Mapping[str, Any]],
        looks: Sequence[Look],
        policy: gate.Policy,
    ) -> gate.Verdict:
        refused = gate.refusal(lineage, looks, definition.artefact_digest, policy)
        judged = gate.evidence(looks, gate.training_windows(lineage))
        if refused is not None or judged is None:
            return gate.Verdict(False, refused or "there is no window that judges it")
        incumbent = self.sets.promoted(principal, definition.name)
        if incumbent is None or incumbent["id"] == lineage[0]["id"]:
            return gate.Verdict(True, gate.acceptance(judged))
        if incumbent["artefact_digest"] != definition.artefact_digest:
            return gate.Verdict(True, gate.acceptance(judged) + "; the promoted set is of another artefact and can't be compared")
        try:
            metrics = self._on_window(principal, definition, incumbent, judged)
        except ModelError as error:
            return gate.Verdict(True, f"{gate.acceptance(judged)}; the promoted set fails there ({error.kind})")
        worse = gate.worse_than(judged, metrics, incumbent["id"])
        return gate.Verdict(worse is None, worse or f"{gate.acceptance(judged)}, and no worse there than the promoted set")

    def _on_window(self, principal: Principal, definition: ModelDefinition, body: Mapping[str, Any], judged: Look) -> dict[str, Metrics]:
        """The promoted set's errors on the window that judges its challenger; no look, since nothing is chosen by them but yes or no."""
        window, known = judged.window, known_of(definition, body)
        options = SearchOptions(starts=4)
        found = validate(self.reader, principal, definition, judged.twin, window.start, window.end, known, options, self.limits)
        return {name: one.metrics for name, one in found.judged.items()}

    def _set(self, principal: Principal, definition: ModelDefinition, id: str | None) -> dict[str, Any]:
        return self.sets.get(principal, id or "", model=definition.name)

    def _look(
        self,
        principal: Principal,
        model: str,
        twin: str,
        window: Window,
        set_id: str | None,
        judged: Mapping[str, OutputErrors],
        earlier: int,
    ) -> None:
        metrics = {name: one.metrics for name, one in judged.items()}
        baseline = next(iter(judged.values())).baseline.name
        look = Look(model, twin, window, set_id, metrics, baseline, first=earlier == 0)
        self.sets.record_look(principal, look, to_iso(self.clock.now()))

    def _with_report(self, body: dict[str, Any], name: str, render: Callable[[], str]) -> dict[str, Any]:
        """The body with the path of its report; without the extra that draws it, a warning in its place."""
        try:
            text = render()
        except MissingExtraError as error:
            return {**body, "report": None, "warnings": [*body["warnings"], str(error)]}
        self.reports.mkdir(parents=True, exist_ok=True)
        path = self.reports / f"{name}.html"
        path.write_text(text, encoding="utf-8")
        return {**body, "report": str(path)}


def _id(body: Mapping[str, Any] | None) -> str | None:
    return None if body is None else body["id"]
