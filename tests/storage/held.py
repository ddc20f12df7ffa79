"""A snapshot held in memory, so that it outlives the store it was taken of."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from twinwright.governance.principals import SYSTEM
from twinwright.storage.copies import JOURNAL, Frames, read_all


@dataclass
class Held:
    """See `twinwright.storage.copies.Snapshot`; what is in it may be changed by a test."""

    commit: int
    content: dict[str, pa.Table]
    journal: list[Frames]

    @classmethod
    def of(cls, snapshot):
        content = {name: read_all(snapshot, name) for name in snapshot.tables}
        return cls(snapshot.commit, content, list(snapshot.frames()) if JOURNAL in content else [])

    @property
    def tables(self):
        return {name: table.schema for name, table in self.content.items()}

    def rows(self, table) -> Iterator[pa.RecordBatch]:
        yield from self.content[table].to_batches(max_chunksize=2)

    def count(self, table):
        return len(self.content[table])

    def frames(self):
        yield from self.journal


def held(store):
    """All of a store, in memory."""
    with store.snapshot(SYSTEM) as snapshot:
        return Held.of(snapshot)
