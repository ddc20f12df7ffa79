"""Forks: what if, beside what is. Made, compared and dropped here; what is done in one is done by commands and programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nicegui import ui

from twinwright.console import formats
from twinwright.console.layout import (
    REFRESH_SECONDS,
    Text,
    Visit,
    button,
    card,
    element,
    empty,
    frame,
    moment,
    pill,
    segments,
    table,
    tile,
    told,
)
from twinwright.console.live import Region, keep_fresh

SHOWN: Final = 200  # differences of a kind
_AGAINST: Final = {"its beginning": "base", "the workspace now": "live"}
_CHANGES: Final = {"added": "good", "removed": "bad", "changed": "warn"}


async def draw(visit: Visit) -> None:
    """The page `/forks`."""
    with frame(visit, "Forks", "What if, beside what is: nothing is copied, and nothing in a fork reaches the workspace."):
        page = _Forks(visit)
        await keep_fresh(page.refresh, REFRESH_SECONDS)


class _Forks:
    """What one visitor looks at: the chosen fork, and what it is compared with."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.chosen: str | None = None
        self.against = "its beginning"
        self.sure = False  # the next click drops it
        self._said = {"name": "", "at": ""}
        self._made = 0  # forks from here; the form is drawn anew after each
        self._loaded: tuple[tuple[str, str], Mapping[str, Any]] | None = None
        with element("div", "tw-split"):
            with element("div", "tw-side"):
                with card("New fork"):
                    self._form = Region(self._show_form)
                with card("All forks"):
                    self._list = Region(self._show_list)
            with element("div", "tw-wide"):
                self._head = Region(self._show_head)
                self._counts = Region(_show_counts, "tw-tiles")
                self._differences = Region(_show_differences)

    async def refresh(self) -> None:
        forks = await self.visit.read(self.visit.platform.forks)
        if self.chosen not in {one["name"] for one in forks}:
            self.chosen = forks[-1]["name"] if forks else None
            self.sure = False
        self._form.show(self._made)
        self._list.show((self.chosen, forks))
        fork = next((one for one in forks if one["name"] == self.chosen), None)
        self._head.show((fork, self.against, self.sure))
        if fork is None:
            self._loaded = None
            self._counts.show(None)
            self._differences.show(None)
            return
        wanted = (fork["name"], self.against)
        if self._loaded is None or self._loaded[0] != wanted:
            await self._compare(*wanted)
        if self._loaded is not None:
            self._counts.show(self._loaded[1])
            self._differences.show(self._loaded[1])

    async def _compare(self, name: str, against: str) -> None:
        found = await self.visit.read(self.visit.platform.fork_diff, name, against=_AGAINST[against], limit=SHOWN)
        self._loaded = ((name, against), found)

    # --- making one --------------------------------------------------------------------------------------------------

    def _show_form(self, _made: int) -> None:
        async def create() -> None:
            name, at = self._said["name"].strip(), self._said["at"].strip()
            made = await self.visit.serving.graph.run(self.visit.platform.create_fork, name, at=at or None)
            self.chosen, self._made, self._said = made["name"], self._made + 1, {"name": "", "at": ""}
            ui.notify(f"Forked commit {made['commit']}: use it with --fork {made['name']}", type="positive", position="bottom")
            await self.refresh()

        with element("form", "tw-form", autocomplete="off").on("submit.prevent", told(create)):
            self._field("name", "Name", "rehearsal", "Of a–z, 0–9, - and _.")
            self._field("at", "As known at", "now", "A commit number or a time; without one, now.")
            Text("button", "Fork the workspace", "tw-button wide").props["type"] = "submit"

    def _field(self, name: str, label: str, example: str, note: str) -> None:
        def said(event: Any) -> None:
            self._said[name] = str(event.args)

        with element("label", "tw-field"):
            Text("span", label, "tw-label")
            element("input", name=name, placeholder=example, maxlength="63", spellcheck="false").on(
                "input", said, js_handler="(event) => emit(event.target.value)"
            )
            Text("span", note, "tw-note")

    # --- those there are ---------------------------------------------------------------------------------------------

    def _show_list(self, shown: tuple[str | None, Sequence[Mapping[str, Any]]]) -> None:
        chosen, forks = shown
        if not forks:
            empty("No forks yet", "A fork is the workspace as it was at a commit, and what you do in it.")
            return
        with element("div", "tw-list"):
            for fork in forks:
                self._show_fork(fork, fork["name"] == chosen)

    def _show_fork(self, fork: Mapping[str, Any], chosen: bool) -> None:
        async def choose() -> None:
            self.chosen, self.sure = fork["name"], False
            await self.refresh()

        with element("button", "tw-row", type="button", aria_pressed="true" if chosen else "false").on("click", told(choose)):
            with element("span", "tw-row-main"):
                Text("span", fork["name"], "tw-strong")
                Text("span", f"of commit {fork['commit']}", "tw-note")
            with element("span", "tw-row-end tw-note"):
                moment(fork["created"], ago=True)

    def _show_head(self, shown: tuple[Mapping[str, Any] | None, str, bool]) -> None:
        fork, against, sure = shown
        if fork is None:
            with card():
                empty(
                    "Nothing to compare",
                    "Make a fork, write or simulate in it, and see here what differs.",
                    "twinwright ingest ... --fork NAME",
                )
            return
        with element("div", "tw-subhead"):
            with element("div"):
                Text("h2", fork["name"])
                with element("p", "tw-note"):
                    Text("span", f"Of commit {fork['commit']}, made by {fork['by']} ")
                    moment(fork["created"])
            with element("div", "tw-actions"):
                segments("Compared with", _AGAINST, against, self._choose_against)
                button("Compare again", self._again)
                if sure:
                    button("Drop it for good", self._drop, "danger", aria_label=f"Drop {fork['name']} with all that is in it")
                    button("Keep it", self._keep)
                else:
                    button("Drop", self._ask, "danger", aria_label=f"Drop {fork['name']}")

    async def _choose_against(self, name: str) -> None:
        self.against = name
        await self.refresh()

    async def _again(self) -> None:
        self._loaded = None
        await self.refresh()

    async def _ask(self) -> None:
        self.sure = True
        await self.refresh()

    async def _keep(self) -> None:
        self.sure = False
        await self.refresh()

    async def _drop(self) -> None:
        dropped = await self.visit.serving.graph.run(self.visit.platform.drop_fork, self.chosen or "")
        ui.notify(f"Dropped {dropped['dropped']}", type="positive", position="bottom")
        self.sure = False
        await self.refresh()


