"""How many items a page of a list has."""

from __future__ import annotations

from typing import Final

from twinwright.errors import UsageError

PAGE: Final = 1_000  # unless said
MOST_ITEMS: Final = 10_000


def page_size(asked: int | None, most: int = MOST_ITEMS) -> int:
    """Raises UsageError where so many can't be had."""
    if asked is not None and not 1 <= asked <= most:
        raise UsageError(f"a page of {asked} items", where="max-items-per-page", remedy=f"Ask for 1 to {most}")
    return asked or PAGE
