"""The runner of the pages' commands notices what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from page_shell import run, steps

PAGE = """# A page
```console
$ mkdir a && cd a
$ pwd
/...a
$ printf 'one\\ntwo\\n' \\
  | sort
one
two
$ cat <<END
> word
> END
word
```
Some words, and a block that is only shown:
```text
$ no such thing
```
```console exit=1
$ true
$ false
```
"""


WARM = """```console exit=2
$ printf "%s" words > words
$ twinwright --help | head -1 > help && cat words
words
$ A="a b" twinwright state --workspace "no where" < words
error: there is no workspace at ...no where. Make one with: twinwright init DIR
```
"""


LEFT = """```console
$ twinwright init plant --example host && cd plant && twinwright up --port 0 > up.out 2> up.log &
$ until grep -q 127 plant/up.out 2> nothing; do sleep 0.1; done
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_commands_share_a_shell_and_are_compared(page: Path, tmp_path: Path) -> None:
    assert run(page, tmp_path) == []


def test_a_step_knows_its_line_and_exit_code(page: Path) -> None:
    assert [(step.line, step.code) for step in steps(PAGE)] == [(3, 0), (4, 0), (6, 0), (10, 0), (20, 0), (21, 1)]


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("\nword\n```", "\nother\n```", "should say"),
        ("$ false", "$ true", "ended with 0, not 1"),
        ("$ true", "$ false", "ended with 1, not 0"),
        ("$ pwd", "$ exit 3", "never finished"),
        ("$ pwd", "$ nosuchcommand", "ended with 127"),
    ],
)
def test_a_page_that_is_wrong_is_reported_with_its_line(page: Path, tmp_path: Path, right: str, wrong: str, said: str) -> None:
    page.write_text(PAGE.replace(right, wrong))
    (problem,) = run(page, tmp_path)
    assert said in problem
    assert problem.startswith("page.md:")


def test_what_a_page_leaves_running_is_ended(page: Path, tmp_path: Path) -> None:
    page.write_text("```console\n$ sleep 600 > /dev/null 2>&1 & echo $! > pid\n```\n")
    assert run(page, tmp_path) == []
    pid = int((tmp_path / "pid").read_text())
    assert wait_until(lambda: gone(pid))


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(done: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether it comes true; a process that was killed is gone a moment later."""
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.01)
    return done()


def test_a_command_that_begins_warm_ends_as_it_does_otherwise(tmp_path: Path, warm: Path) -> None:
    (tmp_path / "page.md").write_text(WARM)
    assert run(tmp_path / "page.md", tmp_path, warm) == []
    assert run(tmp_path / "page.md", tmp_path) == []


def test_a_command_that_begins_warm_dies_with_who_started_it(tmp_path: Path, warm: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(LEFT)
    assert run(page, tmp_path, warm) == []
    workspace = str(tmp_path / "plant")
    assert wait_until(lambda: not [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == workspace])
