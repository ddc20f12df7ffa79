"""What is compared at regular times, as `[reconcile.NAME]` says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field, model_validator

from twinwright.clock import HOUR, SECOND
from twinwright.documents import Duration, Spec
from twinwright.secret_text import secret_text
from twinwright.telemetry.contract_spec import Name

_LEAST: Final = 60 * SECOND


class ReconcileSettings(Spec):
    """One `[reconcile.NAME]`. Without `against` the cache of state is compared with history."""

    every: Duration = Field(default=24 * HOUR, ge=_LEAST, le=366 * 24 * HOUR, description="how often, from `PT1M` on")
    against: str | None = Field(default=None, min_length=1, description="the snapshot: a file, a URL, or `source`")
    contract: Name | None = Field(default=None, description="the contract that reads the snapshot")
    repair: bool = Field(default=False, description="ingest what is missing")
    token_env: str | None = Field(default=None, min_length=1, description="the environment variable with the token that a URL asks for")
    token_file: str | None = Field(default=None, min_length=1, description="or a file with it, which git does not see")

    @model_validator(mode="after")
    def _fits(self) -> ReconcileSettings:
        if (self.against is None) is not (self.contract is None):
            raise ValueError("`against` and `contract` belong together: the contract reads the snapshot")
        if self.against is None and (self.repair or self.token_env or self.token_file):
            raise ValueError("`repair` and a token are for a snapshot: give `against`")
        if self.token_env is not None and self.token_file is not None:
            raise ValueError("give either token_env or token_file")
        return self

    def token(self, name: str, folder: Path) -> str | None:
        """Raises UsageError where it can't be had."""
        text = secret_text(self.token_env, self.token_file, folder, what="token", where=f"[reconcile.{name}]")
        return None if text is None else text.strip()
