"""Segments of the journal: what a transaction named can be read back; what none named is written over."""

import os
from pathlib import Path

import pytest

from twinwright.errors import StoreError
from twinwright.storage.journal_files import JournalFiles, Place


def test_what_was_appended_is_read_back_after_opening_again(tmp_path: Path) -> None:
    files = JournalFiles(tmp_path / "journal", None)
    places = [files.append(b"a" * size) for size in (1, 10, 0, 100)]
    files.close()
    again = JournalFiles(tmp_path / "journal", places[-1])
    assert [again.read(place) for place in places] == [b"a" * 1, b"a" * 10, b"", b"a" * 100]
    assert again.append(b"b").offset == places[-1].end
    again.close()


def test_what_no_transaction_named_is_written_over_after_a_crash(tmp_path: Path) -> None:
    files = JournalFiles(tmp_path / "journal", None)
    kept = files.append(b"kept")
    files.append(b"of a transaction that never was")
    files.close()
    again = JournalFiles(tmp_path / "journal", kept)
    place = again.append(b"new")
    assert place == Place(1, 4, 3)
    assert (again.read(kept), again.read(place)) == (b"kept", b"new")
    again.close()


def test_a_place_is_never_given_twice_while_open(tmp_path: Path) -> None:
    files = JournalFiles(tmp_path / "journal", None)
    first, second = files.append(b"rolled back"), files.append(b"kept")
    assert second.offset == first.end
    files.close()


def test_a_full_segment_is_followed_by_the_next_and_later_orphans_go(tmp_path: Path) -> None:
    files = JournalFiles(tmp_path / "journal", None, segment_bytes=10)
    places = [files.append(b"12345678") for _ in range(3)]
    assert [place.segment for place in places] == [1, 2, 3]
    assert [files.read(place) for place in places] == [b"12345678"] * 3
    files.close()
    JournalFiles(tmp_path / "journal", places[1], segment_bytes=10).close()
    assert sorted(path.name for path in (tmp_path / "journal").iterdir()) == ["000001.frames", "000002.frames"]


def test_the_disk_has_the_bytes_before_the_place_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fdatasync

    def fdatasync(file: int) -> None:
        synced.append(os.fstat(file).st_size)
        real(file)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    files = JournalFiles(tmp_path / "journal", None)
    assert synced == []
    assert files.append(b"12345").end == 5
    assert synced == [5]
    files.close()


def test_a_missing_or_short_file_is_told_with_its_place(tmp_path: Path) -> None:
    files = JournalFiles(tmp_path / "journal", None)
    place = files.append(b"12345")
    files.close()
    path = tmp_path / "journal" / "000001.frames"
    path.write_bytes(b"123")
    with pytest.raises(StoreError, match="ends too early") as short:
        files.read(place)
    assert short.value.where == str(path)
    path.unlink()
    with pytest.raises(StoreError, match="can't be read"):
        files.read(place)
