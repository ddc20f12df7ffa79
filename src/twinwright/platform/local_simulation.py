"""Simulation and calibration in this process: models, scenarios, runs and parameter sets on an opened session."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from twinwright.clock import parse_duration, span_of
from twinwright.documents import Document, Problems, load, parse_text
from twinwright.errors import ForbiddenError, InvalidError, NotFoundError, Problem, WorkspaceError
from twinwright.governance.principals import Principal
from twinwright.platform.executing import chosen_executor
from twinwright.platform.interface import Progress
from twinwright.platform.run_queue import count_runs
from twinwright.platform.session import Session
from twinwright.platform.shadow_stream import said_since
from twinwright.platform.shadowing import replayed, shadow_shown, shadows_shown, switched
from twinwright.platform.shown import model_shown
from twinwright.simulation.scenario import Scenario, parse_scenario
from twinwright.simulation.service import Form, Shown
from twinwright.workspace.load import check_scenario_in


class LocalSimulation:
    """The methods of `Platform` on models, acting as `principal`; `owner`: who has the folder asks, and not a client of the API."""

    session: Session
    principal: Principal
    owner: bool

    def models(self) -> list[dict[str, Any]]:
        return [model_shown(definition) for definition in self.session.models.values()]

    def scenarios(self) -> list[dict[str, Any]]:
        return [{"name": one.name, "model": one.model, "twin": one.twin} for one in self.session.workspace.scenarios.values()]

    def simulate(
        self, scenario: str | Mapping[str, Any], *, executor: str | None = None, fresh: bool = False, progress: Progress | None = None
    ) -> dict[str, Any]:
        return self._simulate(scenario, "lists", executor=executor, fresh=fresh, progress=progress)

    def simulate_shown(self, scenario: str | Mapping[str, Any], shown: Shown, **options: Any) -> dict[str, Any]:
        """As `simulate`, for a caller in this process, who says what is made of the outputs."""
        return self._simulate(scenario, shown, **options)

    def _simulate(
        self,
        scenario: str | Mapping[str, Any],
        outputs: Form,
        *,
        executor: str | None = None,
        fresh: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        place = chosen_executor(self.session, executor, owner=self.owner)
        self._take_models()
        chosen, _, _ = self._scenario(scenario)
        model = self.session.model(chosen.model)
        simulate = self.session.served.simulation.simulate
        answer = simulate(self.principal, chosen, model, fresh=fresh, outputs=outputs, executor=place, progress=progress)
        if beside := self._beside(model.name):
            for run in answer["runs"]:
                run["warnings"] = [*run["warnings"], *beside]
        count_runs(self.session, answer["runs"], model.kind)
        return answer

    def submit_run(
        self, scenario: str | Mapping[str, Any], *, priority: str | int = "normal", executor: str | None = None, fresh: bool = False
    ) -> dict[str, Any]:
        chosen_executor(self.session, executor, owner=self.owner)
        self._take_models()
        chosen, document, folder = self._scenario(scenario)
        given: dict[str, Any] = {"priority": priority, "executor": executor, "fresh": fresh, "warnings": self._beside(chosen.model)}
        return self.session.queue.submit(self.principal, chosen, document, folder, **given)

    def run_requests(self) -> list[dict[str, Any]]:
        return self.session.queue.listed(self.principal)

    def run_request(self, id: str) -> dict[str, Any]:
        return self.session.queue.get(self.principal, id)

    def watch_request(self, id: str, *, progress: Progress | None = None) -> dict[str, Any]:
        return self.session.queue.watch(self.principal, id, progress)

    def cancel_request(self, id: str) -> dict[str, Any]:
        return self.session.queue.cancel(self.principal, id)

    def request_results(self, id: str, *, format: str = "parquet") -> bytes:
        from twinwright.simulation.results import results

        runs = self.session.served.simulation.runs
        return results(runs.load_all(self.principal, self.session.queue.runs(self.principal, id)), format)

    def resume_runs(self) -> None:
        """Run what was submitted, in the background."""
        self.session.queue.start()

    def _take_models(self) -> None:
        if self.owner:
            self.session.apply_models(self.principal)

    def _beside(self, model: str) -> list[str]:
        """What the folder has, and runs of a model go on without."""
        return [*self.session.changed_since_applied(model), *left_out(self.session)]

    def _scenario(self, scenario: str | Mapping[str, Any]) -> tuple[Scenario, Document, Path]:
        """A scenario in order, its document, and the folder that its series are in."""
        problems = Problems()
        if isinstance(scenario, str):
            named = self.session.workspace.scenarios.get(scenario)
            path = self.session.folder / (named.file if named else scenario)
            if not path.is_file():
                if self.session.workspace.amiss:  # it may be in a file that can't be read
                    raise WorkspaceError(self.session.workspace.amiss)
                names = ", ".join(sorted(self.session.workspace.scenarios)) or "none"
                raise NotFoundError(f"there is no scenario '{scenario}'", remedy=f"Name a file, or one of: {names}")
            document, folder = load(path, problems, name=named.file if named else scenario), path.parent
        else:
            document, folder = parse_text(yaml.safe_dump(dict(scenario)), "scenario", problems), self.session.folder / "scenarios"
        parsed = parse_scenario(document, problems, folder) if document else None
        if document is not None and parsed is not None:
            registry, models = self.session.served.applied.registry, self.session.models
            if parsed.model not in models:
                remedy = f"Applied are: {', '.join(sorted(models)) or 'none'}. Run `twinwright apply` after adding one"
                problems.add(document.problem(("model",), f"there is no model '{parsed.model}'", remedy, "unknown_model"))
            else:
                check_scenario_in(parsed, models, dict.fromkeys(registry.twins), document, problems)
        if document is None or parsed is None or problems:
            raise InvalidError(problems.items)
        return parsed, document, folder

    def runs(self) -> list[dict[str, Any]]:
        return cast(list[dict[str, Any]], self.session.served.simulation.list(self.principal)["runs"])

    def run(self, id: str, *, outputs: bool = True) -> dict[str, Any]:
        record = self.session.served.simulation.show(self.principal, id)
        return record if outputs else {key: value for key, value in record.items() if key != "outputs"}

    def verify_run(self, id: str) -> dict[str, Any]:
        return self.session.served.simulation.verify(self.principal, id)

    def compare_runs(self, first: str, second: str) -> dict[str, Any]:
        return self.session.served.simulation.compare(self.principal, first, second)

    def explain_run(self, id: str) -> dict[str, Any]:
        return self.session.served.simulation.explain(self.principal, id)

    def run_report(self, id: str) -> str:
        from twinwright.calibration.run_report import run_report

        return run_report(self.session.served.simulation.runs.load(self.principal, id))

    def export_run(self, id: str, folder: str) -> dict[str, Any]:
        if not self.owner:
            raise ForbiddenError("a run is not exported to a folder for a client", remedy="Fetch it: GET /v1/runs/{id}")
        return self.session.served.simulation.export(self.principal, id, Path(folder))

    def prune_runs(self, *, older_than: str, dry_run: bool = False) -> dict[str, Any]:
        self.principal.require_admin()
        before = self.session.clock.now() - parse_duration(older_than, where="older_than")
        return self.session.served.simulation.prune(self.principal, before=before, dry_run=dry_run)

    # --- shadows -----------------------------------------------------------------------------------------------------

    def shadows(self) -> list[dict[str, Any]]:
        return shadows_shown(self.session, self.principal)

    def shadow(self, name: str, *, limit: int = 100) -> dict[str, Any]:
        return shadow_shown(self.session, self.principal, name, limit)

    def shadow_replay(
        self,
        name: str,
        *,
        twin: str | None = None,
        start: str | None = None,
        end: str | None = None,
        speed: float | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        return replayed(self.session, self.principal, name, twin=twin, start=start, end=end, speed=speed, progress=progress)

    def shadow_run(self) -> list[dict[str, Any]]:
        self.principal.require_write()
        if self.owner:
            self.session.apply_first(self.principal)
        self.session.pipeline.settle()
        self.session.shadows.consumer.catch_up()
        return self.shadows()

    def shadow_stop(self, name: str) -> dict[str, Any]:
        return switched(self.session, self.principal, name, stop=True)

    def shadow_start(self, name: str) -> dict[str, Any]:
        return switched(self.session, self.principal, name, stop=False)

    def shadow_said(self, name: str, *, after: int | None = None, twin: str | None = None) -> dict[str, Any]:
        return said_since(self.session, self.principal, name, after, twin)

    # --- calibration -------------------------------------------------------------------------------------------------

    def calibrate(
        self,
        model: str,
        *,
        twin: str,
        start: str | None = None,
        end: str | None = None,
        holdout: float = 0.3,
        only: Sequence[str] | None = None,
        parameters: str | None = None,
    ) -> dict[str, Any]:
        first, last = span_of(start, end)
        self._take_models()
        name = self.session.model(model).name
        answer = self.session.served.calibration.calibrate(
            self.principal,
            name,
            twin=twin,
            start=first,
            end=last,
            holdout=holdout,
            only=only,
            parameters=parameters,
        )
        return {**answer, "warnings": [*answer["warnings"], *self.session.changed_since_applied(name)]}

    def validate(
        self, model: str, *, twin: str, start: str | None = None, end: str | None = None, parameters: str | None = None
    ) -> dict[str, Any]:
        first, last = span_of(start, end)
        self._take_models()
        name = self.session.model(model).name
        answer = self.session.served.calibration.validate(
            self.principal,
            name,
            twin=twin,
            start=first,
            end=last,
            parameters=parameters,
        )
        return {**answer, "warnings": [*answer["warnings"], *self.session.changed_since_applied(name)]}

    def promote(self, model: str, id: str) -> dict[str, Any]:
        return self.session.served.calibration.promote(self.principal, self.session.model(model).name, id)

    def parameter_sets(self, model: str | None = None) -> list[dict[str, Any]]:
        records = self.session.store.records(self.principal, "parameter-set")
        return [record.body for record in records if model in (None, record.body["model"])]

    def parameter_set(self, id: str) -> dict[str, Any]:
        return self.session.store.get_record(self.principal, "parameter-set", id).body

    def validations(self) -> list[dict[str, Any]]:
        return [record.body for record in self.session.store.records(self.principal, "validation")]

    def report(self, id: str) -> str:
        folder = self.session.private / "reports"
        names = {path.stem: path for path in folder.glob("*.html")} if folder.is_dir() else {}
        found = [path for name, path in names.items() if name.removeprefix("validation-").startswith(id) or name == id] if id else []
        if len(found) != 1:
            raise NotFoundError(
                f"there is no report '{id}'" if not found else f"several reports begin with '{id}'",
                remedy="Give the id of a calibration or validation",
            )
        return found[0].read_text(encoding="utf-8")


def left_out(session: Session) -> list[str]:
    """A warning for each scenario file that is not in order: what was asked for has run without it."""
    files: dict[str, Problem] = {}
    with contextlib.suppress(WorkspaceError):
        for problem in session.workspace.amiss:
            files.setdefault(problem.file or "scenarios", problem)
    remedy = "`twinwright scenarios check` names every problem"
    return [f"{file} is left out, which can't be read as a scenario ({problem.message}): {remedy}" for file, problem in files.items()]
