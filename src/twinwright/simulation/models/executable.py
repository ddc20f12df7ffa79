"""Kind `executable`: any program, run once over the whole grid, that reads its inputs and writes its outputs as CSV or JSON.

    command: [octave-cli, --quiet, --no-init-file, "{artefact}", "{input}", "{output}"]
    exchange: csv          # or json
    through: files         # or stdio: the input on standard input, the output on standard output

The command is a list of arguments: no shell reads it. Its program is a file of the model (`{artefact}`), or is named on the machine,
and then looked for in /usr/local/bin, /usr/bin and /bin. It runs inside the run's own child process, within its limits, without
network, environment or any folder of ours.

CSV: a header, then a row for each sample: `t`, the inputs by name, and, the same in every row, the parameters, the states that it starts
from, and `seed`. JSON: `{"t": [...], "inputs": {name: [...]}, "parameters": {...}, "states": {...}, "seed": n}`. It answers with a column
(a list) for each output, and for each declared state, of the same length; other columns are passed over. A program that has no declared
states can't be gone on from where it ended.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import shutil
import signal
import stat
import string
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from twinwright.documents import Document, Problems, Spec
from twinwright.simulation.declaration import ModelSpec
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import Advance, Capabilities, Floats, ModelError, State
from twinwright.simulation.trajectory import check_finite, in_one_piece, initial_state

SEARCHED = "/usr/local/bin:/usr/bin:/bin"
PLACEHOLDERS = ("artefact", "folder", "input", "output")
_OWN_COLUMNS = ("t", "seed")
_MAX_ANSWER = 256 << 20


class ExecutableSpec(ModelSpec):
    """A model file of kind `executable`."""

    artefact: str = Field(default="", description="the program, or the script that it runs, beside this file; may be left out")
    command: Annotated[
        list[Annotated[str, Field(max_length=4096)]],
        Field(min_length=1, max_length=256, description="program and arguments; {artefact} {folder} {input} {output} are filled in"),
    ]
    exchange: Literal["csv", "json"] = Field(default="csv", description="how numbers are written")
    through: Literal["files", "stdio"] = Field(default="files", description="where they are: in files, or on standard input and output")
    deterministic: bool = Field(default=True, description="whether it gives the same bytes for the same input")
    seeded: bool = Field(default=False, description="whether it draws random numbers from `seed`")


class ExecutableModel:
    """A program that answers for the whole grid at once."""

    Spec: ClassVar[type[Spec]] = ExecutableSpec
    warnings: tuple[str, ...] = ()

    @staticmethod
    def check(spec: Any, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> None:  # noqa: ARG004 -- a program is not looked into
        for index, argument in enumerate(spec.command):
            _check_argument(argument, ("command", index), document, problems)
        first = spec.command[0]
        if "{artefact}" in "".join(spec.command) and not spec.artefact:
            message = "the command names {artefact}, and there is none"
            problems.add(document.problem(("command",), message, "Add `artefact:`, or leave the placeholder out", "no_artefact"))
        if "/" in first and not first.startswith(("/", "{")):
            remedy = "Name a program of the machine, or write {artefact} or {folder}/..."
            problems.add(document.problem(("command", 0), f"'{first}' is a path from nowhere", remedy, "bad_program"))
        if spec.through == "files" and "{output}" not in "".join(spec.command):
            remedy = 'Hand it over as an argument: "{output}"; or use `through: stdio`'
            problems.add(document.problem(("command",), "nobody tells the program where to write", remedy, "no_output"))
        for name in (*spec.inputs, *spec.parameters, *spec.states, *spec.outputs):
            if name in _OWN_COLUMNS:
                problems.add(document.problem((), f"'{name}' is a column of its own", "Give it another name", "reserved_name"))

    @staticmethod
    def saves_state(definition: ModelDefinition) -> bool:
        """With declared states the program gives back all that it remembers."""
        return bool(definition.states)

    @staticmethod
    def machine(definition: ModelDefinition) -> dict[str, str]:
        """What of the machine decides the numbers: the program that its name stands for, by the digest of its bytes."""
        program = definition.options["command"][0]
        if program.startswith("{"):
            return {}
        path = shutil.which(program, path=SEARCHED)
        return {program: _file_digest(path, Path(path).stat().st_mtime_ns) if path else "none"}

    def __init__(self, definition: ModelDefinition, folder: Path) -> None:
        options = definition.options
        self.definition, self.folder = definition, folder
        self.exchange, self.through = options["exchange"], options["through"]
        saves = bool(definition.states)
        self.capabilities = Capabilities(save_state=saves, deterministic=options["deterministic"], seeded=options["seeded"])
        self.program = self._program(options["command"][0])

    def initial(self, parameters: Mapping[str, float], states: Mapping[str, float], time: float = 0.0) -> State:
        return initial_state(self.definition, parameters, states, time)

    def advance(self, state: State, times: Floats, inputs: Floats) -> Advance:
        names = [one.name for one in self.definition.outputs]
        saved = [one.name for one in self.definition.states]
        after = state if saved else in_one_piece(state, times, "what the program remembers")
        answer = self._ask(self._question(state, times, inputs))
        columns = _columns(answer, self.exchange, list(dict.fromkeys([*names, *saved])), times.size)
        outputs = np.ascontiguousarray(np.column_stack([columns[name] for name in names]))
        states = np.ascontiguousarray(np.column_stack([columns[name] for name in saved])) if saved else np.empty((times.size, 0))
        check_finite("output", names, times, outputs)
        check_finite("state", saved, times, states)
        if saved:
            after = replace(state, time=float(times[-1]), values=states[-1].copy())
        return Advance(after, outputs, states)

    def _program(self, first: str) -> str:
        filled = _filled(first, {"artefact": str(self.folder / self.definition.artefact), "folder": str(self.folder)})
        if first.startswith("{"):
            path = Path(filled)
            if not path.is_file():
                raise ModelError("refused", f"{first} is no file of the model", remedy="Name it in `artefact` or `files`")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)  # what is applied carries no permission to be run
            return filled
        found = shutil.which(filled, path=SEARCHED)
        if found is None:
            remedy = f"Install it where it is looked for ({SEARCHED}), or bring it as the artefact"
            raise ModelError("refused", f"there is no program '{first}' on this machine", remedy=remedy)
        return found

    def _question(self, state: State, times: Floats, inputs: Floats) -> str:
        constants = {one.name: float(value) for one, value in zip(self.definition.arguments, state.parameters, strict=True)}
        starts = {one.name: float(value) for one, value in zip(self.definition.states, state.values, strict=True)}
        given = {port.name: inputs[:, index].tolist() for index, port in enumerate(self.definition.inputs)}
        if self.exchange == "json":
            return json.dumps({"t": times.tolist(), "inputs": given, "parameters": constants, "states": starts, "seed": state.seed})
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["t", *given, *constants, *starts, "seed"])
        tail = [*(repr(value) for value in (*constants.values(), *starts.values())), state.seed]
        for row in zip(times.tolist(), *given.values(), strict=True):
            writer.writerow([*(repr(value) for value in row), *tail])
        return text.getvalue()

    def _ask(self, question: str) -> str:
        """Run the program in a folder of its own below the run's; its words go to the log. Raises ModelError."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="program-", dir=Path.cwd()) as name:
            work = Path(name)
            suffix = self.exchange
            given, answer = work / f"input.{suffix}", work / f"output.{suffix}"
            given.write_text(question, encoding="utf-8")
            places = {"artefact": self.folder / self.definition.artefact, "folder": self.folder, "input": given, "output": answer}
            filled = {name: str(path) for name, path in places.items()}
            arguments = [self.program, *(_filled(one, filled) for one in self.definition.options["command"][1:])]
            piped = self.through == "stdio"
            with given.open("rb") as source, answer.open("wb") if piped else Path("/dev/null").open("wb") as sink:
                try:
                    ended = subprocess.run(  # noqa: S603 -- a list of arguments, which entered by an apply; nothing of it is read by a shell
                        arguments,
                        stdin=source if piped else subprocess.DEVNULL,
                        stdout=sink if piped else _log(),
                        stderr=_log(),
                        cwd=work,
                        env={"PATH": SEARCHED, "HOME": name, "TMPDIR": name, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"},
                        check=False,
                    )
                except OSError as error:
                    raise ModelError("refused", f"{arguments[0]} can't be run: {error.strerror}", remedy="Is it a program?") from None
            _check_end(ended.returncode, self.definition.options["command"][0])
            return _read(answer)


def _log() -> int:
    """Where a program's words go: what the run's own standard error is, past whatever a test may have put in its place."""
    sys.stderr.flush()
    return 2


def _check_end(code: int, program: str) -> None:
    if code == -signal.SIGXFSZ:
        raise ModelError("output", f"{program} wrote a file past the output limit")
    if code < 0:
        raise ModelError("crashed", f"{program} was killed by {signal.Signals(-code).name}")
    if code:
        raise ModelError("exited", f"{program} ended with exit code {code}", remedy="Its words are in the run's log")


def _read(path: Path) -> str:
    try:
        if path.is_symlink() or path.stat().st_size > _MAX_ANSWER:
            raise ModelError("output", f"the answer is no file of at most {_MAX_ANSWER} bytes")
        return path.read_text(encoding="utf-8-sig")
    except OSError:
        raise ModelError("refused", "the program wrote no answer", remedy="Write it to {output}, or use `through: stdio`") from None
    except UnicodeDecodeError:
        raise ModelError("refused", "the answer is not UTF-8", remedy="Write numbers as text") from None


def _columns(answer: str, exchange: str, names: list[str], count: int) -> dict[str, Floats]:
    found = _of_json(answer) if exchange == "json" else _of_csv(answer)
    columns = {}
    for name in names:
        if name not in found:
            known = ", ".join(list(found)[:20]) or "nothing"
            raise ModelError("refused", f"the answer has no '{name}'", remedy=f"It has: {known}")
        try:
            values = np.array([math.nan if one is None else one for one in found[name]], np.float64)
        except (TypeError, ValueError):
            raise ModelError("refused", f"'{name}' of the answer is not a list of numbers", remedy="Write one number a sample") from None
        if values.shape != (count,):
            raise ModelError("refused", f"the answer has {values.size} values of '{name}', {count} samples are asked for")
        columns[name] = values
    return columns


def _of_json(answer: str) -> dict[str, Any]:
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise ModelError("refused", f"the answer is not JSON: {error}") from None
    inside = found.get("outputs", found) if isinstance(found, dict) else None
    if not isinstance(inside, dict):
        raise ModelError("refused", "the answer is not a JSON object of lists", remedy='Write {"y": [...]}')
    states = found.get("states") if isinstance(found, dict) else None
    return {**(states if isinstance(states, dict) else {}), **inside}


def _of_csv(answer: str) -> dict[str, list[str]]:
    rows = [row for row in csv.reader(io.StringIO(answer), skipinitialspace=True) if row]
    header = [one.strip() for one in rows[0]] if rows else []
    wrong = next((index for index, row in enumerate(rows) if len(row) != len(header)), None)
    if wrong is not None:
        raise ModelError("refused", f"row {wrong + 1} of the answer has {len(rows[wrong])} cells, its header {len(header)}")
    return {name: [row[index] for row in rows[1:]] for index, name in enumerate(header)}


def _check_argument(argument: str, place: tuple[str | int, ...], document: Document, problems: Problems) -> None:
    known = f"Fill in {', '.join('{' + one + '}' for one in PLACEHOLDERS)}; write other braces twice: {{{{ }}}}"
    try:
        fields = [(name, spec, conversion) for _, name, spec, conversion in string.Formatter().parse(argument) if name is not None]
    except ValueError as error:
        problems.add(document.problem(place, f"'{argument}' can't be read: {error}", known, "bad_placeholder"))
        return
    for name, spec, conversion in fields:
        if name not in PLACEHOLDERS or spec or conversion:
            problems.add(document.problem(place, f"'{{{name}}}' stands for nothing", known, "bad_placeholder"))
    if "\0" in argument:
        problems.add(document.problem(place, "an argument has a NUL character", "Remove it", "bad_argument"))


def _filled(argument: str, values: Mapping[str, str]) -> str:
    return "".join(text + (values.get(name, "") if name else "") for text, name, _, _ in string.Formatter().parse(argument))


@lru_cache(maxsize=64)
def _file_digest(path: str, modified: int) -> str:  # noqa: ARG001 -- another time of change is another file
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
