"""Every command gives the same answer with the platform stopped and running: two copies of one workspace, one of them up."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.plant import FILES, telemetry, workspace
from tests.acceptance.running import Answer, Up, twinwright, write

from twinwright.platform.interface_graph import GraphSurface
from twinwright.platform.wire import METHODS

VOLATILE = {
    "seconds",
    "uptime_seconds",
    "pause_seconds",
    "lastUpdateTime",
    "$lastUpdateTime",
    "$etag",
    "wall_seconds",
    "cpu_seconds",
    "peak_memory",
    "report",
    "cost",
    "created",
    "at",
    "started",
    "token",
    "now",
    "ageSeconds",
    "before",
    "oldest",
    "newest",
    "submitted",
    "finished",
    "commit",  # one that is stopped materialises after each command
    "base",
}
FROM, TO = "2026-03-01T08:00:00Z", "2026-03-01T08:20:00Z"

ROOMS = "SELECT T.$dtId AS pump FROM DIGITALTWINS T WHERE T.$dtId = 'pump-1'"

# In order: later commands see what earlier ones did. {run}, {set} and {letter} are what the copy at hand has.
COMMANDS: dict[str, tuple[str, ...]] = {
    "plan": ("plan",),
    "apply nothing": ("apply",),
    "state": ("state",),
    "state of one": ("state", "pump-1"),
    "facts": ("state", "--facts"),
    "state as of": ("state", "pump-1", "--as-of", "2026-03-01T08:05:00Z"),
    "state known at a commit": ("state", "--known-at", "1"),
    "state of another lane": ("state", "--lane", "desired"),
    "state after": ("state", "pump-1", "--after", "2"),
    "state of nobody": ("state", "pump-7"),
    "state at a bad time": ("state", "--as-of", "noon"),
    "state at a commit to come": ("state", "--known-at", "99999"),
    "graph diff": ("graph", "diff", "--from", "1", "--to", "2", "--limit", "1"),
    "graph diff of a bad time": ("graph", "diff", "--from", "noon"),
    "update on trial": ("update", "SELECT T FROM DIGITALTWINS T", "--set", "drive=1 mV", "--dry-run"),
    "update that does not fit": ("update", "SELECT T FROM DIGITALTWINS T", "--set", "drive=1 bar"),
    "update as no version": ("update", "SELECT T FROM DIGITALTWINS T", "--set", "drive=1", "--interface", "dtmi:test:Pmup;1"),
    "updates that were interrupted": ("update", "--unfinished"),
    "import by query on trial": ("import", "query", ROOMS, "--template", "{folder}/gauges.yaml", "--dry-run"),
    "import by query": ("import", "query", ROOMS, "--template", "{folder}/gauges.yaml"),
    "import by query again": ("import", "query", ROOMS, "--template", "{folder}/gauges.yaml"),
    "import of rows": ("import", "query", ROOMS, "--template", "{folder}/gauges.yaml", "--rows", "{folder}/rooms.csv", "--on", "pump"),
    "import by query of no column": ("import", "query", "SELECT T.$dtId AS p FROM DIGITALTWINS T", "--template", "{folder}/gauges.yaml"),
    "imports by query that were interrupted": ("import", "query", "--unfinished"),
    "import of what is there": ("import", "adt", "{folder}/schema/pump.json"),
    "import of no such interface": ("import", "csv", "{folder}/logger.csv", "--interface", "dtmi:test:Pmup;1"),
    "history": ("history", "pump-1", "pressure"),
    "history of a window": ("history", "pump-1", "pressure", "--from", FROM, "--to", TO, "--unit", "bar"),
    "history resampled": ("history", "pump-1", "drive", "--every", "PT1M", "--agg", "max"),
    "history of no path": ("history", "pump-1", "presure"),
    "history in no unit": ("history", "pump-1", "pressure", "--unit", "degC"),
    "history of nothing": ("history", "pump-2", "drive"),
    "dead letters": ("dead-letters", "list"),
    "dead letters by reason": ("dead-letters", "list", "--reason", "malformed", "--limit", "1"),
    "a dead letter": ("dead-letters", "show", "{letter}"),
    "no dead letter": ("dead-letters", "show", "999999"),
    "kpi": ("kpi",),
    "clock": ("clock", "show"),
    "trust the clock": ("clock", "trust"),
    "reconcile": ("reconcile",),
    "reconcile with a snapshot": ("reconcile", "--against", "{folder}/snapshot.ndjson", "--contract", "pump"),
    "repair by a snapshot": ("reconcile", "--against", "{folder}/snapshot.ndjson", "--contract", "pump", "--repair"),
    "reconcile afterwards": ("reconcile", "--against", "{folder}/snapshot.ndjson", "--contract", "pump"),
    "reconcile with a missing snapshot of the source": ("reconcile", "--against", "source", "--contract", "pump"),
    "reconcile by an address that must not be asked": ("reconcile", "--against", "http://example.com/x", "--contract", "pump"),
    "gaps that no contract speaks of": ("reconcile", "--gaps"),
    "what is compared at regular times": ("reconcile", "--list"),
    "a comparison that there is not": ("reconcile", "--run", "nightly"),
    "reconcile with no file": ("reconcile", "--against", "{folder}/gone", "--contract", "pump"),
    "repair by nothing": ("reconcile", "--repair"),
    "reconcile by no contract": ("reconcile", "--against", "{folder}/snapshot.ndjson"),
    "ingest": ("ingest", "{folder}/more.ndjson", "--contract", "pump"),
    "ingest again": ("ingest", "{folder}/more.ndjson", "--contract", "pump"),
    "ingest under no contract": ("ingest", "{folder}/more.ndjson", "--contract", "pmup"),
    "ingest no file": ("ingest", "{folder}/gone.ndjson", "--contract", "pump"),
    "ingest by the other contract": ("ingest", "{folder}/logger.csv", "--contract", "logger"),
    "two sources": ("history", "pump-2", "pressure"),
    "retry on trial": ("dead-letters", "retry", "--dry-run"),
    "retry": ("dead-letters", "retry"),
    "expire by no setting": ("dead-letters", "expire"),
    "expire nothing": ("dead-letters", "expire", "--older-than", "P1D"),
    "expire": ("dead-letters", "expire", "--older-than", "PT0S"),
    "dead letters after": ("dead-letters", "list"),
    "replay, what it costs": ("replay", "--dry-run"),
    "replay": ("replay",),
    "replay slowly": ("replay", "--contract", "pump", "--rate", "100000"),
    "replay at no rate": ("replay", "--rate", "0"),
    "replay one": ("replay", "--contract", "logger"),
    "facts after": ("state", "--facts"),
    "known before": ("state", "--facts", "--known-at", "2"),
    "simulate": ("simulate", "more"),
    "simulate a file": ("simulate", "scenarios/more.yaml"),
    "simulate nothing": ("simulate", "less"),
    "runs": ("runs", "list"),
    "a run": ("runs", "show", "{run}"),
    "verify": ("runs", "verify", "{run}"),
    "compare": ("runs", "compare", "{run}", "{run}"),
    "no run": ("runs", "show", "zzzz"),
    "submit": ("runs", "submit", "more", "--priority", "high"),
    "watch": ("runs", "watch", "{request}"),
    "queue": ("runs", "queue"),
    "fetch": ("runs", "fetch", "{request}", "--output", "{folder}/more.csv"),
    "cancel too late": ("runs", "cancel", "{request}"),
    "submit nothing": ("runs", "submit", "less"),
    "submit at no priority": ("runs", "submit", "more", "--priority", "urgent"),
    "watch nothing": ("runs", "watch", "zzzz"),
    "calibrate": ("calibrate", "lag", "--twin", "pump-1", "--from", FROM, "--to", TO),
    "calibrate no model": ("calibrate", "leg", "--twin", "pump-1"),
    "promote too early": ("promote", "lag", "{set}"),
    "run in words": ("runs", "explain", "{run}"),
    "run exported": ("runs", "export", "{run}", "{folder}/crate"),
    "run exported again": ("runs", "export", "{run}", "{folder}/crate"),
    "runs pruned": ("runs", "prune", "--older-than", "P30D"),
    "shadows": ("shadow", "list"),
    "shadows followed": ("shadow", "run"),
    "no shadow": ("shadow", "show", "none"),
    "no shadow to stop": ("shadow", "stop", "none"),
    "no shadow to start": ("shadow", "start", "none"),
    "no shadow to replay": ("shadow", "replay", "none"),
    "validate": ("validate", "lag", "--twin", "pump-1", "--from", TO, "--to", "2026-03-01T08:30:00Z", "--parameters", "{set}"),
    "promote": ("promote", "lag", "{set}"),
    "schema": ("schema", "validate", "{folder}/schema/pump.json"),
    "schema diff": ("schema", "diff", "{folder}/schema/pump.json", "{folder}/schema/pump.json"),
    "contract examples": ("contracts", "test"),
    "contract differences": ("contracts", "diff"),
    "contract of a sample": ("contracts", "infer", "{folder}/logger.csv"),
    "contract documents": ("contracts", "docs", "--out", "{folder}/contract-docs"),
    "a fork": ("fork", "create", "what-if"),
    "a fork again": ("fork", "create", "what-if"),
    "forks": ("fork", "list"),
    "ingest in a fork": ("ingest", "{folder}/more.ndjson", "--contract", "pump", "--fork", "what-if"),
    "state in a fork": ("state", "--facts", "--fork", "what-if"),
    "what a fork differs in": ("fork", "diff", "what-if"),
    "state in no fork": ("state", "--fork", "what-of"),
    "fork dropped": ("fork", "drop", "what-if"),
    "kpi at the end": ("kpi",),
    "reconcile at the end": ("reconcile",),
}
BREAKING = {
    "a twin more": (
        "twins.yaml",
        lambda text: text.replace("relationships:", "  - {$dtId: pump-3, $metadata: {$model: 'dtmi:test:Pump;1'}}\nrelationships:"),
    ),
    "a twin less": ("twins.yaml", lambda text: re.sub(r"  - (\$dtId: pump-2\n.*|\{\$relationshipId.*)\n", "", text)),
    "a contract changed in place": ("contracts/pump.yaml", lambda text: text.replace("1600", "1700")),
    "a contract revised": ("contracts/pump.yaml", lambda text: text.replace("1600", "1700").replace("revision: 1", "revision: 2")),
    "a broken contract": ("contracts/pump.yaml", lambda text: text.replace("kPa", "K")),
}


class Copies:
    """The same workspace twice, one stopped, one up; and the ids that each has given."""

    def __init__(self, stopped: Path, running: Path) -> None:
        self.folders = {"stopped": stopped, "running": running}
        self.names: dict[str, dict[str, str]] = {which: {"folder": str(folder)} for which, folder in self.folders.items()}

    def both(self, arguments: tuple[str, ...]) -> tuple[Answer, Answer]:
        stopped, running = (self._one(which, arguments) for which in self.folders)
        return stopped, running

    def _one(self, which: str, arguments: tuple[str, ...]) -> Answer:
        line = [part.format(**self.names[which]) for part in arguments]
        folder = self.folders[which]
        answer = twinwright(*line, workspace=None if line[0] == "schema" else folder)
        if answer.code in (0, 1):
            self._remember(which, line, answer)
        return answer

    def _remember(self, which: str, line: list[str], answer: Answer) -> None:
        if line[:2] == ["dead-letters", "list"] and answer.json["items"]:
            self.names[which].setdefault("letter", str(answer.json["items"][0]["id"]))
        if line[0] == "simulate" and answer.code == 0:
            self.names[which].setdefault("run", answer.json["runs"][0]["id"])
        if line[:2] == ["runs", "submit"]:
            self.names[which]["request"] = answer.json["id"]
        if line[0] == "calibrate":
            self.names[which]["set"] = answer.json["id"]

    def plain(self, which: str, value: Any) -> Any:
        """Without what is another at every call: durations, clocks, ids of runs; and the folder's own name."""
        if isinstance(value, dict):
            kept = {key: self.plain(which, item) for key, item in value.items() if key not in VOLATILE and not key.startswith("freshness.")}
            return kept | {key: "<id>" for key in ("id", "first", "second") if isinstance(kept.get(key), str)}
        if isinstance(value, list):
            return [self.plain(which, item) for item in value]
        if isinstance(value, str):
            value = value.replace(self.names["stopped"]["folder"], "<folder>")  # where files were that both have taken in
            for name, id in self.names[which].items():
                value = value.replace(id, f"<{name}>") if len(id) > 8 else value
            return re.sub(r"\b[0-9a-f]{32}\b", "<id>", value)
        return value


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copies]:
    first = workspace(tmp_path_factory.mktemp("same") / "stopped")
    lines = telemetry().splitlines()
    write(first, {"first.ndjson": "\n".join(lines[:250] + lines[-4:]) + "\n", "more.ndjson": "\n".join(lines[200:]) + "\n"})
    write(first, {"snapshot.ndjson": lines[249] + '\n{"id": "pump-2", "ts": "2026-03-01T08:00:00Z", "p": 4}\nnot json\n'})
    write(first, {"logger.csv": "when,kPa\n2026-03-01T09:00:00,5\n2026-03-01T09:00:00,5\n2026-03-01T09:01:00,x\n"})
    gauge = "{$dtId: 'gauge-{pump}', $metadata: {$model: 'dtmi:test:Pump;1'}}"
    edge = "{$relationshipId: g, $sourceId: '{pump}', $targetId: 'gauge-{pump}', $relationshipName: feeds}"
    write(first, {"gauges.yaml": f"twins:\n  - {gauge}\nrelationships:\n  - {edge}\n", "rooms.csv": "pump,room\npump-1,r1\npump-9,r9\n"})
    assert twinwright("apply", workspace=first).code == 0
    assert twinwright("ingest", first / "first.ndjson", "--contract", "pump", workspace=first).code == 0
    second = shutil.copytree(first, first.parent / "running")
    running = Up(second)
    yield Copies(first, second)
    assert running.stop() == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_gives_the_same_answer_stopped_and_running(name: str, copies: Copies) -> None:
    stopped, running = copies.both(COMMANDS[name])
    assert (running.code, running.err) == (stopped.code, stopped.err)
    assert copies.plain("running", running.json) == copies.plain("stopped", stopped.json)


