"""One console in a process at a time, and a plain answer where its extra is missing."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from twinwright.console.layout import element
from twinwright.errors import MissingExtraError

TOKEN = "a-token-of-tests-that-is-long-enough"
BEARER = {"authorization": f"Bearer {TOKEN}"}


def test_without_its_extra_the_console_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = sys.modules.pop("twinwright.console")
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "nicegui" else real(name, *rest))
    try:
        with pytest.raises(MissingExtraError, match=r"twinwright\[console\]"):
            importlib.import_module("twinwright.console")
    finally:
        sys.modules["twinwright.console"] = kept


def test_the_console_is_behind_the_same_guard(plant: Any) -> None:
    url = plant.server.url
    paths = (
        "/",
        "/console",
        "/console/",
        "/console/runs",
        "/console/assets/console.css",
        "/console/_nicegui_ws/socket.io/?EIO=4&transport=polling",
    )
    for path in paths:
        assert httpx.get(f"{url}{path}", timeout=60).status_code == 401, path
        assert httpx.get(f"{url}{path}", headers={**BEARER, "host": "evil.example"}, timeout=60).status_code == 421, path
    assert [httpx.get(f"{url}{path}", headers=BEARER, timeout=60).headers["location"] for path in paths[:2]] == ["/console/"] * 2
    page = httpx.get(f"{url}/console/", headers=BEARER, timeout=60)
    policy = page.headers["content-security-policy"]
    assert page.status_code == 200 and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "http" not in policy
    assert page.headers["x-frame-options"] == "DENY"


def test_every_page_is_answered_and_asks_for_nothing_elsewhere(plant: Any) -> None:
    for path in ("", "dead-letters", "runs", "models"):
        page = httpx.get(f"{plant.server.url}/console/{path}", headers=BEARER, timeout=60)
        assert page.status_code == 200
        assert "//cdn" not in page.text and 'src="http' not in page.text and 'href="http' not in page.text


def test_text_from_outside_is_never_html() -> None:
    from nicegui import Client, ui

    with Client(ui.page("/nowhere")):
        made = element("div", title='"><script>alert(1)</script>')
        assert made.props["title"] == '"><script>alert(1)</script>'


SCRIPT = """
import sys
from pathlib import Path
import httpx
from twinwright.api.app import create_app
from twinwright.api.server import Server
from twinwright.api.tokens import TokenAuthority
from twinwright.console import mount
from twinwright.errors import RefusedError
from twinwright.platform.local import LocalPlatform

TOKEN = "a-token-of-tests-that-is-long-enough"
Path(sys.argv[1], "twinwright.toml").write_text("")
platform = LocalPlatform.open(Path(sys.argv[1]))
platform.apply()

def app():
    return create_app(platform, tokens=TokenAuthority(TOKEN), metrics=platform.session.metrics, console=mount)

for turn in range(3):
    with Server(app(), port=0) as server:
        for path in ("", "dead-letters", "runs", "models", "assets/console.css"):
            answer = httpx.get(f"{server.url}/console/{path}", headers={"authorization": f"Bearer {TOKEN}"}, timeout=60)
            assert answer.status_code == 200, (turn, path, answer.status_code, answer.text)
            assert "set-cookie" not in answer.headers or "path=/console" in answer.headers["set-cookie"].lower()
        try:
            app()
        except RefusedError as error:
            print("refused:", error)
platform.close()
print("done")
"""


def test_consoles_follow_each_other_in_a_process_and_never_overlap(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused: a console runs in this process already") == 3 and done.stdout.endswith("done\n")
