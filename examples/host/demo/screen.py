"""What people see: calm lines, tables, and on a terminal a live picture of the load while it is being made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from demo.feed import Feed

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_EVERY = 5  # samples between two lines where there is no terminal


def sparkline(values: Sequence[float], top: float) -> str:
    """A bar for each value, the highest for `top`."""
    return "".join(_BARS[min(int(value / top * len(_BARS)), len(_BARS) - 1)] if top > 0 else _BARS[0] for value in values)


class Screen:
    """A terminal, or a file that lines are written to."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._step = 0

    def step(self, title: str, why: str) -> None:
        """What happens now, and why it matters."""
        self._step += 1
        self.console.print(f"\n[bold]{self._step}. {title}[/bold]\n   [dim]{why}[/dim]")

    def say(self, text: str) -> None:
        self.console.print(Text("   " + text))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Numbers to the right, names to the left."""
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for index, name in enumerate(columns):
            table.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(_shown(value) for value in row))
        self.console.print(_Indented(table))

    @contextlib.contextmanager
    def watching(self, feed: Feed, seconds: float) -> Iterator[Callable[[float, str], None]]:
        """Call what it gives with the time that has passed and what happens now; it draws, or writes a line now and then."""
        if not self.console.is_terminal:
            yield _PlainWatch(self, feed)
            return
        with Live(console=self.console, refresh_per_second=4, transient=True) as live:
            yield lambda passed, now: live.update(_picture(feed, passed, seconds, now))


class _PlainWatch:
    def __init__(self, screen: Screen, feed: Feed) -> None:
        self._screen, self._feed = screen, feed
        self._told, self._last = 0, ""

    def __call__(self, passed: float, now: str) -> None:
        count = len(self._feed.samples)
        if now != self._last or count >= self._told + _PLAIN_EVERY:
            self._told, self._last = count, now
            newest = self._feed.samples[-1] if count else {}
            seen = f"; active tasks {newest['active']:.1f}, load {newest['load_1']:.2f}" if "load_1" in newest else ""
            self._screen.say(f"{passed:4.0f} s  {now}{seen}")


def _picture(feed: Feed, passed: float, seconds: float, now: str) -> Group:
    samples, tally = list(feed.samples), feed.relay.tally
    lines = [Text.assemble(f"   {passed:4.0f} of {seconds:.0f} s  ", (now, "bold"))]
    for field, name in (("active", "active tasks"), ("load_1", "load average")):
        values = [sample[field] for sample in samples if field in sample]
        if values:
            top = max(*values, 1.0)
            lines.append(Text.assemble(f"   {name:13} ", (sparkline(values, top), "cyan"), f" {values[-1]:.2f}"))
    refused = tally.refused.total()
    lines.append(Text(f"   the relay has sent {tally.received}: {tally.duplicate} repeated, {tally.delayed} delayed, {refused} broken"))
    return Group(*lines)


class _Indented:
    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: Any) -> Iterator[Any]:
        from rich.padding import Padding

        yield Padding(self._table, (0, 0, 0, 3), expand=False)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
