"""A store under test, and what the checks of the conformance suite are written with. See `conformance.py`."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from twinwright.clock import ManualClock, from_iso
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.storage.layout import DeadLetter, ReadingColumn, Selection
from twinwright.storage.protocol import CELL_SCHEMA, GOOD, VALUE_SCHEMA, Store

NOW = from_iso("2026-03-01T08:00:00Z")
READER = Principal("reader", frozenset({"reader"}))
NOBODY = Principal("nobody", frozenset())
COLUMNS = [ReadingColumn("p", "DOUBLE", "kPa"), ReadingColumn("m", "VARCHAR", None), ReadingColumn("on", "BOOLEAN", None)]
TYPES = {"DOUBLE": pa.float64(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_(), "VARCHAR": pa.string()}


@dataclass
class Case:
    """An engine under test. `open(clock, number)` opens world `number`: empty when first asked for, and the same again after that."""

    open: Callable[[ManualClock, int], Store]
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    number: int = 0
    _store: Store | None = None

    @property
    def store(self) -> Store:
        if self._store is None:
            self._store = self.open(self.clock, self.number)
        return self._store

    def reopen(self) -> Store:
        """Close it and open what is durable, as the next process does."""
        self.close()
        return self.store

    def fresh(self) -> Store:
        """A new empty one."""
        self.close()
        self.number += 1
        return self.store

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


# --- what checks are written with -------------------------------------------------------------------------------------


def write(store, kind="test"):
    return store.transaction(SYSTEM, kind)


def table(store, name="pump", revision=1, columns=COLUMNS, source=None):
    with write(store) as transaction:
        return transaction.create_reading_table(name, source or name, revision, columns)


def wide(table, commit, readings):
    """Rows of a table from mappings; what one does not name is null, or 0 where the table says so."""
    types = {"twin": pa.int32(), "marks": pa.int8()} | {f"v{j}": TYPES[column.type] for j, column in enumerate(table.columns)}
    fixed = {"commit": commit, "origin": commit, "correction": 0, "marks": 0} | {f"bad{m}": 0 for m in range(table.masks)}
    return pa.table(
        {name: pa.array([one.get(name, fixed.get(name)) for one in readings], types.get(name, pa.int64())) for name in table.names}
    )


def append(store, table, *readings, origin=None, sightings=False):
    """Each reading is (twin, time, correction, value of the first column)."""
    with write(store, "ingest") as transaction:
        transaction.append_readings(table, rows(table, transaction.commit, *readings, origin=origin), sightings=sightings)
    return transaction.commit


def rows(table, commit, *readings, origin=None):
    names = ("twin", "time", "correction", "v0")
    return wide(table, commit, [{**dict(zip(names, one, strict=True)), "origin": origin or commit} for one in readings])


def value(twin, path, time, kind=GOOD, num=1.0, lane="observed", source="api", correction=0):
    given = {"twin": twin, "path": path, "time": time, "source": source, "correction": correction, "revision": 0, "kind": kind}
    given |= {"type": "DOUBLE", "num": num if kind == GOOD else None, "int": None, "txt": None, "unit": "kPa", "lane": lane}
    return {name: given[name] for name in VALUE_SCHEMA.names}


def values(*said):
    return pa.Table.from_pylist(list(said), schema=VALUE_SCHEMA)


def say(store, *said):
    with write(store) as transaction:
        transaction.append_values(values(*said))
    return transaction.commit


def cells(*numbers):
    """Cells of CELL_SCHEMA from (twin, num)."""
    given = {"path": "p", "time": 1, "correction": 0, "revision": 1, "commit": 1, "kind": GOOD}
    return pa.Table.from_pylist([{**given, "twin": twin, "num": num} for twin, num in numbers], schema=CELL_SCHEMA)


def letter(reason="malformed", contract="pump", origin=0, payload=b"\x00raw\xff", detail="why"):
    return DeadLetter(contract, "bus", 3, reason, detail, payload, {"topic": "a/b"}, "file@7", origin=origin)


def told(read, **selection):
    return [(row["twin"], row["path"], row["time"], row["num"]) for row in read(SYSTEM, Selection(**selection)).to_pylist()]
