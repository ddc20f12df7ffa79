"""Who looks at the console in a browser."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect


class Visitor:
    """A signed-in page that remembers what went wrong on it and where it asked."""

    def __init__(self, page: Page, plant: Any) -> None:
        self.page, self.url = page, plant.server.url
        self.problems: list[str] = []
        self.elsewhere: list[str] = []
        page.on("console", lambda message: self.problems.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self._seen(request.url))
        page.goto(plant.login)

    def _seen(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.elsewhere.append(url)

    def open(self, name: str) -> Page:
        self.page.goto(f"{self.url}/console/{name}")
        expect(self.page.locator("h1")).to_be_visible()
        return self.page
