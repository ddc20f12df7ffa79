"""The journal's files: what a commit names is there, what a crash left is written over, and damage is told."""

import pytest

from twinwright.errors import StoreError
from twinwright.storage.journal_files import JournalFiles, Place


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store.journal"


def test_frames_are_read_back_from_their_places(folder):
    files = JournalFiles(folder, None, segment_bytes=10)
    places = [files.append(frames) for frames in (b"12345", b"67890", b"abc", b"longer than a segment", b"")]
    assert places[:3] == [Place(1, 0, 5), Place(1, 5, 5), Place(2, 0, 3)]
    assert [files.read(place) for place in places] == [b"12345", b"67890", b"abc", b"longer than a segment", b""]
    files.close()
    files.close()
    assert JournalFiles(folder, places[-1]).read(places[3]) == b"longer than a segment"


def test_what_no_commit_names_is_written_over_and_later_files_go(folder):
    files = JournalFiles(folder, None, segment_bytes=10)
    kept = files.append(b"12345")
    for frames in (b"67890", b"abcde", b"fghij", b"klmno"):
        files.append(frames)
    files.close()
    again = JournalFiles(folder, kept, segment_bytes=10)
    assert sorted(path.name for path in folder.iterdir()) == ["000001.frames"]
    place = again.append(b"XY")
    assert place == Place(1, 5, 2)
    assert (again.read(kept), again.read(place)) == (b"12345", b"XY")
    again.close()


def test_old_files_are_dropped_but_never_the_one_being_written(folder):
    files = JournalFiles(folder, None, segment_bytes=4)
    files.drop_before(None)
    places = [files.append(b"1234") for _ in range(4)]
    files.drop_before(3)
    assert sorted(path.name for path in folder.iterdir()) == ["000003.frames", "000004.frames"]
    with pytest.raises(StoreError, match="can't be read") as gone:
        files.read(places[0])
    assert "backup" in gone.value.remedy
    files.drop_before(None)
    assert files.read(places[3]) == b"1234"
    files.close()


def test_a_file_that_ends_too_early_is_told(folder):
    files = JournalFiles(folder, None)
    place = files.append(b"12345")
    with (folder / "000001.frames").open("r+b") as file:
        file.truncate(3)
    with pytest.raises(StoreError, match="ends too early"):
        files.read(place)
    files.close()


def test_a_folder_that_can_not_be_written_is_told(tmp_path):
    (tmp_path / "store.journal").write_text("a file where the folder belongs")
    with pytest.raises(StoreError, match="journal can't be written") as refused:
        JournalFiles(tmp_path / "store.journal", None).append(b"x")
    assert "delivered again" in refused.value.remedy