@pytest.mark.parametrize("name", BREAKING)
def test_plan_and_apply_say_the_same_stopped_and_running(name: str, copies: Copies) -> None:
    file, change = BREAKING[name]
    edit: Callable[[str], str] = change
    texts = {which: (folder / file).read_text() for which, folder in copies.folders.items()}
    for which, folder in copies.folders.items():
        assert edit(texts[which]) != texts[which]
        write(folder, {file: edit(texts[which])})
    codes = set()
    for command in ("plan", "apply", "plan"):
        stopped, running = copies.both((command,))
        codes.add(stopped.code)
        assert (running.code, running.err) == (stopped.code, stopped.err)
        assert copies.plain("running", running.json) == copies.plain("stopped", stopped.json)
    if codes != {0}:
        for which, folder in copies.folders.items():
            write(folder, {file: texts[which]})
    stopped, running = copies.both(("state",))
    assert copies.plain("running", running.json) == copies.plain("stopped", stopped.json)


def test_a_model_or_scenario_that_was_edited_is_the_edited_one_stopped_and_running(copies: Copies) -> None:
    for folder in copies.folders.values():
        write(folder, {"scenarios/more.yaml": FILES["scenarios/more.yaml"].replace("scale: 1.5", "scale: 1.25")})
        write(folder, {"models/lag.yaml": FILES["models/lag.yaml"].replace("tau: {value: 30", "tau: {value: 40")})
        write(folder, {"scenarios/again.yaml": FILES["scenarios/more.yaml"].replace("name: more", "name: again")})
    for name in ("more", "again"):
        stopped, running = copies.both(("simulate", name))
        assert (running.code, running.err) == (stopped.code, stopped.err)
        assert copies.plain("running", running.json) == copies.plain("stopped", stopped.json)


