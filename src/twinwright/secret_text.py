"""Secrets that settings name and never hold: the text of an environment variable, or of a file that git does not see."""

from __future__ import annotations

import os
from pathlib import Path

from twinwright.errors import UsageError


def secret_text(variable: str | None, file: str | None, folder: Path, *, what: str, where: str) -> str | None:
    """The text; None where neither is named. `what` is what it is to users. Raises UsageError where it can't be had."""
    if variable is not None:
        text = os.environ.get(variable, "")
        if not text:
            raise UsageError(f"the environment variable {variable} is not set", where=where, remedy=f"Set it to the {what}")
        return text
    if file is None:
        return None
    try:
        return (folder / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} can't be read: {error}", where=where, remedy=f"Put the {what} there") from None
