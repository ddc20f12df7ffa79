"""Runs are given again where they are the same, told in words, exported with their provenance, and pruned."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from dataclasses import replace

import msgspec
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from tests.simulation.conftest import MemoryRecords
from tests.simulation.kinds import function, head, made

from twinwright.clock import SECOND, ManualClock, from_iso
from twinwright.errors import NotFoundError, StoreError, UsageError
from twinwright.simulation import comparison, run_files
from twinwright.simulation.executor import Cancelled, Work, run_all
from twinwright.simulation.outcomes import Limits, Success
from twinwright.simulation.run_migration import move_into_batches
from twinwright.simulation.runs import LARGEST_BATCH, RunWriter
from twinwright.simulation.service import SimulationService


def ask(service, admin, definition, question, **how):
    return service.simulate(admin, question, definition, **how)["runs"]


def test_the_same_request_gets_the_stored_runs_unless_fresh(service, admin, model, scenario):
    definition = model()
    question = scenario(definition, 'sweep: {k1: [0.4, 0.5]}\nconstraints: ["y < 9 V"]')
    first = ask(service, admin, definition, question)
    again = ask(service, admin, definition, scenario(definition, 'sweep: {k1: [0.5, 0.6]}\nconstraints: ["y < 1 V"]'))
    assert [one["reused"] for one in first + again] == [False, False, True, False]
    assert again[0]["id"] == first[1]["id"] and again[0]["outputs"] == first[1]["outputs"]
    assert again[0]["constraints"][0]["kept"] is False  # judged by the new question
    fresh = ask(service, admin, definition, question, fresh=True)
    assert not {one["id"] for one in fresh} & {one["id"] for one in first}
    moved = ask(service, admin, definition, replace(question, start=question.start + 3600 * SECOND, inputs=question.inputs))
    assert not any(one["reused"] for one in moved)


class Asked(MemoryRecords):
    """Records that tell which questions they were asked."""

    def __init__(self):
        super().__init__()
        self.questions = []

    def records(self, principal, kind):
        self.questions.append(kind)
        return super().records(principal, kind)

    def records_of_digest(self, principal, kind, digests):
        self.questions.append(f"{kind} by digest")
        return [one for one in super().records(principal, kind) if one.body.get("digest") in digests]

    def get_record(self, principal, kind, id):
        self.questions.append(f"{kind} {id}")
        return super().get_record(principal, kind, id)


def test_a_sweep_is_asked_of_the_store_once_in_whatever_order_and_what_is_damaged_is_run_again(
    history, admin, simple, scenario, tmp_path, monkeypatch
):
    records = Asked()
    service = SimulationService(history, records, tmp_path / "runs", ManualClock(from_iso("2026-03-01T09:00:00Z")))
    definition = simple("if p[0] == 3.0:\n    raise ValueError('three')\nreturn (p[0],)")
    first = ask(service, admin, definition, scenario(definition, "sweep: {k: [1, 2, 3]}"))
    second = ask(service, admin, definition, scenario(definition, "sweep: {k: [4, 5, 6]}"))
    known = {run["sweep"]["k"]: run for run in first + second}
    opened, models = [], run_files.ModelDefinition.from_data
    monkeypatch.setattr(run_files.ModelDefinition, "from_data", lambda data: opened.append(1) or models(data))
    records.questions.clear()
    mixed = ask(service, admin, definition, scenario(definition, "sweep: {k: [6, 1, 5, 3, 4, 2]}"))
    assert [one for one in records.questions if one.startswith("run")] == ["run by digest"]
    assert len(opened) == 1, "what runs share is read once"
    assert [run["sweep"]["k"] for run in mixed] == [6, 1, 5, 3, 4, 2]
    assert all(run["reused"] and run == {**known[run["sweep"]["k"]], "reused": True} for run in mixed)
    batch = records.get_record(admin, "run", first[0]["id"]).body["batch"]
    (tmp_path / "runs" / "batches" / batch / "runs.parquet").write_bytes(b"damaged")
    again = ask(service, admin, definition, scenario(definition, "sweep: {k: [1, 2, 3, 4, 5, 6]}"))
    assert [run["reused"] for run in again] == [False] * 3 + [True] * 3
    assert [run["outputs"] for run in again] == [run["outputs"] for run in first + second]


def test_runs_of_the_same_numbers_are_told_apart_by_twin_and_time(service, admin, simple, scenario):
    """Of a model without inputs the digest is the same whoever it is run for, and whenever."""
    definition = simple("return (p[0],)")
    question = scenario(definition)
    asked = [
        question,
        replace(question, twin="tanks-2"),
        replace(question, start=question.start + SECOND),
        replace(question, twin="tanks-2", start=question.start + SECOND),
    ]
    first = [ask(service, admin, definition, one)[0] for one in asked]
    assert len({run["digest"] for run in first}) == 1 and not any(run["reused"] for run in first)
    for run in first[:2]:  # as summaries were before they said it
        body = service.runs.records.get_record(admin, "run", run["id"]).body
        service.runs.records.put_record(admin, "run", run["id"], {name: value for name, value in body.items() if name != "from"})
    again = [ask(service, admin, definition, one)[0] for one in asked]
    assert [(run["reused"], run["id"]) for run in again] == [(True, run["id"]) for run in first]
    without = service.simulate(admin, question, definition, outputs="none")["runs"]
    assert [(run["id"], run["outputs"]) for run in without] == [(first[0]["id"], {})]


def test_what_the_machine_failed_at_is_run_again(service, admin, simple, scenario):
    definition = simple("while True:\n    pass\nreturn (0.0,)")
    question = scenario(definition, "limits: {wall: PT1S}")
    (first,), (second,) = (ask(service, admin, definition, question) for _ in range(2))
    assert first["failure"]["kind"] == "timeout" and second["id"] != first["id"] and not second["reused"]


def test_inputs_are_kept_once_and_costs_and_who_asked_are_told(service, admin, model, scenario, tmp_path):
    definition = model()
    runs = ask(service, admin, definition, scenario(definition, "sweep: {k1: [0.3, 0.4, 0.5]}"))
    assert len(list((tmp_path / "runs" / "inputs").glob("*.parquet"))) == 1
    record = service.show(admin, runs[0]["id"])
    assert record["principal"] == admin.name and record["cost"]["bytes"] == 31 * 3 * 8 and record["cost"]["cpu_seconds"] > 0


def test_the_runs_of_a_sweep_are_kept_together_and_read_apart(service, admin, simple, scenario, tmp_path):
    """Some fail, samples cross row groups, and each is given back as it was."""
    definition = simple("if p[0] == 3.0:\n    raise ValueError('three')\nreturn (p[0],)")
    asked = ask(service, admin, definition, scenario(definition, "sweep: {k: [1, 2, 3, 4]}"))
    (folder,) = (tmp_path / "runs" / "batches").iterdir()
    whole = pq.read_table(folder / "outputs.parquet")
    pq.write_table(whole, folder / "outputs.parquet", row_group_size=40)
    assert whole.num_rows == 3 * 121 and len(service.list(admin)["runs"]) == 4
    for run in asked:
        shown = service.show(admin, run["id"])
        assert shown["outputs"] == run["outputs"] and shown["failure"] == run["failure"]
        assert service.verify(admin, run["id"])["verified"]


class Written(RunWriter):
    """A writer that tells how many runs each batch had."""

    def __init__(self, service, admin, clock):
        self.batches, self.told = [], []
        super().__init__(service.runs, admin, clock, lambda run: self.told.append(run.id))

    def flush(self):
        self.batches += [len(self._waiting)] if self._waiting else []
        super().flush()


def stored(service, admin, definition, question, count):
    """Some runs that are kept nowhere yet."""
    one = service.runs.load(admin, ask(service, admin, definition, question)[0]["id"])
    ids = [f"{index:016x}" for index in range(count)]
    return [msgspec.structs.replace(one, id=id, own={**one.own, "id": id}) for id in ids]


def test_a_batch_ends_when_it_is_large_or_old_and_with_its_writer(service, admin, simple, scenario):
    definition = simple("return (p[0],)")
    runs = stored(service, admin, definition, scenario(definition), LARGEST_BATCH + 5)
    clock = ManualClock(0)
    with Written(service, admin, clock) as writer:
        for run in runs[: LARGEST_BATCH + 2]:
            writer.add(run)
        assert writer.batches == [LARGEST_BATCH]
        clock.advance(2 * SECOND)
        writer.add(runs[LARGEST_BATCH + 2])
        assert writer.batches == [LARGEST_BATCH, 3]
        big = msgspec.structs.replace(
            runs[LARGEST_BATCH + 3], outputs=np.zeros((1 << 21, 1)), states=np.zeros((1 << 21, 1)), times=np.arange(float(1 << 21))
        )
        writer.add(big)
        writer.add(runs[LARGEST_BATCH + 4])
    assert writer.batches == [LARGEST_BATCH, 3, 1, 1]
    assert writer.told == [run.id for run in runs], "who added them is not told of each in turn"
    assert service.show(admin, runs[200].id)["outputs"] == service.show(admin, runs[LARGEST_BATCH + 4].id)["outputs"]
    assert service.runs.load(admin, big.id).outputs.shape == (1 << 21, 1)


def test_a_number_of_numpys_is_kept_as_the_number_that_it_is(service, admin, simple, scenario):
    definition = simple("return (p[0],)")
    (run,) = stored(service, admin, definition, scenario(definition), 1)
    run.own["sweep"] = {"p": np.float64(0.1), "n": np.int64(3)}
    with Written(service, admin, ManualClock(0)) as writer:
        writer.add(run)
    assert service.show(admin, run.id)["sweep"] == {"p": 0.1, "n": 3}


def test_what_has_ended_is_kept_whatever_ends_the_rest_but_a_full_disk(service, admin, simple, scenario, tmp_path):
    definition = simple("return (p[0],)")
    runs = stored(service, admin, definition, scenario(definition), 2)
    with pytest.raises(KeyboardInterrupt), Written(service, admin, ManualClock(0)) as writer:
        writer.add(runs[0])
        raise KeyboardInterrupt
    assert service.show(admin, runs[0].id)["id"] == runs[0].id
    folder = tmp_path / "runs" / "batches"
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="can't be kept"), Written(service, admin, ManualClock(0)) as writer:
        writer.add(runs[1])
    assert runs[1].id not in {one["id"] for one in service.list(admin)["runs"]}


def test_runs_of_the_layout_before_are_moved_into_batches(service, admin, model, scenario, tmp_path):
    definition = model()
    (run,) = ask(service, admin, definition, scenario(definition))
    shown, kept = service.show(admin, run["id"]), service.runs.load(admin, run["id"])
    runs = tmp_path / "runs"
    old = runs / run["id"]
    for name, content in kept.definition.artefacts.items():
        (old / "artefact" / name).parent.mkdir(parents=True, exist_ok=True)
        (old / "artefact" / name).write_bytes(content)
    (batch,) = (runs / "batches").iterdir()
    (batch / "outputs.parquet").rename(old / "outputs.parquet")
    (batch / "states.parquet").rename(old / "states.parquet")
    (old / "record.json").write_text(json.dumps(kept.record))
    (old / "log.txt").write_text(kept.log)
    shutil.rmtree(batch)
    summary = service.runs.records.get_record(admin, "run", run["id"]).body
    service.runs.records.put_record(admin, "run", run["id"], {name: one for name, one in summary.items() if name != "batch"})
    (runs / "0123456789abcdef").mkdir()  # nobody knows of it
    assert move_into_batches(service.runs, admin) == 1
    assert move_into_batches(service.runs, admin) == 0
    assert not old.exists() and service.show(admin, run["id"]) == shown
    assert service.verify(admin, run["id"])["verified"]


def of_before(path):
    """A catalogue as it was written before what records have in common was told once."""
    table = pq.read_table(path)
    common = json.loads(table.schema.metadata[b"twinwright.common"])
    rows = zip(table["common"].to_pylist(), table["record"].to_pylist(), strict=True)
    whole = [json.dumps(common[place] | json.loads(own)) for place, own in rows]
    pq.write_table(table.drop_columns("common").set_column(1, "record", [whole]).replace_schema_metadata(None), path)


def test_batches_of_the_format_before_are_read_and_those_of_a_later_one_are_refused(service, admin, simple, scenario, tmp_path):
    definition = simple("if p[0] == 3.0:\n    raise ValueError('three')\nreturn (p[0],)")
    asked = ask(service, admin, definition, scenario(definition, "sweep: {k: [1, 2, 3]}"))
    shown = [service.show(admin, run["id"]) for run in asked]
    (path,) = (tmp_path / "runs" / "batches").glob("*/runs.parquet")
    of_before(path)
    assert [service.show(admin, run["id"]) for run in asked] == shown
    assert service.verify(admin, asked[0]["id"])["verified"]
    ask(service, admin, definition, scenario(definition, "sweep: {k: [4]}"))
    assert service.prune(admin, before=0)["bytes"] == 0, "what batches of either format have is not unused"
    table = pq.read_table(path).replace_schema_metadata({"twinwright.format": "3"})
    pq.write_table(table, path)
    with pytest.raises(StoreError, match="its format is 3"):
        service.show(admin, asked[0]["id"])


def test_runs_of_several_twins_and_inputs_in_one_batch_have_each_their_own_record(service, admin, simple, scenario):
    definition = simple("return (p[0],)")
    runs = stored(service, admin, definition, scenario(definition), 6)
    shared = [{"twin": "a", "status": None}, {"twin": "b", "status": None}]
    runs = [
        msgspec.structs.replace(
            run,
            common=shared[index % 2],
            inputs=run.inputs if index < 4 else run.inputs[: run.times.size].copy(),
            own={**{name: one for name, one in run.own.items() if name != "twin"}, "status": "ok", "member": index},
        )
        for index, run in enumerate(runs)
    ]
    with Written(service, admin, ManualClock(0)) as writer:
        for run in runs:
            writer.add(run)
    for index, run in enumerate(runs):
        shown = service.show(admin, run.id)
        assert (shown["twin"], shown["status"], shown["member"]) == ("ab"[index % 2], "ok", index)


def test_compare_names_the_first_differing_step_where_nothing_else_differs(service, admin, model, scenario, tmp_path):
    definition = model()
    a, b = (ask(service, admin, definition, scenario(definition), fresh=True)[0]["id"] for _ in range(2))
    (path,) = (tmp_path / "runs" / "batches").glob(f"{service.runs.records.get_record(admin, 'run', b).body['batch']}/outputs.parquet")
    table = pq.read_table(path)
    y = table.column("y").to_numpy().copy()
    y[3] += 1
    pq.write_table(table.set_column(2, table.schema.field("y"), [y]), path)
    assert service.compare(admin, a, b)["first_difference"] == {"what": "output y", "t": 12.0, "a": y[3] - 1, "b": y[3]}


def test_numbers_that_are_equal_and_of_other_bytes_are_told_apart():
    one, other = np.array([[1.0, np.nan], [0.0, 2.0]]), np.array([[1.0, np.nan], [-0.0, 3.0]])
    assert comparison._first_place(one, other) == (1, 0)


def test_a_run_is_explained_in_words(service, admin, model, scenario):
    definition = model()
    more = 'inputs: {u: {scale: 1.3}}\nconstraints: ["y < 1 V"]\nevents: [{at: PT1M, input: u, stuck: true}]'
    (run,) = ask(service, admin, definition, scenario(definition, more))
    said = "\n".join(service.explain(admin, run["id"])["sentences"])
    for part in (
        "It assumes that flow through an orifice follows Torricelli's law.",
        "Input u came from the observed history of pump_voltage: 61 values, the newest of 2026-03-01T08:02:00Z",
        "Outside of what the model is meant for: 'u' leaves its validity [0, 1.5]",
        "The constraint y < 1 V is violated, first at 2026-03-01T08:00:00Z.",
        "From 2026-03-01T08:01:00Z on: u stuck.",
    ):
        assert part in said


def test_what_was_changed_of_an_input_is_told(service, admin, model, scenario):
    definition = model()
    more = "inputs: {u: {scale: 1.3, add: 0.5}}\nsweep: {u.add: [0.25]}\nevents: [{at: PT1M, for: PT10S, input: u, add: 20, unit: mV}]"
    (swept,) = ask(service, admin, definition, scenario(definition, more))
    (given,) = ask(
        service, admin, definition, scenario(definition, "inputs: {u: {constant: 20, unit: mV}}\nparameters: {k1: {normal: [0.05, 0.01]}}")
    )
    said = "\n".join(service.explain(admin, swept["id"])["sentences"])
    assert "when used. It was taken times 1.3, plus 0.25 V." in said
    assert "From 2026-03-01T08:01:00Z for PT10S: u x 1 + 20 mV." in said
    assert "Input u was given as a constant of 20 mV." in service.explain(admin, given["id"])["sentences"]
    assert any(text.startswith("one draw of the distribution of 'k1' is run: give `ensemble") for text in given["warnings"])


def test_an_export_is_a_valid_crate(service, admin, model, scenario, tmp_path):
    definition = model()
    (run,) = ask(service, admin, definition, scenario(definition))
    folder = tmp_path / "crate"
    answer = service.export(admin, run["id"], folder)
    assert set(answer["files"]) == {one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file()}
    crate = json.loads((folder / "ro-crate-metadata.json").read_text())
    assert crate["@context"] == "https://w3id.org/ro/crate/1.1/context"
    entities = {one["@id"]: one for one in crate["@graph"]}
    assert len(entities) == len(crate["@graph"])
    descriptor, root = entities["ro-crate-metadata.json"], entities["./"]
    assert descriptor["@type"] == "CreativeWork" and descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert root["@type"] == "Dataset" and {"name", "description", "datePublished", "license"} <= set(root)
    assert all((folder / part["@id"]).is_file() and entities[part["@id"]]["@type"] == "File" for part in root["hasPart"])
    assert all("@id" in one and "@type" in one for one in crate["@graph"])
    action = entities["#run"]
    for name in ("agent", "instrument", "object", "result"):
        for one in action[name] if isinstance(action[name], list) else [action[name]]:
            assert one["@id"] in entities
    assert pq.read_table(folder / "outputs.parquet").schema.field("y").metadata == {b"unit": b"V"}
    with pytest.raises(UsageError, match="not an empty folder"):
        service.export(admin, run["id"], folder)


def test_pruning_removes_old_runs_and_the_inputs_that_no_other_has(service, admin, model, scenario, tmp_path):
    definition = model()
    ask(service, admin, definition, scenario(definition))
    (other,) = ask(service, admin, definition, scenario(definition, "inputs: {u: {scale: 2}}"))
    service.clock.advance(3600 * SECOND)
    (new,) = ask(service, admin, definition, scenario(definition, "parameters: {k1: 0.3}"))
    before = service.clock.now() - 60 * SECOND
    assert service.prune(admin, before=before, dry_run=True)["removed"] == 2 and len(service.list(admin)["runs"]) == 3
    told = service.prune(admin, before=before)
    assert told["removed"] == 2 and told["bytes"] > 0
    assert [one["id"] for one in service.list(admin)["runs"]] == [new["id"]]
    for kind in ("batches", "inputs", "models"):
        assert len(list((tmp_path / "runs" / kind).iterdir())) == 1
    assert service.verify(admin, new["id"])["verified"]
    with pytest.raises(NotFoundError, match="was pruned"):
        service.show(admin, other["id"])


def work(definition, count, parameter="k", limits=None, samples=3):
    times = np.arange(float(samples))
    data = definition.as_data()
    common = {"model": data, "states": {}, "times": times, "inputs": np.zeros((samples, len(definition.inputs))), "seed": 0}
    return [Work(definition, {**common, "parameters": {parameter: float(i)}}, limits or Limits(60.0)) for i in range(count)]


def of_runs() -> list[str]:
    """The processes of runs that are there; other tests may have left a server or a browser open."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(" ".join(one.cmdline()))
    return [line for line in found if "fork_server" in line]


