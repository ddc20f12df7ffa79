"""The page that reports are: one HTML file, light and dark, with nothing fetched from anywhere and no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files


def page(*, title: str, verdict: str, good: bool, tiles: Sequence[tuple[str, str, str]], sections: Sequence[tuple[str, str]]) -> str:
    """A whole page. `tiles`: what, number, note; `sections`: heading and HTML; everything else is text and is escaped."""
    style = files("twinwright.calibration").joinpath("report.css").read_text(encoding="utf-8")
    cards = "".join(
        f'<div class="tile"><div class="what">{escape(what)}</div><div class="number">{escape(number)}</div>'
        f'<div class="note">{escape(note)}</div></div>'
        for what, number, note in tiles
    )
    body = "".join(f"<section><h2>{escape(heading)}</h2>{content}</section>" for heading, content in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title><style>{style}</style></head><body><main>'
        f'<header><h1>{escape(title)}</h1><p class="verdict {"good" if good else "bad"}">{escape(verdict)}</p></header>'
        f'<div class="tiles">{cards}</div>{body}</main></body></html>\n'
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: set[int]) -> str:
    """A table of texts; `numeric`: the columns of numbers."""

    def cell(tag: str, column: int, text: str) -> str:
        kind = ' class="n"' if column in numeric else ""
        return f"<{tag}{kind}>{escape(text)}</{tag}>"

    header = "".join(cell("th", column, text) for column, text in enumerate(head))
    lines = "".join("<tr>" + "".join(cell("td", column, text) for column, text in enumerate(row)) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{header}</tr></thead><tbody>{lines}</tbody></table></div>'


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Names and what is to be said of them."""
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in pairs) + "</dl>"


def listed(items: Sequence[str], empty: str) -> str:
    """A list of sentences, or a note that there is none."""
    if not items:
        return f'<p class="note">{escape(empty)}</p>'
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def quantity(value: float | None, unit: str | None) -> str:
    """A number with its unit."""
    return f"{number(value)} {unit}" if unit and value is not None else number(value)


def share(value: float | None) -> str:
    """A share of one, in percent."""
    return "unknown" if value is None else f"{100 * value:.0f} %"


def number(value: float | None) -> str:
    """Four significant figures; a dash where there is no number."""
    return "–" if value is None else f"{value:.4g}"
