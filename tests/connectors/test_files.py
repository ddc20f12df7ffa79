"""Files in folders: whole ones only, each once, resumed where the store says."""

import json
import os
import threading
import time

import pytest
from pydantic import ValidationError

from twinwright.connectors.conformance import Case, SourceConformance, take
from twinwright.connectors.files import FilesBinding, FilesSettings, FilesSource
from twinwright.connectors.runner import SourceRunner
from twinwright.documents import Spec
from twinwright.errors import UsageError
from twinwright.observability.metrics import Metrics
from twinwright.telemetry.connector import Bound

SETTLED = 10.0


def source(folder, path="*.json", format="json", *, settle="PT0S", **options):
    settings = FilesSettings(folder=str(folder), scan="PT0.05S", settle=settle)
    return FilesSource("inbox", settings, (Bound("c", format, FilesBinding(path=path, chunk_bytes=1_024, **options)),))


def put(folder, name, numbers, age=SETTLED):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"n": f"<{n}>", "pad": "x" * 300}) + "\n" for n in numbers))
    os.utime(path, (time.time() - age,) * 2)
    return path


class TestFiles(SourceConformance):
    @pytest.fixture
    def case(self, tmp_path):
        fed = [0]

        def feed(count):
            put(tmp_path, f"{fed[0]:05}.json", range(fed[0], fed[0] + count))
            fed[0] += count
            return [f"<{n}>".encode() for n in range(fed[0] - count, fed[0])]

        return Case(make=lambda: source(tmp_path), feed=feed, positioned=True)


def test_captures_of_the_path_go_with_the_payload(tmp_path, intake):
    put(tmp_path, "line-1/pump-7.json", [1])
    put(tmp_path, "line-1/fan-7.json", [2])
    one = source(tmp_path, "{line}/pump-{unit}.json")
    one.open(intake.positions)
    (delivery,) = take(Case(lambda: one, None, intake=intake), one, [b"<1>"])
    assert delivery.payloads[0].captures == {"line": "line-1", "unit": "7"}
    one.close()


def test_absolute_paths_and_any_depth_are_found(tmp_path, intake):
    put(tmp_path, "a/b/c/1.json", [1])
    put(tmp_path, "2.json", [2])
    one = source(".", f"{tmp_path}/**/{{day}}.json")
    one.open(intake.positions)
    deliveries = take(Case(lambda: one, None, intake=intake), one, [b"<1>", b"<2>"])
    assert sorted(d.payloads[0].captures["day"] for d in deliveries) == ["1", "2"]
    one.close()


def test_a_file_that_still_changes_is_left_until_it_has_settled(tmp_path, intake):
    put(tmp_path, "new.json", [1], age=0.0)
    one = source(tmp_path, settle="PT1S")
    one.open(intake.positions)
    assert one.poll(0.2) is None
    deadline = time.monotonic() + 60
    while (delivery := one.poll(0.2)) is None and time.monotonic() < deadline:
        pass
    assert b"<1>" in delivery.payloads[0].body
    one.close()


def test_a_finished_file_is_not_read_again_and_a_changed_one_is(tmp_path, intake):
    put(tmp_path, "1.json", [1, 2])
    case = Case(lambda: source(tmp_path), None, intake=intake)
    one = case.make()
    one.open(intake.positions)
    take(case, one, [b"<2>"])
    one.close()
    one.open(intake.positions)
    assert one.poll(0.3) is None
    put(tmp_path, "1.json", [1, 2, 3], age=5)
    (delivery,) = take(case, one, [b"<3>"])
    assert delivery.positions[0].start == 0
    one.close()


def append(path, text, age):
    with path.open("ab") as file:
        file.write(text)
    os.utime(path, (time.time() - age,) * 2)