def test_members_of_a_batch_are_told_apart_and_equal_single_runs(simple):
    """One member of each kind of trouble among many: each is told as its own, the others have the answers of runs alone."""
    definition = simple("if p[0] == 5.0:\n    return (x[0] / (p[0] - 5.0),)\nif p[0] == 7.0:\n    return ((-1.0) ** x[7],)\nreturn (p[0],)")
    outcomes = dict(run_all(work(definition, 24), workers=2))
    assert sorted(outcomes) == list(range(24))
    assert [outcomes[5].kind, outcomes[7].kind] == ["nan", "raised"]
    good = [index for index, one in outcomes.items() if isinstance(one, Success)]
    assert len(good) == 22
    alone = dict(run_all(work(definition, 1)))[0]
    assert alone.result["outputs"].tobytes() == outcomes[0].result["outputs"].tobytes()
    assert all(outcomes[i].result["states"][:, 0].tolist() == [1, 1 + i, 1 + 2 * i] for i in good)


def test_what_ends_a_child_ends_no_other_run_and_leaves_nothing():
    """Crashes, hangs and memory in a share of many runs: the others finish, each failure is told by its kind, nothing is left."""
    fields = {"parameters": "{k: {value: 0}}"}
    code = "k = p[0]\n    import os, time\n    if k == 3: os.abort()\n    if k == 11: time.sleep(1e6)\n"
    code += "    if k == 17: return (float(bytearray(1 << 34)[0]),)\n    if k == 23: os._exit(9)\n    return (k,)"
    run_all_ = dict(run_all(work(function(code, **fields), 2), workers=2))  # templates are up before children are counted
    assert len(run_all_) == 2
    outcomes = dict(run_all(work(function(code, **fields), 40, limits=Limits(2.0, 1 << 28)), workers=2))
    failed = {index: one.kind for index, one in outcomes.items() if not isinstance(one, Success)}
    assert failed == {3: "crashed", 11: "timeout", 17: "memory", 23: "exited"}
    assert all(one.result["outputs"][0, 0] == index for index, one in outcomes.items() if index not in failed)
    assert len(of_runs()) <= 12  # the root and its templates; no run is left


