"""The ```console blocks of a page, and a shell that runs them in order as a reader would."""

from __future__ import annotations

import contextlib
import doctest
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

LIMIT_SECONDS = 540
_MARK = "--- the command before ended with"
_FENCE = re.compile(r"^```console(?P<options>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_MATCH = doctest.OutputChecker()
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True, slots=True)
class Step:
    """A command, what the page says that it prints (nothing said: anything), its exit code and where it stands."""

    command: str
    expected: str
    code: int
    line: int


def steps(text: str) -> Iterator[Step]:
    """Every command of a page. `$ ` begins one, `> ` or a backslash continues it, and other lines are its output.

    `...` stands for any output. The last command of a block that begins with ```console exit=1 ends so.
    """
    for block in _FENCE.finditer(text):
        option = re.search(r"exit=(\d+)", block["options"])
        code = int(option[1]) if option else 0
        first = text.count("\n", 0, block.start("body")) + 1
        *before, last = _steps_of(block["body"].splitlines(), first)
        yield from before
        yield replace(last, code=code)


def _steps_of(lines: list[str], first: int) -> Iterator[Step]:
    index = 0
    while index < len(lines):
        line, command = first + index, lines[index].removeprefix("$ ")
        assert lines[index].startswith("$ "), f"line {line}: a block begins with a command"
        index += 1
        while command.endswith("\\") or (index < len(lines) and lines[index].startswith("> ")):
            command += "\n" + lines[index].removeprefix("> ")
            index += 1
        begin = index
        while index < len(lines) and not lines[index].startswith("$ "):
            index += 1
        yield Step(command, "\n".join(lines[begin:index]).strip(), 0, line)


def run(page: Path, folder: Path, *first: Path) -> list[str]:
    """Run a page's commands in one shell in an empty folder; returns what was not as the page says. Commands are looked for in `first`."""
    todo = list(steps(page.read_text("utf-8")))
    script = "\n".join(f"{step.command}\nprintf '\\n%s %d\\n' '{_MARK}' $?" for step in todo) + "\n"
    output = _shell(script, folder, first)
    parts = re.split(rf"\n{_MARK} (\d+)\n", output)
    wrong = []
    for number, step in enumerate(todo):
        if 2 * number + 1 >= len(parts):
            wrong.append(f"{page.name}:{step.line}: $ {step.command}\nwas never finished; the shell said:\n{output[-2000:]}")
            break
        said, code = parts[2 * number].strip(), int(parts[2 * number + 1])
        if code != step.code:
            wrong.append(f"{page.name}:{step.line}: $ {step.command}\nended with {code}, not {step.code}:\n{said}")
        elif step.expected and not _MATCH.check_output(step.expected + "\n", said + "\n", _FLAGS):
            wrong.append(f"{page.name}:{step.line}: $ {step.command}\nshould say:\n{step.expected}\nbut says:\n{said}")
    return wrong


def _shell(script: str, folder: Path, first: Sequence[Path]) -> str:
    """What the shell and all that it starts say, in order. What is still running at the end goes with it."""
    path = os.pathsep.join([*map(str, first), str(Path(sys.executable).parent), os.environ["PATH"]])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # measured, a command takes twice as long
    environment = {**inherited, "PATH": path, "HOME": str(folder), "COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:  # a pipe would stay open as long as anything runs
        shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            shell.wait(LIMIT_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        output.seek(0)
        return output.read()
