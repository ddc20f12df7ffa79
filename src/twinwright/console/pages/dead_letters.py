"""Dead letters: what was refused, grouped by reason, whole, and read again on a click."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nicegui import ui

from twinwright.console import formats
from twinwright.console.layout import REFRESH_SECONDS, Text, Visit, button, card, element, empty, frame, moment, pill
from twinwright.console.live import Region, keep_fresh

SHOWN: Final = 50
PAYLOAD_SHOWN: Final = 4_000  # characters that a list has of each payload
MEANINGS: Final = {
    "malformed": "The payload is not of the format that the contract names.",
    "missing_field": "A required field is not there.",
    "bad_type": "A required field is not of its type.",
    "bad_time": "The time can't be read.",
    "future_time": "The time is further ahead than the skew allows.",
    "out_of_range": "A value is outside the range that the contract gives, and the contract rejects such.",
    "unknown_twin": "There is no twin of that name.",
    "unauthorised": "The source may not write to that twin.",
    "too_large": "The payload is past the limit on size.",
}


async def draw(visit: Visit) -> None:
    """The page `/dead-letters`."""
    with frame(
        visit, "Dead letters", "Readings that were refused, kept as they came. Mend the contract or the twins, then read them again."
    ):
        page = _DeadLetters(visit)
        await keep_fresh(page.refresh, REFRESH_SECONDS)


class _DeadLetters:
    """What one visitor looks at: the chosen reason."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.reason: str | None = None
        with element("div", "tw-split"):
            with element("div", "tw-side"), card("By reason"):
                self._reasons = Region(self._show_reasons)
            with element("div", "tw-wide"):
                self._items = Region(self._show_items)

    async def refresh(self) -> None:
        read, platform = self.visit.read, self.visit.platform
        every = await read(platform.dead_letters, limit=1)
        if self.reason not in every["by_reason"]:
            self.reason = max(every["by_reason"], key=lambda one: every["by_reason"][one], default=None)
        self._reasons.show((self.reason, every["by_reason"]))
        self._items.show((self.reason, await read(platform.dead_letters, reason=self.reason, limit=SHOWN)))

    async def retry(self, ids: list[int] | None) -> None:
        """Read some (None: all) again, and say what became of them."""
        done = await self.visit.serving.telemetry.run(self.visit.platform.retry_dead_letters, ids)
        taken = done["accepted"] + done["duplicate"]
        text = f"{formats.number(taken)} taken, {formats.number(done['still_refused'])} still refused"
        ui.notify(text, type="positive" if taken else "warning", position="bottom")
        await self.refresh()

    def _show_reasons(self, shown: tuple[str | None, Mapping[str, int]]) -> None:
        chosen, by_reason = shown
        if not by_reason:
            empty("Nothing refused", "Every reading so far was accepted, or known already.")
            return
        most = max(by_reason.values())
        with element("div", "tw-list"):
            for reason, count in sorted(by_reason.items(), key=lambda one: -one[1]):
                self._show_reason(reason, count, count / most, reason == chosen)

        async def retry_all() -> None:
            await self.retry(None)

        button(f"Read all {formats.number(sum(by_reason.values()))} again", retry_all, "wide")

    def _show_reason(self, reason: str, count: int, part: float, chosen: bool) -> None:
        async def choose() -> None:
            self.reason = reason
            await self.refresh()

        with element("button", "tw-row", type="button", aria_pressed="true" if chosen else "false").on("click", choose):
            with element("span", "tw-row-main"):
                Text("span", formats.title(reason), "tw-strong")
                element("span", "tw-bar", style=f"--part: {part:.4f}", aria_hidden="true")
            Text("span", formats.number(count), "tw-row-end tw-figure")

    def _show_items(self, shown: tuple[str | None, Mapping[str, Any]]) -> None:
        reason, letters = shown
        if reason is None:
            with card():
                empty("No dead letters", "When a reading is refused it appears here with its reason and its whole payload.")
            return
        with element("div", "tw-subhead"), element("div"):
            Text("h2", formats.title(reason))
            Text("p", MEANINGS.get(reason, ""), "tw-note")
        for letter in letters["items"]:
            self._show_letter(letter)
        if letters["total"] > len(letters["items"]):
            Text("p", f"The first {len(letters['items'])} of {formats.number(letters['total'])}.", "tw-note")

    def _show_letter(self, letter: Mapping[str, Any]) -> None:
        async def retry_one() -> None:
            await self.retry([letter["id"]])

        async def show_whole() -> None:
            whole = await self.visit.read(self.visit.platform.dead_letter, letter["id"])
            payload.set_text(whole["payload"])
            more.delete()

        with card(classes="tw-letter"):
            with element("div", "tw-letter-head"):
                with element("div"):
                    Text("p", letter["detail"], "tw-strong")
                    with element("p", "tw-note"):
                        Text("span", f"No. {letter['id']}, contract {letter['contract']} r{letter['revision']}, {letter['position']}, ")
                        moment(letter["at"])
                button("Read again", retry_one, aria_label=f"Read dead letter {letter['id']} again")
            with element("div", "tw-payload"):
                payload = Text("pre", letter["payload"] or "(empty)")
                if letter["encoding"] != "utf-8":
                    pill(letter["encoding"])
                if len(letter["payload"]) >= PAYLOAD_SHOWN:
                    more = button("Show it whole", show_whole)