def test_a_crash_in_a_batch_is_blamed_on_its_member_alone():
    """A linear system is safe to batch; a member whose numbers are huge is killed by its limit, and its neighbours are not."""
    text = head("linear", inputs="{u: {}}", outputs="{y: {}}", parameters="{k: {value: 1}}", transfer="{y: {u: {num: [k], den: [1, 1]}}}")
    definition = made(text)
    jobs = work(definition, 12)
    big = np.arange(3_000_000.0)
    jobs[6] = msgspec.structs.replace(jobs[6], payload={**jobs[6].payload, "times": big, "inputs": np.zeros((big.size, 1))})
    jobs = [msgspec.structs.replace(one, limits=Limits(60.0, 64 << 20)) for one in jobs]
    outcomes = dict(run_all(jobs, workers=2))
    assert {index for index, one in outcomes.items() if not isinstance(one, Success)} == {6} and outcomes[6].kind == "memory"


class Cancelling(list):
    """Work of which nothing is wanted any more once a number of runs was begun."""

    cancel = threading.Event()

    def __getitem__(self, index):
        if index == 40:
            self.cancel.set()
        return super().__getitem__(index)


def test_a_request_that_is_cancelled_ends_with_what_has_begun(simple):
    jobs = Cancelling(work(simple("return (p[0],)"), 5000))
    seen = []
    with pytest.raises(Cancelled):
        for index, _ in run_all(jobs, workers=2, cancel=jobs.cancel):
            seen.append(index)
    assert 1 <= len(seen) < 5000


