"""Queue: what was submitted, how far it is and when it will be done; cancelled and fetched here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nicegui import ui

from twinwright.console import formats
from twinwright.console.layout import REFRESH_SECONDS, Text, Visit, button, card, element, empty, frame, moment, pill, tile
from twinwright.console.live import Region, keep_fresh

SHOWN: Final = 100
OPEN: Final = ("running", "waiting")
_STATES: Final = {"running": "good", "waiting": "", "done": "good", "failed": "bad", "cancelled": "warn"}
_FILES: Final = ("csv", "parquet", "arrow")


async def draw(visit: Visit) -> None:
    """The page `/queue`."""
    with frame(visit, "Queue", "Requests for runs: the urgent first, then in the order in which they came. They outlive a restart."):
        page = _Queue(visit)
        await keep_fresh(page.refresh, REFRESH_SECONDS)


class _Queue:
    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self._tiles = Region(_show_tiles, "tw-tiles")
        with card("In their turn"):
            self._open = Region(self._show_open)
        with card("Finished"):
            self._finished = Region(self._show_finished)

    async def refresh(self) -> None:
        requests = await self.visit.read(self.visit.platform.run_requests)
        opened = [one for one in requests if one["status"] in OPEN]
        finished = [one for one in requests if one["status"] not in OPEN]
        self._tiles.show(_counts(requests))
        self._open.show((opened[:SHOWN], len(opened)))
        self._finished.show((finished[:SHOWN], len(finished)))

    def _show_open(self, shown: tuple[list[dict[str, Any]], int]) -> None:
        requests, total = shown
        if not requests:
            empty("Nothing waits", "A scenario that is submitted runs in the background.", "twinwright runs submit SCENARIO")
            return
        for one in requests:
            self._show_request(one)
        _show_rest(len(requests), total)

    def _show_finished(self, shown: tuple[list[dict[str, Any]], int]) -> None:
        requests, total = shown
        if not requests:
            Text("p", "Nothing is finished yet.", "tw-note")
            return
        for one in requests:
            self._show_request(one)
        _show_rest(len(requests), total)

    def _show_request(self, one: Mapping[str, Any]) -> None:
        async def cancel() -> None:
            await self.visit.serving.graph.run(self.visit.platform.cancel_request, one["id"])
            ui.notify("Cancelled: runs that had ended are kept", type="positive", position="bottom")
            await self.refresh()

        with element("div", "tw-request", data_request=one["id"]):
            with element("div", "tw-request-what"):
                Text("span", one["scenario"], "tw-strong")
                with element("span", "tw-note"):
                    Text("span", f"{one['model']}, {_priority(one['priority'])}, submitted ")
                    moment(one["submitted"], ago=True)
            with element("div", "tw-request-far"):
                with element("div", "tw-request-line"):
                    pill(one["status"], _STATES.get(one["status"], ""))
                    Text("span", _far(one), "tw-note n")
                if one["status"] == "running":
                    element("span", "tw-bar", style=f"--part: {(one['done'] or 0) / max(one['total'], 1):.4f}", aria_hidden="true")
            with element("div", "tw-request-do"):
                if one["status"] in OPEN:
                    button("Cancel", cancel, "danger", aria_label=f"Cancel {one['scenario']}, request {one['id'][:12]}")
                elif one["status"] == "done":
                    for file in _FILES:
                        _result_link(one["id"], file)
        if one["error"]:
            Text("p", str(one["error"].get("message") or one["error"].get("what") or one["error"]), "tw-request-error")


def _counts(requests: list[dict[str, Any]]) -> dict[str, int]:
    found = dict.fromkeys(_STATES, 0)
    for one in requests:
        found[one["status"]] = found.get(one["status"], 0) + 1
    return found


def _show_tiles(counts: Mapping[str, int]) -> None:
    notes = {
        "running": "at this moment",
        "waiting": "for their turn",
        "done": "with a result",
        "failed": "as a whole",
        "cancelled": "on request",
    }
    for status, note in notes.items():
        tile(formats.title(status), formats.number(counts[status]), note)


def _far(one: Mapping[str, Any]) -> str:
    """How far it is, in words."""
    runs = f"{formats.number(one['total'])} {'run' if one['total'] == 1 else 'runs'}"
    if one["status"] == "running":
        eta = f", about {formats.duration(one['eta_seconds'])} left" if one["eta_seconds"] is not None else ""
        return f"{formats.number(one['done'] or 0)} of {runs}{eta}"
    if one["status"] == "waiting":
        return f"{runs}, {formats.number(one['ahead'])} before it" if one["ahead"] else f"{runs}, next"
    return f"{runs}, {formats.number(one['failed'])} failed" if one["status"] == "done" and one["failed"] else runs


def _priority(priority: int) -> str:
    return {-10: "low priority", 0: "normal priority", 10: "high priority"}.get(priority, f"priority {priority}")


def _show_rest(shown: int, total: int) -> None:
    if total > shown:
        Text("p", f"The first {shown} of {formats.number(total)}.", "tw-note")


def _result_link(id: str, file: str) -> None:
    link = Text("a", file.upper() if file == "csv" else formats.title(file), "tw-button")
    link.props["href"] = f"/v1/run-requests/{id}/results?format={file}"
    link.props["download"] = f"runs-{id[:12]}.{file}"
    link.props["aria-label"] = f"Results of request {id[:12]} as {file}"
