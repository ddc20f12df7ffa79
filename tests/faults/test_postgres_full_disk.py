"""A full disk under PostgreSQL is told, takes nothing by half, and is over when there is room again and the server runs."""

import json

import pytest
from tests.faults.small_disk import SmallDisk
from tests.storage.postgres_server import Server, programs
from tests.telemetry.plant import NOW, Plant, contract

from twinwright.clock import HOUR, SECOND, to_iso
from twinwright.errors import StoreError
from twinwright.governance.principals import SYSTEM
from twinwright.storage import postgres_connections
from twinwright.storage.layout import Counts
from twinwright.storage.postgres import PostgresStore
from twinwright.storage.postgres_transaction import PostgresTransaction
from twinwright.telemetry.payloads import Delivery, Payload, Position

READINGS = 400  # of a delivery
MOST = 40  # deliveries that find room on a full disk: in a page of a table, in a segment of the log
DISKS = {"tables": 64, "log": 16}  # of the server, in megabytes
# Small segments, and no checkpoint that makes room in the log again.
SETTINGS = ("checkpoint_timeout=1h", "max_wal_size=64MB", "min_wal_size=2MB", "wal_recycle=off")


@pytest.fixture(scope="module")
def disks():
    """What the server keeps its tables on, and what its log."""
    made = []
    try:
        made.extend(SmallDisk(megabytes, Server.owner) for megabytes in DISKS.values())
    except PermissionError as reason:
        pytest.skip(str(reason))
    else:
        yield dict(zip(DISKS, made, strict=True))
    finally:
        for disk in made:
            disk.remove()


@pytest.fixture(scope="module")
def server(disks):
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    server = Server("--waldir", str(disks["log"].folder), "--wal-segsize", "1", within=disks["tables"].folder)
    server.start(*SETTINGS)
    yield server
    server.remove()


@pytest.fixture
def plant(server, tmp_path, monkeypatch):
    schema = server.schema()
    monkeypatch.setattr(postgres_connections, "PATIENCE", 0.2)

    class Served(Plant):
        open_store = staticmethod(lambda path, clock: PostgresStore(server.dsn(), schema, clock))

    plant = Served(tmp_path / "store", [contract()])
    yield plant
    plant.close()


def delivery(number):
    """Of a source that has positions; what it sends does not compress."""
    begin = NOW - HOUR + number * READINGS * SECOND // 100
    times = range(begin, begin + READINGS * SECOND // 100, SECOND // 100)
    twin = f"pump-{1 + number % 2}"
    bodies = [json.dumps({"id": twin, "ts": to_iso(time), "p": time % 1_009 / 7, "m": str(hash((time,)))}) for time in times]
    return Delivery("pump", tuple(Payload(body.encode()) for body in bodies), (Position("log", number, number + 1),))


def facts(plant):
    return [{name: value for name, value in row.items() if name != "commit"} for row in plant.history()]


def filled(plant, disk):
    """How many deliveries are taken until the disk is full, and what the next is told."""
    plant.pipeline.submit(delivery(0))
    disk.fill()
    for number in range(1, MOST):
        try:
            plant.pipeline.submit(delivery(number))
        except StoreError as error:
            return number, error
    raise AssertionError("the disk is not full")


def require_whole(plant, taken):
    """All of what was taken is there, and nothing else."""
    assert plant.store.position(SYSTEM, "pump", "log") == taken
    assert plant.store.counts(SYSTEM) == {"pump": Counts(taken * READINGS, taken * READINGS)}
    assert len(plant.history(paths=("pressure",))) == taken * READINGS
    assert sum(entry.counts.received for entry in plant.store.journal_entries(SYSTEM, "pump", 1, 1_000)) == taken * READINGS
    assert len(plant.cells()) == 2 * min(taken, 2)


def require_all(plant, taken, folder):
    """What was refused is taken now, and it is as if the disk had never been full."""
    clean = Plant(folder / "clean.duckdb", [contract()])
    for number in range(taken, taken + 2):
        assert plant.pipeline.submit(delivery(number)).accepted == READINGS
    for number in range(taken + 2):
        clean.pipeline.submit(delivery(number))
    require_whole(plant, taken + 2)
    assert facts(plant) == facts(clean)
    clean.close()


def check_tables(plant, disk):
    taken, refused = filled(plant, disk)
    try:
        assert "disk is full: could not extend" in refused.what
        assert "No space left on device" in refused.what
        require_whole(plant, taken)
        plant.restart()  # a store opens on a full disk, too
        with pytest.raises(StoreError, match="disk is full"):
            plant.pipeline.submit(delivery(taken))
        require_whole(plant, taken)
    finally:
        disk.free()
    return taken


def test_where_tables_can_not_grow_nothing_is_taken_until_they_can(plant, disks, tmp_path):
    require_all(plant, check_tables(plant, disks["tables"]), tmp_path)


def test_a_store_that_moves_positions_by_themselves_is_caught(plant, disks, monkeypatch):
    move = PostgresTransaction.move_positions

    def apart(self, *moved):
        move(self, *moved)
        self._con.execute("COMMIT")
        self._con.execute("BEGIN")

    monkeypatch.setattr(PostgresTransaction, "move_positions", apart)
    with pytest.raises(AssertionError):
        check_tables(plant, disks["tables"])


def test_where_the_log_can_not_grow_the_server_stops_and_goes_on_where_there_is_room_again(plant, server, disks, tmp_path):
    for _ in range(8):  # as many segments as a new server has in stock, and more
        server.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000))")
    taken, refused = filled(plant, disks["log"])
    disks["log"].free()
    server.start(*SETTINGS, again=True)
    assert "the database" in refused.what  # and why, where the server could still say it
    assert any(said in refused.remedy for said in ("Check the server, its disk", "Make room", "eliver it again"))
    kept = plant.store.position(SYSTEM, "pump", "log")
    assert kept - taken in (0, 1)  # it may have been made, and not answered
    require_whole(plant, kept)
    require_all(plant, kept, tmp_path)