@pytest.mark.parametrize("restarted", [False, True])
def test_of_a_file_that_has_grown_only_what_is_new_is_read(tmp_path, intake, restarted):
    path = put(tmp_path, "log.csv", [], age=100)
    append(path, b"t,x\n" + b"".join(b"%d,<%d>\n" % (n, n) for n in range(300)), 90)
    case = Case(lambda: source(tmp_path, "*.csv", "csv"), None, intake=intake)
    one = case.make()
    one.open(intake.positions)
    assert len(take(case, one, [b"<299>"])) > 1
    for round in (1, 2):
        if restarted:
            one.close()
            one = case.make()
            one.open(intake.positions)
        append(path, b"%d,<new-%d>\n" % (round, round), 90 - round)
        (delivery,) = take(case, one, [b"<new-%d>" % round])
        assert delivery.payloads[0].body == b"t,x\n%d,<new-%d>\n" % (round, round)
    assert one.poll(0.3) is None
    one.close()


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"<1>\n<2>\n", b"<3>\n<2>\n<4>\n"), (b"<1>\n<2", b"<1>\n<2>\n<3>\n"), (b"<1>\n<2>\n", b"<1>\n"), (b"<1>\n", b"<9>\n")],
)
def test_a_file_that_has_become_another_is_read_whole(tmp_path, intake, before, after):
    """Changed within, grown from the middle of a line, cut off, or written anew."""
    path = tmp_path / "points.txt"
    path.write_bytes(before)
    os.utime(path, (1, 1))
    case = Case(lambda: source(tmp_path, "*.txt", "line-protocol"), None, intake=intake)
    one = case.make()
    one.open(intake.positions)
    take(case, one, [before.split(b"\n")[0]])
    path.write_bytes(after)
    os.utime(path, (9, 9))
    (delivery,) = take(case, one, [after.strip().split(b"\n")[-1]])
    assert delivery.payloads[0].body == after
    one.close()


def test_csv_takes_its_delimiter_from_the_binding(tmp_path, intake):
    (tmp_path / "a.csv").write_text("t;x\n" + "".join(f"{n};<{n}>\n" for n in range(400)))
    os.utime(tmp_path / "a.csv", (1, 1))
    one = source(tmp_path, "*.csv", "csv", delimiter=";")
    one.open(intake.positions)
    deliveries = take(Case(lambda: one, None, intake=intake), one, [b"<399>"])
    assert len(deliveries) > 2
    assert all(delivery.payloads[0].body.startswith(b"t;x\n") for delivery in deliveries)
    one.close()


def test_a_file_that_cannot_be_read_does_not_hold_up_its_neighbours(tmp_path, intake):
    (tmp_path / "1.json").write_bytes('{"a": 1}'.encode("utf-16"))
    (tmp_path / "2.parquet.json.gz").write_bytes(b"not gzip")
    for path in tmp_path.iterdir():
        os.utime(path, (1, 1))
    put(tmp_path, "3.json", [3])
    (tmp_path / "4.json").mkdir()
    one = source(tmp_path, "*.json*")
    one.open(intake.positions)
    (delivery,) = take(Case(lambda: one, None, intake=intake), one, [b"<3>"])
    assert b"<3>" in delivery.payloads[0].body
    one.close()


def test_closing_ends_a_poll(tmp_path, intake):
    one = source(tmp_path)
    one.open(intake.positions)
    threading.Timer(0.2, one.close).start()
    begun = time.monotonic()
    assert one.poll(120) is None
    assert time.monotonic() - begun < 60


def test_files_go_through_the_runner_once_though_the_store_fails_between(tmp_path, intake):
    put(tmp_path, "1.json", range(20))
    put(tmp_path, "2.json", range(20, 40))
    failing = [3, 5, 6]

    def fail(delivery):
        failing[:] = [n - 1 for n in failing]
        if 0 in failing:
            raise OSError("disk full")

    intake.fail = fail
    runner = SourceRunner(source(tmp_path), "inbox", (), intake, intake.positions, Metrics.create(), wait=lambda seconds: False)
    runner.start()
    assert intake.wait_for(lambda i: b"<39>" in b"".join(i.bodies))
    assert runner.stop(60)
    text = b"".join(intake.bodies)
    assert [text.count(f"<{n}>".encode()) for n in range(40)] == [1] * 40


def test_a_missing_folder_says_so(tmp_path, intake):
    with pytest.raises(UsageError, match="no such folder"):
        source(tmp_path / "gone").open(intake.positions)


def test_a_binding_of_another_connector_is_refused(tmp_path):
    with pytest.raises(UsageError, match="contract 'c'"):
        FilesSource("inbox", FilesSettings(), (Bound("c", "json", Spec()),))


@pytest.mark.parametrize(
    "options", [{"path": ""}, {"path": "{a"}, {"path": "{a}/{a}"}, {"path": "x", "delimiter": ";;"}, {"path": "x", "colour": 1}]
)
def test_a_wrong_binding_is_refused(options):
    with pytest.raises(ValidationError):
        FilesBinding(**options)


@pytest.mark.parametrize("scan", ["5 s", 5, "P1Y"])
def test_a_wrong_duration_is_refused(scan):
    with pytest.raises(ValidationError, match="duration"):
        FilesSettings(scan=scan)
