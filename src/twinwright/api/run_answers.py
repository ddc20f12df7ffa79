"""What the resources of simulation and calibration answer, as OpenAPI describes it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from twinwright.api.answers import Answer


class Scenarios(Answer):
    value: list[dict[str, Any]]


class RunSummary(Answer):
    id: str
    status: str = Field(examples=["ok", "failed"])
    failure: dict[str, Any] | None
    digest: str
    seconds: float


class Runs(Answer):
    value: list[RunSummary]


class RunAnswers(Answer):
    runs: list[RunSummary]


class RunRequest(Answer):
    id: str
    status: str = Field(examples=["waiting", "running", "done", "failed", "cancelled"])
    priority: int = Field(description="The higher, the sooner.")
    ahead: int | None = Field(description="How many requests come before it; null for one that is finished.")
    total: int = Field(description="How many runs it asks for.")
    done: int | None = Field(description="How many of them are answered.")
    eta_seconds: float | None = Field(description="How long it will take at the pace of the last runs.")
    ok: int | None
    failed: int | None
    error: dict[str, Any] | None = Field(description="Why the whole request failed.")
    warnings: list[str] = Field(description="What the workspace had that it was taken without: files that are not in order or not applied.")


class RunRequests(Answer):
    value: list[RunRequest]


class Verification(Answer):
    id: str
    verified: bool
    digest: str
    reason: str | None = None


class ParameterSet(Answer):
    id: str
    model: str
    parameters: dict[str, Any] = Field(description="By name: value, low and high of its interval, unit.")
    metrics: dict[str, Any] = Field(description="Errors on training data, holdout and of the baseline.")
    warnings: list[str]


class ParameterSets(Answer):
    value: list[ParameterSet]


class Validations(Answer):
    value: list[dict[str, Any]]


class Validation(Answer):
    id: str
    metrics: dict[str, Any]
    baseline: dict[str, Any] = Field(description="The errors of what would be said without a model, and its name.")


class SimulationModels(Answer):
    value: list[dict[str, Any]]


class Promotion(Answer):
    promoted: bool
    reason: str


class Explanation(Answer):
    id: str
    sentences: list[str]


class Comparison(Answer):
    same: bool
    first_difference: Any


class Pruned(Answer):
    removed: int
    bytes: int


class ShadowTwin(Answer):
    twin: str
    through: str | None
    error: str


class ShadowState(Answer):
    name: str
    model: str
    model_version: str
    twins: int
    through: str | None = Field(description="The event time that all of its twins have reached.")
    commit: int = Field(description="The last commit that it has consumed.")
    behind: int = Field(description="How many commits there are after that.")
    state: str = Field(examples=["following", "failing", "stopped"])
    error: str


class Shadow(ShadowState):
    source: str = Field(description="Of its predictions and residuals, in history.")
    forecast_source: str | None
    outputs: dict[str, str] = Field(description="By output the path that it predicts.")
    step_seconds: float = Field(description="Between two of its predictions.")
    residuals: dict[str, str] = Field(description="By output the path of what was observed less what was predicted.")
    failures: int = Field(description="How often in a row it has failed.")
    failing: int = Field(description="How many of its twins fail.")
    retry_seconds: float | None = Field(description="When what fails is tried again.")
    items: list[ShadowTwin] = Field(description="Twins that fail first, then those that are furthest behind.")


class Shadows(Answer):
    value: list[ShadowState]


class SaidSeries(Answer):
    twin: str
    path: str
    kind: str = Field(examples=["prediction", "forecast", "residual"])
    unit: str | None
    times: list[str]
    values: list[float | None] = Field(description="null: it says nothing of that time any more.")


class Said(Answer):
    commit: int
    at: str
    left_out: int = Field(description="Values of a commit that has too many to be told: they are in history.")
    series: list[SaidSeries]


class ShadowSaid(Answer):
    shadow: str
    said: list[Said]
    through: int = Field(description="Up to this commit: ask on with it as `since`.")
    last: int = Field(description="The newest commit.")
