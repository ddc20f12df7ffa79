"""What the documentation says is so: commands run, links lead somewhere, generated pages are current, no command lacks a page."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from page_shell import run, steps

from twinwright.cli import app

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))])
WITH_COMMANDS = [page for page in PAGES if any(steps(page.read_text("utf-8")))]
NAMES = [str(page.relative_to(REPOSITORY)) for page in PAGES]
HOW_TO = (
    *("init", "plan", "apply", "schema", "contracts", "up", "ingest", "replay", "state", "history", "query", "dead-letters", "reconcile"),
    *("kpi", "clock", "fork", "simulate", "runs", "calibrate", "validate", "promote"),
)
COMMAND = typer.main.get_command(app)
ROOMS = ("benchmarks", "docs", "examples", "src", "tests")
CODE = [path.relative_to(REPOSITORY).as_posix() for room in ROOMS for path in (REPOSITORY / room).rglob("*.py")]


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


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.stem)
def test_every_python_file_that_is_named_is_there(page: Path) -> None:
    named = re.findall(r"`([\w./-]+\.py)`", page.read_text("utf-8"))
    assert [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in CODE)] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_that_is_named_is_there_with_its_options(page: Path) -> None:
    assert list(unknown(page.read_text("utf-8"))) == []


def test_a_command_or_option_that_is_not_there_is_seen() -> None:
    assert list(unknown("`twinwright plann`, `twinwright fork made` and `twinwright plan --dry`")) == ["plann", "fork made", "plan --dry"]


def unknown(text: str) -> Iterator[str]:
    """What is named in backquotes after `twinwright` and is no command, or no option of it."""
    for words in re.findall(r"`twinwright ([a-z][^`]*)`", text):
        command, path = COMMAND, []
        for word in words.split():
            if not isinstance(command, typer.core.TyperGroup) or not re.fullmatch("[a-z-]+", word):
                break
            path.append(word)
            if word not in command.commands:
                yield " ".join(path)
                break
            command = command.commands[word]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
        yield from (f"{' '.join(path)} {option}" for option in re.findall(r"(?<!\S)--[a-z-]+", words) if option not in known)


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
