"""Keeping a page true: what it shows is read again every few seconds, and drawn again only where it changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from nicegui import ui

from twinwright.errors import TwinwrightError

_NOTHING: Final = object()


class Region:
    """A part of a page that is drawn from data, and again when they differ from the last."""

    def __init__(self, draw: Callable[[Any], None], classes: str = "") -> None:
        self._draw = draw
        self._shown: Any = _NOTHING
        self._place = ui.element("div").classes(f"tw-region {classes}")

    def show(self, data: Any) -> None:
        """Draw `data` unless it is what is shown already."""
        if data == self._shown:
            return
        self._shown = data
        self._place.clear()
        with self._place:
            self._draw(data)


async def keep_fresh(refresh: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Refresh now, then every `seconds` while the page is open; an error is shown on the page until it has passed."""
    trouble = Region(_show_trouble, "tw-trouble")

    async def guarded() -> None:
        try:
            await refresh()
        except TwinwrightError as error:
            trouble.show(str(error))
        else:
            trouble.show("")

    await guarded()
    ui.timer(seconds, guarded, immediate=False)


def _show_trouble(text: str) -> None:
    if text:
        ui.label(f"Not up to date: {text}").props('role="alert"')