def test_the_table_covers_what_the_socket_answers() -> None:
    """Methods that no command of the table reaches are those of the API and the console alone."""
    reached = {
        "plan",
        "apply",
        "contract_diff",
        "ingest",
        "replay",
        "dead_letters",
        "dead_letter",
        "retry_dead_letters",
        "expire_dead_letters",
        "state",
        "history",
        "reconcile",
        "gaps",
        "reconciliations",
        "run_reconciliation",
        "kpi",
        "clock",
        "trust_clock",
    }
    reached |= {
        "simulate",
        "submit_run",
        "watch_request",
        "run_requests",
        "request_results",
        "cancel_request",
        "runs",
        "run",
        "verify_run",
        "compare_runs",
        "explain_run",
        "export_run",
        "prune_runs",
        "shadows",
        "shadow_run",
        "shadow",
        "shadow_stop",
        "shadow_start",
        "shadow_replay",
        "calibrate",
        "validate",
        "promote",
    }
    reached |= {"forks", "create_fork", "fork_diff", "drop_fork"}
    theirs = {
        "push",
        "twins",
        "relationships",
        "relationship_page",
        "interfaces",
        "paths",
        "status",
        "metrics",
        "models",
        "scenarios",
        "report",
    }
    theirs |= {"parameter_sets", "parameter_set", "validations"}
    theirs |= {"query"}
    theirs |= {"run_request"}  # what `watch` gives in the end
    theirs |= {"run_report"}  # a file for people, in test_run_report.py
    theirs |= {"shadow_said"}  # a stream of the API, in tests/api/test_shadows.py
    theirs |= {"backup", "restore", "export", "import_"}  # in test_keeping.py
    theirs |= {name for name in vars(GraphSurface) if not name.startswith("_")}
    assert reached | theirs == METHODS


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("twins", ()),
        ("relationships", ()),
        ("relationships", ("pump-1",)),
        ("interfaces", ()),
        ("paths", ("pump-1",)),
        ("models", ()),
        ("scenarios", ()),
        ("parameter_sets", ()),
        ("validations", ()),
    ],
)
def test_the_python_surface_gives_the_same_stopped_and_running(method: str, arguments: tuple[str, ...], copies: Copies) -> None:
    import twinwright as tw

    answers = []
    for which, folder in copies.folders.items():
        with contextlib.closing(tw.open(folder)) as platform:
            answers.append(copies.plain(which, getattr(platform, method)(*arguments)))
    assert answers[0] == answers[1]
