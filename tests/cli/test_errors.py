"""Every mistake in a workspace is told with what, where and remedy, all at once, and nothing is applied."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.acceptance.plant import FILES, workspace
from tests.acceptance.running import Answer, command, twinwright, write

import twinwright as tw


@dataclass(frozen=True)
class Mistake:
    """In `file` what is `old` becomes `new`; the problem is told at the line in which `at` stands (default: `new`)."""

    file: str
    old: str
    new: str | bytes
    says: str
    at: str | None = None

    @property
    def text(self) -> str | bytes:
        if isinstance(self.new, bytes):
            return self.new
        assert self.old in FILES[self.file]
        return FILES[self.file].replace(self.old, self.new, 1)

    @property
    def line(self) -> int:
        assert isinstance(self.text, str)
        at = self.at or str(self.new).splitlines()[0]
        return next(number for number, line in enumerate(self.text.splitlines(), 1) if at in line)


T, S, G, P, L, M, C = (
    "twinwright.toml",
    "schema/pump.json",
    "twins.yaml",
    "contracts/pump.yaml",
    "contracts/logger.yaml",
    "models/lag.yaml",
    "scenarios/more.yaml",
)
MISTAKES = {
    "toml: syntax": Mistake(T, "port = 8420", "port = = 8420", "not valid TOML"),
    "toml: unknown section": Mistake(T, "[api]", "[apis]", "'apis' is not a field here"),
    "toml: unknown key": Mistake(T, "port = 8420", "prot = 8420", "'prot' is not a field here"),
    "toml: wrong type": Mistake(T, "port = 8420", 'port = "high"', "'port'"),
    "toml: out of range": Mistake(T, "port = 8420", "port = 99999", "'port'"),
    "toml: unknown engine": Mistake(T, "[api]", '[store]\nengine = "oracle"\n[api]', "no store engine 'oracle'", 'engine = "oracle"'),
    "toml: unknown connector": Mistake(T, "[api]", '[connectors.x]\ntype = "carrier-pigeon"\n[api]', "carrier-pigeon", "carrier-pigeon"),
    "toml: connector without a type": Mistake(T, "[api]", "[connectors.x]\nhost = 'b'\n[api]", "'type' is missing", "connectors.x"),
    "toml: connector with an unknown option": Mistake(
        T, "[api]", '[connectors.x]\ntype = "mqtt"\nhots = "b"\n[api]', "'hots' is not a field here", "hots"
    ),
    "dtdl: syntax": Mistake(S, '"@type": "Interface",', '"@type": "Interface"', "JSON", '"contents"'),
    "dtdl: bad id": Mistake(S, "dtmi:test:Pump;1", "dtmi:test:9Pump;1", "dtmi:test:9Pump;1"),
    "dtdl: unknown schema": Mistake(S, '"name": "mode", "schema": "string"', '"name": "mode", "schema": "strings"', "strings"),
    "dtdl: missing name": Mistake(S, '"name": "mode", ', "", "name", '"schema": "string"},'),
    "dtdl: duplicate name": Mistake(S, '"Property", "name": "mode"', '"Property", "name": "drive"', "drive"),
    "dtdl: wrong unit": Mistake(S, '"unit": "volt"', '"unit": "kilopascal"', "kilopascal", '["Property", "Voltage"]'),
    "dtdl: unresolved": Mistake(
        S, '"@type": "Interface",', '"@type": "Interface",\n  "extends": "dtmi:test:Gone;1",', "dtmi:test:Gone;1", "extends"
    ),
    "dtdl: unknown context": Mistake(S, "dtmi:dtdl:context;3", "dtmi:dtdl:context;9", "context;9"),
    "twins: not a mapping": Mistake(G, "twins:\n", "twinz:\n", "a mapping with `twins`"),
    "twins: unknown model": Mistake(G, "dtmi:test:Pump;1", "dtmi:test:Pmup;1", "dtmi:test:Pmup;1"),
    "twins: unknown property": Mistake(G, "site: north", "sight: north", "has no property 'sight'"),
    "twins: wrong value": Mistake(G, "site: north", "site: 5", "'site' of 'pump-1'"),
    "twins: declared twice": Mistake(G, "$dtId: pump-2", "'$dtId': pump-1", "declared twice"),
    "twins: no id": Mistake(G, "$dtId: pump-2", "$dtld: pump-2", "$dtId"),
    "twins: unknown target": Mistake(G, "$targetId: pump-2", "$targetId: pump-7", "there is no twin 'pump-7'"),
    "twins: unknown relationship": Mistake(G, "Name: feeds", "Name: fades", "has no relationship 'fades'"),
    "twins: bad since": Mistake(G, "site: north", "$since: monday", "monday"),
    "twins: syntax": Mistake(G, "relationships:\n", "relationships: [\n", "not valid YAML", "- {$relationshipId"),
    "twins: a key twice": Mistake(G, "    site: north", "    site: north\n    site: south", "given twice", "site: south"),
    "contract: unknown field": Mistake(P, "lateness:", "latenes:", "'latenes' is not a field here"),
    "contract: no time": Mistake(P, "time: {field: ts, format: iso8601, zone: UTC}\n", "", "'time' is missing", "name: pump"),
    "contract: unknown path": Mistake(P, "path: drive", "path: drvie", "no twin has a path 'drvie'"),
    "contract: unit missing": Mistake(P, ", unit: V}", "}", "the unit of 'u' is missing", "path: drive"),
    "contract: unit unknown": Mistake(P, "unit: V}", "unit: volts_of_joy}", "volts_of_joy"),
    "contract: unit of the wrong dimension": Mistake(P, "unit: V}", "unit: degC}", "can't be converted"),
    "contract: range downwards": Mistake(P, "range: [0, 1600]", "range: [1600, 0]", "range"),
    "contract: unknown zone": Mistake(P, "zone: UTC", "zone: Mars/Olympus", "Mars/Olympus"),
    "contract: unknown time format": Mistake(P, "format: iso8601", "format: stardate", "stardate"),
    "contract: unknown format": Mistake(P, "format: json", "format: xml", "'format'"),
    "contract: bad duration": Mistake(P, "lateness: PT10M", "lateness: ten minutes", "ten minutes"),
    "contract: bad template": Mistake(P, 'twin: "{id}"', 'twin: "{id"', "template"),
    "contract: a path twice": Mistake(
        P, "path: drive, field: u, unit: V", "path: pressure, field: q, unit: kPa", "observed twice", "field: q"
    ),
    "contract: revision zero": Mistake(P, "revision: 1", "revision: 0", "'revision'"),
    "contract: unknown connector": Mistake(P, "format: json", "source: {connector: nobody}\nformat: json", "no connector 'nobody'"),
    "contract: name of another": Mistake(P, "name: pump", "name: logger", "another contract 'logger'"),
    "contract: source of another": Mistake(P, "format: json", "source: {name: logger}\nformat: json", "'logger'"),
    "contract: a field of two kinds": Mistake(P, "field: u, unit: V", "field: ts, unit: V", "read as"),
    "contract: reserved source": Mistake(P, "name: pump", "name: api", "'api'"),
    "contract: no mapping": Mistake(L, FILES[L], "just text\n", "mapping is expected"),
    "contract: empty": Mistake(L, FILES[L], "# nothing yet\n", "'name' is missing", "# nothing"),
    "model: unknown kind": Mistake(M, "kind: ode", "kind: oracle", "oracle"),
    "model: artefact missing": Mistake(M, "lag.py:rhs", "gone.py:rhs", "gone.py"),
    "model: function missing": Mistake(M, "lag.py:rhs", "lag.py:lhs", "lhs"),
    "model: outside the folder": Mistake(M, "lag.py:rhs", "../../lag.py:rhs", "../../lag.py"),
    "model: unknown property": Mistake(M, "property: drive", "property: drvie", "drvie"),
    "model: unknown interface": Mistake(M, "dtmi:test:Pump;1", "dtmi:test:Gone;1", "no interface dtmi:test:Gone;1"),
    "model: unit of the wrong dimension": Mistake(
        M, "property: drive, unit: V", "property: drive, unit: s", "is in s, but property 'drive' is in V"
    ),
    "model: bounds": Mistake(M, "bounds: [1, 300]", "bounds: [300, 1]", "bounds"),
    "model: unknown start": Mistake(M, "start: x0", "start: y0", "y0"),
    "model: step": Mistake(M, "step: PT5S", "step: soon", "soon"),
    "scenario: unknown model": Mistake(C, "model: lag", "model: leg", "there is no model 'leg'"),
    "scenario: unknown twin": Mistake(C, "twin: pump-1", "twin: pump-7", "there is no twin 'pump-7'"),
    "scenario: unknown input": Mistake(C, "{u: {scale", "{v: {scale", "'v'"),
    "scenario: unknown parameter": Mistake(C, "{tau: 20}", "{tua: 20}", "tua"),
    "scenario: bad time": Mistake(C, "2026-03-01T08:00:00Z", "next spring", "next spring"),
    "scenario: naive time": Mistake(C, "2026-03-01T08:00:00Z", "2026-03-01T08:00:00", "zone"),
    "scenario: bad horizon": Mistake(C, "PT4M", "4 minutes", "4 minutes"),
    "scenario: bad constraint": Mistake(C, "x < 100000 kPa", "x is small", "x is small"),
    "scenario: constraint of the wrong dimension": Mistake(C, "100000 kPa", "5 V", "V"),
    "scenario: bad memory": Mistake(C, "1GiB", "lots", "lots"),
}


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = workspace(tmp_path_factory.mktemp("applied"))
    assert twinwright("apply", workspace=folder).code == 0
    return folder


@pytest.fixture
def copy(applied: Path, tmp_path: Path) -> Path:
    return shutil.copytree(applied, tmp_path / "w")


def no_traceback(answer: Answer) -> None:
    assert "Traceback" not in answer.out + answer.err
    assert not re.search(r"\b(KeyError|TypeError|AttributeError|ValueError|ValidationError|NoneType)\b", answer.out + answer.err)


def commit_of(folder: Path) -> int:
    platform = tw.open(folder)
    try:
        return int(platform.status()["commit"])
    finally:
        platform.close()


def problems_of(folder: Path, *arguments: str) -> list[dict[str, object]]:
    answer = twinwright(*arguments, workspace=folder)
    no_traceback(answer)
    assert answer.code == 2, answer
    assert answer.err == ""
    problems: list[dict[str, object]] = answer.json["error"]["errors"]
    for problem in problems:
        assert problem["message"] and problem["remedy"] and problem["code"], problem
    return problems


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_file_is_told_with_its_line_and_a_remedy_and_nothing_is_applied(mistake: Mistake, copy: Path) -> None:
    before = commit_of(copy)
    write(copy, {mistake.file: mistake.text})
    problems = problems_of(copy, "apply")
    there = [problem for problem in problems if (problem["file"], problem["line"]) == (mistake.file, mistake.line)]
    assert there, f"wanted {mistake.file}:{mistake.line}, told {problems}"
    assert any(mistake.says in f"{problem['message']} {problem['path']}" for problem in there), there
    shown = twinwright("plan", workspace=copy, json=False)
    no_traceback(shown)
    assert (shown.code, shown.out) == (2, "")
    assert f"error: {mistake.file}:{mistake.line}: " in shown.err
    write(copy, {mistake.file: FILES[mistake.file]})
    assert commit_of(copy) == before
    assert twinwright("plan", workspace=copy).good["changes"] == []


BYTES = {"not UTF-8": b"name: \xff\xfe\n", "a NUL": b"name: a\x00b\n", "too deep": b"a: " + b"[" * 500 + b"]" * 500, "empty": b""}


@pytest.mark.parametrize("file", [T, S, G, P, M, C])
@pytest.mark.parametrize("text", BYTES.values(), ids=BYTES)
def test_a_file_of_rubbish_is_told_by_its_name(file: str, text: bytes, copy: Path) -> None:
    write(copy, {file: text})
    answer = twinwright("plan", workspace=copy)
    no_traceback(answer)
    if (file, text) == (T, b""):
        assert answer.good["changes"] == []
        return
    assert answer.code == 2, answer
    told = {problem["file"] for problem in answer.json["error"]["errors"]}
    assert told == ({C} if (file, text) == (G, b"") else {file} if file not in (M,) else told & {M, C})  # what speaks of what is not there


def test_all_mistakes_of_a_folder_are_told_at_once(copy: Path) -> None:
    chosen = [MISTAKES[name] for name in ("toml: unknown key", "twins: unknown property", "contract: unknown zone", "model: unknown kind")]
    write(copy, {mistake.file: mistake.text for mistake in chosen})
    told = {(problem["file"], problem["line"]) for problem in problems_of(copy, "apply")}
    assert {(mistake.file, mistake.line) for mistake in chosen} <= told


# --- commands --------------------------------------------------------------------------------------------------------

COMMANDS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "no such twin": (("state", "pump-7"), "pump-7"),
    "no such twin, nearly": (("history", "pump-l", "pressure"), "Did you mean 'pump-"),
    "no such path": (("history", "pump-1", "presure"), "Did you mean 'pressure'?"),
    "no such lane": (("state", "--lane", "dreamt"), "dreamt"),
    "naive time": (("state", "--as-of", "2026-03-01T08:00:00"), "zone"),
    "no time": (("history", "pump-1", "pressure", "--from", "yesterday"), "yesterday"),
    "no duration": (("history", "pump-1", "pressure", "--every", "5m"), "5m"),
    "no aggregate": (("history", "pump-1", "pressure", "--every", "PT1M", "--agg", "mode"), "mode"),
    "no unit": (("history", "pump-1", "pressure", "--unit", "blinks"), "blinks"),
    "wrong unit": (("history", "pump-1", "pressure", "--unit", "s"), "kPa"),
    "no such commit": (("state", "--known-at", "soon"), "soon"),
    "a commit that has not been": (("state", "--known-at", "999999"), "999999"),
    "no window": (("kpi", "--window", "hour"), "hour"),
    "no such contract": (("ingest", "{file}", "--contract", "pmup"), "pmup"),
    "no such file": (("ingest", "gone.ndjson", "--contract", "pump"), "gone.ndjson"),
    "a folder": (("ingest", "{folder}", "--contract", "pump"), "there is no file"),
    "replay of no contract": (("replay", "--contract", "pmup"), "pmup"),
    "replay from no time": (("replay", "--from", "noon"), "noon"),
    "no such dead letter": (("dead-letters", "show", "77"), "77"),
    "retry of no such dead letter": (("dead-letters", "retry", "77"), "77"),
    "no such reason": (("dead-letters", "list", "--reason", "boredom"), "boredom"),
    "no such scenario": (("simulate", "less"), "less"),
    "no such run": (("runs", "show", "abc"), "abc"),
    "verify no such run": (("runs", "verify", "abc"), "abc"),
    "compare no such runs": (("runs", "compare", "abc", "def"), "abc"),
    "no such executor": (("simulate", "more", "--executor", "tls://moon"), "moon"),
    "no such model": (("calibrate", "leg", "--twin", "pump-1"), "leg"),
    "calibrate on no such twin": (("calibrate", "lag", "--twin", "pump-7"), "pump-7"),
    "calibrate what is none": (("calibrate", "lag", "--twin", "pump-1", "--only", "tua"), "tua"),
    "calibrate on nothing": (("calibrate", "lag", "--twin", "pump-2"), "pump-2"),
    "calibrate on a holdout beyond": (("calibrate", "lag", "--twin", "pump-1", "--holdout", "1.5"), "1.5"),
    "validate no such model": (("validate", "leg", "--twin", "pump-1"), "leg"),
    "validate no such parameters": (("validate", "lag", "--twin", "pump-1", "--parameters", "abc"), "abc"),
    "promote no such parameters": (("promote", "lag", "abc"), "abc"),
    "an unknown option": (("state", "--nope"), "--nope"),
    "a missing argument": (("history", "pump-1"), "PATH"),
    "a missing option": (("ingest", "{file}"), "--contract"),
    "an unknown command": (("stat",), "stat"),
    "an option that is no number": (("dead-letters", "show", "first"), "'ID'"),
    "an option out of range": (("dead-letters", "list", "--limit", "0"), "--limit"),
}


@pytest.mark.parametrize(("arguments", "says"), COMMANDS.values(), ids=COMMANDS)
def test_a_wrong_request_is_told_with_a_remedy_as_one_json_document(arguments: tuple[str, ...], says: str, copy: Path) -> None:
    write(copy, {"lines.ndjson": '{"id": "pump-1", "ts": "2026-03-01T08:00:00Z", "p": 5, "u": 1}\n'})
    twinwright("ingest", copy / "lines.ndjson", "--contract", "pump", workspace=copy)
    before = commit_of(copy)
    line = [part.format(file=copy / "lines.ndjson", folder=copy) for part in arguments]
    at = () if arguments == ("stat",) else ("--workspace", str(copy))
    answer = twinwright(*line, *at)
    no_traceback(answer)
    assert answer.code == 2, answer
    error = answer.json["error"]
    assert says in error["message"], error
    assert error["what"] and error["remedy"], error
    shown = twinwright(*line, *at, json=False)
    no_traceback(shown)
    assert (shown.code, shown.out) == (2, "")
    assert says in re.sub(r"\s+", " ", shown.err)
    assert commit_of(copy) == before


def test_a_workspace_that_is_not_there_is_told(tmp_path: Path) -> None:
    for arguments in (("state",), ("plan",), ("apply",), ("kpi",), ("up",)):
        answer = twinwright(*arguments, workspace=tmp_path / "gone")
        no_traceback(answer)
        assert (answer.code, answer.json["error"]["code"]) == (2, "NotFound")
        assert "init" in answer.json["error"]["remedy"]


def test_a_command_in_the_wrong_folder_says_so_and_leaves_nothing_there(tmp_path: Path) -> None:
    write(tmp_path / "home", {"letter.txt": "dear"})
    for arguments in (("state",), ("apply",), ("kpi",), ("up",)):
        answer = twinwright(*arguments, workspace=tmp_path / "home")
        assert (answer.code, answer.json["error"]["code"]) == (2, "NotFound")
        assert str(tmp_path / "home") in answer.json["error"]["what"] and "init" in answer.json["error"]["remedy"]
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]
    write(tmp_path / "bare", {"twinwright.toml": ""})
    assert twinwright("state", workspace=tmp_path / "bare").good == {"value": []}


def test_two_scenarios_of_one_name_are_a_mistake(copy: Path) -> None:
    write(copy, {"scenarios/other.yaml": FILES["scenarios/more.yaml"]})
    [problem] = twinwright("plan", workspace=copy).json["error"]["errors"]
    assert (problem["file"], problem["line"], problem["code"]) == ("scenarios/other.yaml", 1, "duplicate_scenario")
    assert problem["remedy"]


def test_init_makes_no_mess(tmp_path: Path) -> None:
    assert twinwright("init", tmp_path / "w", "--example", "nothing").code == 2
    assert not (tmp_path / "w").exists()
    write(tmp_path / "full", {"a": ""})
    answer = twinwright("init", tmp_path / "full")
    assert answer.code == 2 and str(tmp_path / "full") in answer.json["error"]["where"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["a"]


def test_what_init_says_comes_next_lets_an_example_be_applied(tmp_path: Path) -> None:
    said = twinwright("init", tmp_path / "car", "--example", "vehicle", json=False).out
    build, then = re.findall(r"twinwright ([^&]+)", said.split("Next: ")[1])
    assert twinwright("apply", workspace=tmp_path / "car").code == 2  # the broken variant: without it
    assert twinwright(*build.split()).code == 0
    assert twinwright("apply", workspace=tmp_path / "car").code == 0
    assert then.split() == ["up", "--workspace", str(tmp_path / "car")]


def test_a_store_that_is_no_store_is_told(copy: Path) -> None:
    (copy / ".twinwright" / "store.duckdb").write_bytes(b"hello" * 5000)
    answer = twinwright("state", workspace=copy)
    no_traceback(answer)
    assert answer.code == 3
    assert "store.duckdb" in answer.json["error"]["message"] and answer.json["error"]["remedy"]


def test_the_process_itself_says_no_more_than_this(copy: Path) -> None:
    """As a user starts it: one line of JSON, nothing on standard error, the exit code."""
    for arguments in (("state", "pump-7"), ("state", "--nope")):
        answer = command(*arguments, workspace=copy)
        assert (answer.code, answer.err) == (2, "")
        assert json.loads(answer.out)["error"]["what"]