def _show_counts(found: Mapping[str, Any] | None) -> None:
    if found is None:
        return
    counts = found["counts"]
    tile("Values", formats.number(counts["values"]), "differ")
    tile("Twins", formats.number(counts["twins"]), "differ")
    tile("Relationships", formats.number(counts["relationships"]), "differ")
    tile("Readings", formats.number(found["readings"]["accepted"]), "taken in by the fork")


def _show_differences(found: Mapping[str, Any] | None) -> None:
    if found is None:
        return
    graph = [(one["change"], one["twin"], formats.interface(one["interface"])) for one in found["twins"]]
    graph += [(one["change"], one["twin"], f"relationship {one['relationship']}") for one in found["relationships"]]
    if graph:
        with card("Twins and relationships"), table((("Change", ""), ("Twin", ""), ("", "")), "Twins and relationships that differ"):
            for change, twin, what in graph:
                with element("tr"):
                    with element("td"):
                        pill(change, _CHANGES.get(change, ""))
                    Text("td", twin, "tw-strong")
                    Text("td", what, "tw-note")
    with card("Values"):
        if not found["values"]:
            empty("No value differs", "What is written, ingested or simulated in the fork is compared here.")
            return
        beside = "Beginning" if found["against"] == "base" else "Workspace"
        head = (("Twin", ""), ("Path", ""), ("Lane", ""), (beside, "n"), ("Fork", "n"))
        with table(head, "Values that differ"):
            for one in found["values"]:
                with element("tr"):
                    Text("td", one["twin"], "tw-strong")
                    Text("td", one["path"])
                    Text("td", one["lane"], "tw-note")
                    Text("td", _value(one["before"]), "n tw-note")
                    Text("td", _value(one["fork"]), "n")
        if found["counts"]["values"] > len(found["values"]):
            Text("p", f"The first {len(found['values'])} of {formats.number(found['counts']['values'])}.", "tw-note")


def _value(shown: Mapping[str, Any] | None) -> str:
    if shown is None:
        return "–"
    return formats.number(shown["value"]) if shown["quality"] == "good" else str(shown["quality"])
