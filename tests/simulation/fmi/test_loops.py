"""The compiled loops and those in Python give the same bytes; they are compiled once, by however many processes; without a compiler."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from twinwright.simulation.fmi import native
from twinwright.simulation.fmi.description import FLOATS, NUMERIC
from twinwright.simulation.fmi.layout import Column, Layout, Settings
from twinwright.simulation.fmi.native import NativeLoops
from twinwright.simulation.fmi.python_engine import PythonLoops
from twinwright.simulation.fmi.session import Session, Unit
from twinwright.simulation.protocol import ModelError


def loaded(path, folder, loops, kind):
    """An FMU, and all of its inputs and outputs as columns."""
    unit = Unit(path.read_bytes(), path.name, folder / path.stem, kind, loops)
    md = unit.description
    inputs = [
        Column(one, element, "linear" if one.type in FLOATS else "next" if one.type == "Boolean" else "zero")
        for one in md.of_causality("input")
        if one.type in NUMERIC
        for element in range(md.size(one))
    ]
    outputs = [Column(one, element) for one in md.of_causality("output") if one.type in NUMERIC for element in range(md.size(one))]
    return unit, inputs, outputs


def session_of(unit, inputs, outputs, settings, stop=2.0, count=21):
    """The outputs of a session with a sine on every input, and how far the loop came."""
    session = Session(unit, inputs, outputs, settings)
    times = np.linspace(0.0, stop, count)
    rows = np.ascontiguousarray(np.rint(10 * np.sin(times))[:, None] * np.ones((1, len(inputs)))) % 3
    numbers = np.zeros((count, len(outputs)))
    session.start(0.0, {}, rows[0].copy(), rows[1].copy())
    numbers[0] = session.now(0.0)
    session.advance(times, rows, numbers)
    report = session.report
    session.close()
    return numbers, (report.steps, report.events, report.rows)


def simulated(path, folder, loops, kind, settings, stop=2.0, count=21):
    """The same of an FMU loaded for it."""
    return session_of(*loaded(path, folder, loops, kind), settings, stop, count)


@pytest.mark.parametrize("which", ["lag2 cs", "lag3 me", "ball2 me", "ball3 cs", "signals3 cs", "arrays3 cs"])
def test_what_was_laid_out_for_a_session_serves_the_next_as_if_it_were_new(fmus, tmp_path, which):
    name, kind = which.split()
    settings = Settings(method="dopri5", max_step=0.05, event_mode=name == "ball3")
    unit, *columns = loaded(fmus / f"{name}.fmu", tmp_path, native.loops(), kind)
    first = session_of(unit, *columns, settings)
    (layout,) = unit.layouts
    for _ in range(3):
        again = session_of(unit, *columns, settings)
        assert unit.layouts == [layout]
        assert (again[0].tobytes(), again[1]) == (first[0].tobytes(), first[1])
    other = session_of(unit, *columns, Settings(method="euler", max_step=0.01, event_mode=name == "ball3"))
    assert len(unit.layouts) == 2 and other[0].shape == first[0].shape


def test_a_layout_that_is_not_begun_afresh_is_caught(fmus, tmp_path, monkeypatch):
    settings = Settings(method="dopri5", tolerance=1e-4)
    unit, *columns = loaded(fmus / "lag2.fmu", tmp_path, native.loops(), "me")
    first = session_of(unit, *columns, settings)
    monkeypatch.setattr(Layout, "begin", lambda self, handle: setattr(self.engine, "instance", handle))
    again = session_of(unit, *columns, settings)
    assert (again[0].tobytes(), again[1]) != (first[0].tobytes(), first[1])


@pytest.mark.parametrize("name", ["lag2", "lag3", "ball2", "ball3", "signals2", "signals3", "arrays3"])
def test_both_loops_give_the_same_bytes(fmus, tmp_path, name):
    assert native.loops().compiled, native.loops().warning
    ways = [("cs", Settings()), ("cs", Settings(substeps=3, event_mode=name == "ball3"))]
    ways += [("me", Settings(method=method, max_step=0.05, tolerance=1e-7)) for method in ("euler", "rk4", "dopri5")]
    for kind, settings in ways:
        compiled = simulated(fmus / f"{name}.fmu", tmp_path, native.loops(), kind, settings)
        plain = simulated(fmus / f"{name}.fmu", tmp_path, PythonLoops(), kind, settings)
        assert compiled[0].tobytes() == plain[0].tobytes(), (kind, settings)
        assert compiled[1] == plain[1]


@pytest.mark.parametrize("name", ["lag2", "ball3", "signals2"])
@pytest.mark.parametrize("method", ["BDF", "RK45"])
def test_scipys_solvers_meet_the_same_events(fmus, tmp_path, name, method):
    tight = {"max_step": 0.05, "tolerance": 1e-9}
    ours, (_, events, rows) = simulated(fmus / f"{name}.fmu", tmp_path, native.loops(), "me", Settings(method="dopri5", **tight))
    theirs, (_, others, same) = simulated(fmus / f"{name}.fmu", tmp_path, native.loops(), "me", Settings(method=method, **tight))
    assert theirs == pytest.approx(ours, abs=1e-6) and (events, rows) == (others, same)


def test_event_mode_ends_a_step_where_the_event_is(fmus, tmp_path):
    numbers, (steps, events, rows) = simulated(fmus / "ball3.fmu", tmp_path, native.loops(), "cs", Settings(event_mode=True))
    plain, (fewer, none, _) = simulated(fmus / "ball3.fmu", tmp_path, native.loops(), "cs", Settings())
    assert (fewer, none, rows) == (20, 0, 21) and events >= 4 and steps == 20 + events
    assert numbers == pytest.approx(plain, abs=1e-9)


@pytest.mark.parametrize("loops", [native.loops, PythonLoops])
def test_what_an_fmu_says_is_in_the_error(fmus, tmp_path, loops):
    unit = Unit((fmus / "lag2.fmu").read_bytes(), "lag2.fmu", tmp_path / "lag2", "cs", loops())
    session = Session(unit, [], [], Settings(logging=True))
    with pytest.raises(ModelError, match="fmi2GetReal answered Error: no variable"):
        session.instance.get_numbers("Float64", [63], 1)


def test_a_wrong_token_is_told(fmus, tmp_path, changed):
    for version in (2, 3):
        path = changed(
            fmus / f"lag{version}.fmu", {"modelDescription.xml": lambda xml: xml.replace(b"{6a1d0f6e-lag}", b"other")}, f"t{version}.fmu"
        )
        unit = Unit(path.read_bytes(), path.name, tmp_path / f"t{version}", "cs")
        with pytest.raises(ModelError, match=r"gave no instance: the (GUID|instantiation token)"):
            Session(unit, [], [], Settings())


def _compile(folder):
    os.environ["XDG_CACHE_HOME"] = folder
    return NativeLoops(native._library()).compiled


def test_many_processes_compile_into_one_place(tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(_compile, [str(tmp_path)] * 3) == [True] * 3
    (only,) = (tmp_path / "twinwright").iterdir()
    assert only.suffix == ".so" and only.parent.stat().st_mode & 0o777 == 0o700


def test_without_a_compiler_it_warns_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    found = native.loops.__wrapped__()
    assert not found.compiled and "hundreds of times slower, because there is no C compiler" in found.warning


def test_code_is_not_loaded_from_a_folder_that_others_can_write(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "twinwright").mkdir()
    (tmp_path / "twinwright").chmod(0o777)
    assert native.cache_folder() != tmp_path / "twinwright"


def test_a_library_is_loaded_with_what_lies_beside_it(fmus, tmp_path, changed):
    """A dependency without an rpath, in the folder of the library."""
    (tmp_path / "dep.c").write_text("int helper_of_the_lag(void) { return 1; }")
    (tmp_path / "main.c").write_text("int helper_of_the_lag(void); int uses(void) { return helper_of_the_lag(); }")
    for command in (
        ["-o", "libhelper_of_the_lag.so", "-Wl,-soname,libhelper_of_the_lag.so", "dep.c"],
        ["-o", "main.so", "main.c", "-L.", "-lhelper_of_the_lag"],
    ):
        subprocess.run(["cc", "-shared", "-fPIC", *command], check=True, cwd=tmp_path)
    main, helper = (tmp_path / "main.so").read_bytes(), (tmp_path / "libhelper_of_the_lag.so").read_bytes()
    binary = next(name for name in _names(fmus / "lag2.fmu") if name.startswith("binaries/"))
    folder = str(Path(binary).parent)
    path = changed(fmus / "lag2.fmu", {binary: main, f"{folder}/libhelper_of_the_lag.so": helper})
    with pytest.raises(ModelError, match=r"lag\.so lacks fmi2Instantiate"):  # it was loaded, helper and all, and is no FMU
        Unit(path.read_bytes(), path.name, tmp_path / "with", "cs")
    alone = changed(fmus / "lag2.fmu", {binary: main}, "alone.fmu")
    code = f"from pathlib import Path; from twinwright.simulation.fmi.session import Unit; p = Path({str(alone)!r}); "
    code += f"Unit(p.read_bytes(), p.name, Path({str(tmp_path / 'alone')!r}), 'cs')"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)  # it has not loaded the helper
    assert "libhelper_of_the_lag.so: cannot open shared object" in told.stderr


def _names(path):
    return zipfile.ZipFile(path).namelist()
