"""What every test run obeys: in CI no test is skipped, and every room at the core is covered by itself."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage
from coverage.exceptions import NoDataError
from hypothesis import is_hypothesis_test
from numba.core.dispatcher import _FunctionCompiler
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

REPOSITORY = Path(__file__).resolve().parent.parent
RECORDS = REPOSITORY.parent / "shared" / "data"  # measured data, kept outside the repository; tests read it in place
CORE_ROOMS = ("schema", "storage", "telemetry", "twins", "simulation")
LONG = ("acceptance", "docs", "faults")  # folders
TOGETHER = "tests/console/"  # one plant and one browser
# Where lines are run so often that measuring them costs minutes and adds nothing, as in all that Hypothesis draws: others reach them.
UNMEASURED = (
    *(f"tests/{folder}/" for folder in (*LONG, "laws")),
    "tests/derived/test_law.py",
    "tests/schema/test_specification.py",
    "tests/simulation/shadow/test_law.py",
    "tests/schema/test_load.py::test_the_elements_of_an_interface_are_counted_in_all",
    "tests/schema/test_load.py::test_inheritance_is_as_deep_as_the_version_allows_and_no_deeper",
)
FORBID_SKIPS = os.environ.get("TWINWRIGHT_FORBID_SKIPS") == "1"
CAP_SYS_ADMIN = 1 << 21
ROOM_COVERAGE = float(os.environ.get("TWINWRIGHT_ROOM_COVERAGE", "0"))
_SHORTFALLS = pytest.StashKey[list[str]]()


class ByFile(LoadScopeScheduling):
    """A file stays on one worker, and so does what shares a browser; the tests of pages, which take long and share nothing, are spread."""

    def _split_scope(self, nodeid: str) -> str:
        if "/test_pages.py::" in nodeid:
            return nodeid
        return TOGETHER if nodeid.startswith(TOGETHER) else nodeid.split("::", 1)[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


@pytest.fixture(scope="session", autouse=True)
def _compiling_is_not_measured() -> Iterator[None]:
    """numba's compiler is plain Python, and slow: to trace it where lines are measured makes it slower by half and says nothing."""
    compile_function = _FunctionCompiler.compile

    def untraced(self: _FunctionCompiler, *arguments: Any) -> Any:
        tracer = sys.gettrace()
        sys.settrace(None)
        try:
            return compile_function(self, *arguments)
        finally:
            sys.settrace(tracer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_FunctionCompiler, "compile", untraced)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker is left alone with it at the end; what need not be measured is not."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)  # stable
    for item in items:
        if item.nodeid.startswith(UNMEASURED) or is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("no_cover")


def _forbid(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Make a failure of a skip, unless it is for want of the measured data, or of the right to mount, which not every machine gives."""
    if not (FORBID_SKIPS and report.skipped):
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", report.longrepr))
    if "shared/data" in reason and not RECORDS.exists():
        return
    if "can be mounted" in reason and not _may_mount():
        return
    if hasattr(report, "wasxfail"):
        del report.wasxfail
    report.outcome = "failed"
    report.longrepr = f"skips are forbidden here: {reason}"


def _may_mount() -> bool:
    """Whether the kernel lets this process mount: root within a container mostly may not."""
    capabilities = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
    return bool(int(capabilities.split()[1], 16) & CAP_SYS_ADMIN)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """After pytest-cov has combined its data: fail the run for each core room below the bound."""
    result = yield
    if ROOM_COVERAGE and not hasattr(session.config, "workerinput"):
        session.config.stash[_SHORTFALLS] = shortfalls = list(_below(ROOM_COVERAGE))
        session.testsfailed += len(shortfalls)
    return result


def _below(bound: float) -> Iterator[str]:
    coverage = Coverage()
    coverage.load()
    for room in CORE_ROOMS:
        try:
            percent = coverage.report(file=io.StringIO(), include=[f"*/twinwright/{room}/*"])
        except NoDataError:
            percent = 0.0
        if percent < bound:
            yield f"the room {room} is covered to {percent:.1f} %, less than {bound:g} %"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_SHORTFALLS, []):
        terminalreporter.write_line(f"FAIL {line}", red=True)
