"""The old file is deleted before the smaller one has its name."""

from twinwright.storage import duckdb_smaller


def apply():
    whole = duckdb_smaller._take_its_place

    def take_its_place(draft, path, mode):
        path.unlink()
        whole(draft, path, mode)

    duckdb_smaller._take_its_place = take_its_place
