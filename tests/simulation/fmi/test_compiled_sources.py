"""Sources of an FMU are compiled once: again only where what decides has changed, or what was kept is not what was put there."""

from __future__ import annotations

import ctypes
import os

import pytest

from twinwright.simulation.fmi import compiled_sources
from twinwright.simulation.fmi.platforms import SourceList
from twinwright.simulation.landlock import COMPILED


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "one.c").write_text("int answer(void) { return ANSWER; }")
    return tmp_path


@pytest.fixture
def compiled(monkeypatch):
    """What was compiled, by its definitions."""
    found = []
    plain = compiled_sources.compile_sources

    def counted(folder, sources, *rest):
        found.append(sources.definitions)
        plain(folder, sources, *rest)

    monkeypatch.setattr(compiled_sources, "compile_sources", counted)
    return found


def answer(folder, name, *, value=1, content=b"fmu"):
    target = folder / name / "one.so"
    compiled_sources.compile_once(content, folder, SourceList(("one.c",), (f"-DANSWER={value}",)), 2, target, "one")
    return ctypes.CDLL(str(target)).answer()


def kept(folder):
    return sorted((folder / "cache" / "twinwright" / COMPILED).iterdir(), key=lambda path: path.stat().st_mtime_ns)


def test_it_is_compiled_once_and_again_where_anything_that_decides_is_another(folder, compiled):
    assert [answer(folder, "a"), answer(folder, "b")] == [1, 1] and len(compiled) == 1
    (only,) = kept(folder)
    assert only.stat().st_mode & 0o777 == 0o600 and only.parent.stat().st_mode & 0o777 == 0o700
    assert answer(folder, "c", value=2) == 2 and len(compiled) == 2
    assert answer(folder, "d", content=b"another") == 1 and len(compiled) == 3
    assert [answer(folder, "e", value=2), answer(folder, "f")] == [2, 1] and len(compiled) == 3


def test_what_is_not_what_was_put_there_is_thrown_away(folder, compiled):
    answer(folder, "a")
    (only,) = kept(folder)
    only.write_bytes(only.read_bytes()[:-1] + b"!")
    assert answer(folder, "b") == 1 and len(compiled) == 2
    assert answer(folder, "c") == 1 and len(compiled) == 2


def test_a_cache_that_does_not_look_is_caught(folder, monkeypatch):
    """The broken variant of the look at what is kept."""
    answer(folder, "a")
    (only,) = kept(folder)
    only.write_bytes(b"not a library")
    monkeypatch.setattr(compiled_sources, "_name", lambda key, body: only.name)
    with pytest.raises(OSError, match=r"too short|invalid ELF"):
        answer(folder, "b")


def test_what_was_used_longest_ago_makes_room(folder, compiled, monkeypatch):
    for number, name in enumerate("abc"):
        answer(folder, name, value=number)
        for at, path in enumerate(kept(folder)):
            os.utime(path, ns=(at, at))
    first, second, third = kept(folder)
    answer(folder, "d", value=0)
    monkeypatch.setattr(compiled_sources, "MOST_BYTES", sum(path.stat().st_size for path in (first, second, third)))
    answer(folder, "e", value=3)
    assert first.exists() and not second.exists() and third.exists() and len(kept(folder)) == 3
    monkeypatch.setattr(compiled_sources, "MOST_BYTES", 10)
    assert answer(folder, "f", value=4) == 4 and len(kept(folder)) == 3, "what is larger than the cache is not kept"


def test_without_a_folder_of_its_own_it_is_compiled_each_time(folder, compiled, monkeypatch):
    def nowhere():
        raise OSError("nowhere")

    monkeypatch.setattr(compiled_sources, "cache_folder", nowhere)
    assert [answer(folder, "a"), answer(folder, "b")] == [1, 1] and len(compiled) == 2
