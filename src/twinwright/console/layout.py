"""The frame around every page and the few pieces that all pages are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from twinwright.api.security import CONSOLE_PATH
from twinwright.api.serving import Serving
from twinwright.errors import TwinwrightError
from twinwright.platform.interface import Platform

P = ParamSpec("P")
T = TypeVar("T")
NAVIGATION: Final = (
    ("/", "Overview"),
    ("/dead-letters", "Dead letters"),
    ("/runs", "Runs"),
    ("/queue", "Queue"),
    ("/shadows", "Shadows"),
    ("/forks", "Forks"),
    ("/models", "Models & reports"),
)
REFRESH_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Visit:
    """One opened page: the platform as its visitor may use it, and the lines that its calls wait in."""

    platform: Platform
    serving: Serving
    path: str

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A read of the platform, in a thread."""
        return await self.serving.reads.run(function, *args, **kwargs)


class Text(TextElement):
    """An HTML element with text, which is never taken for HTML."""

    def __init__(self, tag: str, text: str = "", classes: str = "") -> None:
        super().__init__(tag=tag, text=text)
        if classes:
            self.classes(classes)


def element(tag: str, classes: str = "", **attributes: str) -> Any:
    """An HTML element to be filled with a `with`."""
    made = ui.element(tag)
    if classes:
        made.classes(classes)
    for name, value in attributes.items():
        made.props[name.strip("_").replace("_", "-")] = value
    return made


@contextmanager
def frame(visit: Visit, heading: str, note: str = "") -> Iterator[None]:
    """Header, navigation and the main column."""
    base = f"{CONSOLE_PATH}/assets"
    ui.add_head_html(f'<link rel="stylesheet" href="{base}/console.css"><script src="{base}/console.js" defer></script>')
    with element("div", "tw-page"):
        with element("header", "tw-header"), element("div", "tw-header-inner"):
            with element("a", "tw-brand", href=f"{CONSOLE_PATH}/"):
                element("span", "tw-mark", aria_hidden="true")
                Text("span", "Twinwright")
            with element("nav", "tw-nav", aria_label="Pages"):
                for path, label in NAVIGATION:
                    link = Text("a", label)
                    link.props["href"] = f"{CONSOLE_PATH}{path}"
                    if path == visit.path:
                        link.props["aria-current"] = "page"
        with element("main", "tw-main"):
            with element("div", "tw-heading"):
                Text("h1", heading)
                if note:
                    Text("p", note, "tw-note")
            yield


@contextmanager
def card(heading: str = "", note: str = "", classes: str = "") -> Iterator[Any]:
    """A panel with an optional heading."""
    with element("section", f"tw-card {classes}") as made:
        if heading:
            with element("div", "tw-card-head"):
                Text("h2", heading)
                if note:
                    Text("span", note, "tw-note")
        yield made


def tile(label: str, value: str, note: str = "", state: str = "") -> None:
    """One number that matters. `state`: `good`, `bad` or nothing."""
    with element("div", "tw-tile"):
        Text("div", label, "tw-label")
        Text("div", value, "tw-number")
        with element("div", "tw-note"):
            if state:
                pill({"good": "on target", "bad": "off target"}[state], state)
            Text("span", note)


def pill(text: str, state: str = "") -> None:
    """A short status. `state`: `good`, `bad`, `warn` or nothing."""
    Text("span", text, f"tw-pill {state}")


def moment(iso: str | None, *, ago: bool = False) -> Text:
    """A time: in the zone of the browser, with UTC on hover; with `ago` as its age, which keeps counting."""
    made = Text("time")
    if ago:
        made.props["data-ago"] = "1"
    set_moment(made, iso)
    return made


def set_moment(made: Text, iso: str | None) -> None:
    """Another time for a `moment`, in its place."""
    made.set_text(iso or "never")
    if made.props.get("datetime") != iso:
        made.props["datetime"] = iso
        made.update()


def empty(heading: str, advice: str, command: str = "") -> None:
    """What to see where there is nothing yet, and how to change that."""
    with element("div", "tw-empty"):
        Text("p", heading, "tw-empty-head")
        Text("p", advice, "tw-note")
        if command:
            Text("code", command)


def button(label: str, action: Callable[[], Awaitable[None]], kind: str = "", **attributes: str) -> Any:
    """A button whose errors are told to the visitor."""
    made = Text("button", label, f"tw-button {kind}")
    made.props["type"] = "button"
    for name, value in attributes.items():
        made.props[name.replace("_", "-")] = value
    made.on("click", told(action))
    return made


def segments(label: str, names: Iterable[str], chosen: str, choose: Callable[[str], Awaitable[None]]) -> None:
    """A row of which one is chosen; `choose` is told the name of another that was clicked."""
    with element("div", "tw-segments", role="group", aria_label=label):
        for name in names:
            made = Text("button", name)
            made.props["type"] = "button"
            made.props["aria-pressed"] = "true" if name == chosen else "false"
            made.on("click", told(partial(choose, name)))


def told(action: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """`action`, with the errors that are meant for people shown to them."""

    async def run() -> None:
        try:
            await action()
        except TwinwrightError as error:
            ui.notify(str(error), type="negative", position="bottom", multi_line=True)

    return run


@contextmanager
def table(head: Sequence[tuple[str, str]], label: str) -> Iterator[None]:
    """A table whose columns are (heading, classes); it scrolls by itself where it is too wide."""
    with element("div", "tw-scroll", tabindex="0", role="region", aria_label=label), element("table", "tw-table"):
        with element("thead"), element("tr"):
            for heading, classes in head:
                Text("th", heading, classes).props["scope"] = "col"
        with element("tbody"):
            yield
