"""What the documentation says is so: commands run, links lead somewhere, generated pages are current, no command lacks a page."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml
from page_shell import run, steps

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))])
WITH_COMMANDS = [page for page in PAGES if any(steps(page.read_text("utf-8")))]
NAMES = [str(page.relative_to(REPOSITORY)) for page in PAGES]
HOW_TO = (
    *(
        "init",
        "plan",
        "apply",
        "schema",
        "contracts",
        "up",
        "ingest",
        "replay",
        "state",
        "history",
        "query",
        "dead-letters",
        "reconcile",
        "kpi",
        "clock",
    ),
    *("clock", "fork", "simulate", "runs", "calibrate", "validate", "promote"),
)


@pytest.mark.timeout(600)  # a page has dozens of commands
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.stem)
def test_the_commands_of_a_page_do_what_it_says(page: Path, tmp_path: Path, warm: Path) -> None:
    wrong = run(page, tmp_path, warm)
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_documents_shown_can_be_read(page: Path) -> None:
    for kind, body in re.findall(r"^```(yaml|json)\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        assert (yaml.safe_load if kind == "yaml" else json.loads)(body) is not None


@pytest.mark.parametrize("command", HOW_TO)
def test_every_command_has_a_page_that_runs_it(command: str) -> None:
    page = DOCS / "how-to" / f"{command}.md"
    assert any(f"twinwright {command}" in step.command for step in steps(page.read_text("utf-8")))


def test_the_generated_reference_is_current() -> None:
    spec = importlib.util.spec_from_file_location("generate_reference", DOCS / "generate.py")
    assert spec and spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    stale = [name for name, text in generate.pages().items() if (DOCS / "reference" / name).read_text("utf-8") != text]
    assert stale == [], "run `make docs`"
