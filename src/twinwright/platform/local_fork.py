"""A fork as a platform: what is sound in one is done as in the workspace itself, over the fork's store; the rest is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from twinwright.errors import RefusedError
from twinwright.governance.principals import Principal
from twinwright.platform.ingest import ingest_files
from twinwright.platform.interface import Progress
from twinwright.platform.local import LocalPlatform
from twinwright.platform.session import Session
from twinwright.platform.shadowing import keep_in, replayed
from twinwright.platform.wire import METHODS
from twinwright.simulation.service import Form
from twinwright.storage.layout import Lane

IN_A_FORK: Final = frozenset(
    {
        *("state", "twins", "history", "query", "relationships", "interfaces", "paths", "scenarios", "models"),
        *("ingest", "push", "dead_letters", "dead_letter", "simulate", "runs", "run", "verify_run", "compare_runs", "explain_run"),
        *("run_report", "export_run", "calibrate", "report", "parameter_sets", "parameter_set", "shadow_replay"),
        *("put_twin", "patch_twin", "delete_twin", "component", "send_telemetry", "relationship", "incoming_relationships"),
        *("relationship_page", "incoming_relationship_page"),
        *("put_relationship", "patch_relationship", "delete_relationship", "interface_list", "interface"),
    }
)
_COUNTED: Final = "each look at a holdout has to be counted in the workspace"
_WHY: Final[Mapping[str, str]] = {
    **dict.fromkeys(("validate", "promote"), _COUNTED),
    **dict.fromkeys(("plan", "apply", "add_interfaces", "delete_interface"), "a fork keeps what was applied when it was made"),
    **dict.fromkeys(("shadows", "shadow", "shadow_run", "shadow_stop", "shadow_start", "shadow_said"), "shadows follow the workspace"),
    **dict.fromkeys(("forks", "create_fork", "fork_diff", "drop_fork"), "forks are the workspace's"),
}


class LocalFork(LocalPlatform):
    """Over a session of the fork's own. Closing it closes nothing: the workspace does. `derives`: whether it is known how far what is
    derived had come in what it forks."""

    def __init__(self, session: Session, principal: Principal, *, owner: bool, name: str, derives: bool) -> None:
        super().__init__(session, principal, owner=owner)
        self._name, self._derives = name, derives

    def as_principal(self, principal: Principal) -> LocalFork:
        return LocalFork(self.session, principal, owner=False, name=self._name, derives=self._derives)

    def close(self) -> None:
        pass

    def fork(self, name: str) -> LocalFork:
        raise RefusedError(f"'{self._name}' is a fork already", where=name, remedy="Fork the workspace: leave the fork out")

    # --- telemetry and twins -----------------------------------------------------------------------------------------

    def ingest(self, files: Sequence[str], contract: str, *, progress: Progress | None = None) -> dict[str, Any]:
        self.principal.require_write()
        return ingest_files(self.session, self.principal, files, contract, progress).as_json()

    def state(self, twin: str | None = None, **options: Any) -> dict[str, Any]:
        if options.get("known_at") is None and options.get("as_of") is None:  # of what is asked for alone, not of all that the base has
            self._lane(options.get("lane") or "observed", options.get("after"))
            options["known_at"] = str(self.session.store.last_commit(self.principal))
        return super().state(twin, **options)

    def _lane(self, lane: str, after: int | None) -> Lane:
        if lane == "derived" and not self._derives:
            remedy = "Fork a later commit, or ask for it without the fork"
            raise RefusedError("how far what is derived had come by that commit is not known", where="lane", remedy=remedy)
        return super()._lane(lane, after)

    # --- simulation --------------------------------------------------------------------------------------------------

    def _take_models(self) -> None:
        """Those that were applied when it was made: nothing is applied in a fork."""

    def _simulate(self, scenario: str | Mapping[str, Any], outputs: Form, **options: Any) -> dict[str, Any]:
        answer = super()._simulate(scenario, outputs, **options)
        return {**answer, "runs": [self._marked(run) for run in answer["runs"]]}

    def runs(self) -> list[dict[str, Any]]:
        return [self._marked(run) for run in super().runs()]

    def run(self, id: str, *, outputs: bool = True) -> dict[str, Any]:
        return self._marked(super().run(id, outputs=outputs))

    def shadow_replay(self, name: str, **options: Any) -> dict[str, Any]:
        """As in the workspace; what it says is on the fork's lanes."""
        given: dict[str, Any] = {"twin": None, "start": None, "end": None, "speed": None, "progress": None, **options}
        keep = partial(keep_in, self.session, self.principal)
        return self._marked(replayed(self.session, self.principal, name, **given, keep=keep))

    # --- calibration -------------------------------------------------------------------------------------------------

    def calibrate(self, model: str, *, twin: str, holdout: float = 0.3, **options: Any) -> dict[str, Any]:
        """As in the workspace, on all that the fork has of the window; the parameter set is the fork's own. Raises RefusedError where a
        part of it is to be held out."""
        if holdout:
            remedy = "Fit it to the whole window: --holdout 0, `holdout` 0. Or leave the fork out"
            raise RefusedError(f"a fit is not judged in a fork: {_COUNTED}", where="holdout", remedy=remedy)
        return self._marked(super().calibrate(model, twin=twin, holdout=holdout, **options))

    def _marked(self, run: Mapping[str, Any]) -> dict[str, Any]:
        return {**run, "fork": self._name}


def _refusing(method: str) -> Callable[..., Any]:
    def refuse(_fork: LocalFork, *_given: Any, **_named: Any) -> Any:
        why = _WHY.get(method, "it would reach beyond it")
        raise RefusedError(f"{method} is not done in a fork: {why}", where="fork", remedy="Leave the fork out")

    return refuse


for _method in METHODS - IN_A_FORK:
    setattr(LocalFork, _method, _refusing(_method))
