"""What a webhook is told in `[webhooks.NAME]`."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from twinwright.addresses import web_address
from twinwright.clock import SECOND
from twinwright.documents import Duration, Spec
from twinwright.errors import EventRouteFilterError, UsageError
from twinwright.events.filter import EventFilter
from twinwright.secret_text import secret_text

_LEAST_SECRET: Final = 24  # bytes, as Standard Webhooks asks


class WebhookSettings(Spec):
    """One `[webhooks.NAME]`: an endpoint that events are posted to. The secret that signs them is never in the file."""

    url: str = Field(description="`https://`; plain `http://` to this machine alone")
    secret_env: str | None = Field(default=None, min_length=1, description="the environment variable with the secret")
    secret_file: str | None = Field(default=None, min_length=1, description="or a file with it, which git does not see")
    filter: str | None = Field(
        default=None, description="which events it gets, as in event routes; without one, those of the event routes that name it"
    )
    start: Literal["earliest", "latest"] = Field(default="latest", description="where a new one begins: with all there was, or from now on")
    attempts: int = Field(default=10, ge=1, le=100, description="tries before an event becomes a dead letter")
    timeout: Duration = Field(default=10 * SECOND, gt=0, le=60 * SECOND, description="for one whole try")
    parallel: int = Field(default=4, ge=1, le=32, description="twins whose events are under way at once")
    max_bytes: int = Field(default=256 * 1024, ge=1_024, le=4 * 1024 * 1024, description="a larger event becomes a dead letter")

    @field_validator("url")
    @classmethod
    def _safe(cls, value: str) -> str:
        return web_address(
            value,
            example="https://example.com/events",
            plain="events leave this machine by https only: write https://",
            named="no name, password or fragment belongs in it: the signature tells who sends",
        )

    @field_validator("filter")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        try:
            return None if value is None else EventFilter(value).text
        except EventRouteFilterError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _one_secret(self) -> WebhookSettings:
        if (self.secret_env is None) is (self.secret_file is None):
            raise ValueError("give either secret_env or secret_file")
        return self

    def keys(self, name: str, folder: Path) -> list[bytes]:
        """What signs: several words are several secrets, and each signs, so that a receiver can change over. Raises UsageError."""
        where = f"[webhooks.{name}]"
        text = secret_text(self.secret_env, self.secret_file, folder, what="secret", where=where)
        assert text is not None  # one of them is given
        keys = [_key(word, where) for word in text.split()]
        if not keys:
            raise UsageError("the secret is empty", where=where, remedy="Make one: openssl rand -base64 32")
        return keys


def _key(word: str, where: str) -> bytes:
    try:
        key = base64.b64decode(word[6:], validate=True) if word.startswith("whsec_") else word.encode()
    except binascii.Error:
        raise UsageError("what follows whsec_ is not base64", where=where, remedy="Copy the secret whole") from None
    if len(key) < _LEAST_SECRET:
        raise UsageError(f"a secret of {len(key)} bytes", where=where, remedy=f"Use at least {_LEAST_SECRET}: openssl rand -base64 32")
    return key