class Counted(MemoryRecords):
    """Counts the records that are read."""

    def __init__(self):
        super().__init__()
        self.read = 0

    def records(self, principal, kind):
        self.read += len(self.items)
        return super().records(principal, kind)

    def records_of_digest(self, principal, kind, digests):
        found = [one for one in self.items if one.kind == kind and one.body.get("digest") in digests]
        self.read += len(found)
        return found


def read_by_an_answer(service, admin, definition, question, others):
    """How many records are read to answer two runs from the store, beside so many that were asked something else."""
    service.runs.records = Counted()
    ask(service, admin, definition, question(definition, "sweep: {k: [1, 2]}"))
    (some,) = [one for one in service.runs.records.items if one.body["sweep"] == {"k": 1.0}]
    for index in range(others):
        service.runs.records.put_record(admin, "run", f"{index:016x}", {**some.body, "digest": f"{index:064x}"})
    service.runs.records.read = 0
    again = ask(service, admin, definition, question(definition, "sweep: {k: [1, 2]}"))
    assert [one["reused"] for one in again] == [True, True]
    return service.runs.records.read


def test_what_an_answer_from_the_store_reads_does_not_grow_with_what_was_run(service, admin, simple, scenario, monkeypatch):
    definition = simple("return (p[0] - x[0],)", parameters="{k: {value: 1}}")
    assert read_by_an_answer(service, admin, definition, scenario, 0) == read_by_an_answer(service, admin, definition, scenario, 500) == 2

    def by_all(self, principal, kind, digests):
        return [one for one in self.records(principal, kind) if one.body["digest"] in digests]

    monkeypatch.setattr(Counted, "records_of_digest", by_all)
    assert read_by_an_answer(service, admin, definition, scenario, 500) > 500, "the broken variant is seen"
