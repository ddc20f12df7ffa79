"""The DuckDB store as a file: whose it is, what it refuses, and what it lets nobody reach. What every store does is in `conformance.py`."""

import contextlib
import subprocess
import sys

import pytest
from tests.telemetry.plant import contract

from twinwright.documents import byte_count
from twinwright.errors import StoreError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.duckdb_sql import DDL, FORMAT_VERSION
from twinwright.storage.layout import Lifetime, Relationship


def test_evil_names_come_through_ingestion(make_plant):
    evil = "pump'; DROP TABLE commits; --"
    plant = make_plant(contract(), twins=[evil])
    assert plant.send({"id": evil, "ts": "2026-03-01T07:00:00Z", "m": evil}, {"id": evil + "x", "ts": evil}).accepted == 1
    assert plant.history()[0]["txt"] == evil
    assert plant.cells()[0]["txt"] == evil


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_store_of_another_process_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "store.duckdb"
    code = "from sys import argv; from pathlib import Path; from twinwright.storage.duckdb import DuckDBStore as Store; "
    code += "store = Store(Path(argv[1])); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "1\n"
        with pytest.raises(StoreError, match="open in another process") as refused:
            DuckDBStore(path)
        assert "socket" in refused.value.remedy
        other.communicate("\n")
    DuckDBStore(path).close()


@pytest.mark.parametrize("found", [str(FORMAT_VERSION + 1), "99"])
def test_a_store_of_a_newer_format_is_refused_and_left_alone(tmp_path, found):
    import duckdb

    path = tmp_path / "store.duckdb"
    DuckDBStore(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'format'", [found])
    with pytest.raises(StoreError, match=f"format {found}, this version reads {FORMAT_VERSION}") as refused:
        DuckDBStore(path)
    assert "version of Twinwright" in refused.value.remedy


def test_a_store_of_the_format_before_is_brought_up(tmp_path):
    import duckdb

    path = tmp_path / "store.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(DDL)
        connection.execute("INSERT INTO meta VALUES ('format', '2')")
        connection.execute("INSERT INTO lifetimes VALUES (1, 'a', 'dtmi:t:A;1', NULL, NULL, 1)")
        connection.execute("INSERT INTO relationships VALUES ('a', 'r', 'feeds', 'b', '{\"x\": 1}', 1)")
    for _ in range(2):
        store = DuckDBStore(path)
        assert store.lifetimes(SYSTEM) == [Lifetime(1, "a", "dtmi:t:A;1")]
        assert store.relationships(SYSTEM) == [Relationship("a", "r", "feeds", "b", {"x": 1})]
        store.close()


def test_records_of_a_store_that_knew_no_digests_and_of_a_copy_are_looked_up_too(tmp_path):
    import duckdb

    digest = "0123456789abcdef" * 4
    store = DuckDBStore(tmp_path / "store.duckdb")
    store.put_records(SYSTEM, "run", {"a": {"digest": digest, "batch": "b"}, "b": {"digest": None}})
    store.close()
    with duckdb.connect(str(tmp_path / "store.duckdb")) as connection:
        connection.execute("DROP TABLE record_digests")
    store, copy = DuckDBStore(tmp_path / "store.duckdb"), DuckDBStore(tmp_path / "copy.duckdb")
    with store.snapshot(SYSTEM) as snapshot:
        assert "record_digests" not in snapshot.tables, "it follows from the records"
        copy.load(SYSTEM, snapshot)
    for one in (store, copy):
        assert [record.id for record in one.records_of_digest(SYSTEM, "run", [digest])] == ["a"]
        one.close()


@pytest.mark.parametrize("content", [b"hello " * 4_000, b"x"])
def test_a_file_that_is_no_store_is_refused(tmp_path, content):
    path = tmp_path / "store.duckdb"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="store") as refused:
        DuckDBStore(path)
    assert "another process" not in str(refused.value)
    assert path.read_bytes() == content


def test_a_damaged_store_is_not_mistaken_for_a_locked_one(tmp_path):
    path = tmp_path / "store.duckdb"
    DuckDBStore(path).close()
    body = bytearray(path.read_bytes())
    for at in range(4_096 * 2, len(body), 5):
        body[at] ^= 0x55
    path.write_bytes(body)
    with pytest.raises(StoreError) as refused:
        DuckDBStore(path)
    assert "another process" not in str(refused.value)


def test_sql_has_no_way_out_of_the_store(tmp_path):
    store = DuckDBStore(tmp_path / "store.duckdb")
    for sql in (
        "SELECT * FROM read_text('/etc/hostname')",
        "COPY (SELECT 1) TO '/tmp/out'",
        "ATTACH '/tmp/x.db'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ):
        with pytest.raises(StoreError):
            store._rows(SYSTEM, sql)
    store.close()


def test_a_store_that_was_being_made_when_the_power_failed_is_made_again(tmp_path):
    half = tmp_path / ".store.duckdb.new"
    half.write_bytes(b"half of it")
    DuckDBStore(tmp_path / "store.duckdb").close()
    assert not half.exists()
    DuckDBStore(tmp_path / "store.duckdb").close()


def test_the_engine_keeps_to_the_memory_that_is_set_or_to_a_share_of_the_machine(tmp_path):
    def allowed(memory):
        with contextlib.closing(DuckDBStore(tmp_path / "store.duckdb", memory=memory)) as store:
            return byte_count(store._rows(SYSTEM, "SELECT current_setting('memory_limit')")[0][0])

    assert allowed(300 * 2**20) == 300 * 2**20
    assert 256 * 2**20 <= allowed(None) <= 2 * 2**30


def test_what_a_killed_process_had_put_aside_is_deleted(tmp_path):
    left = tmp_path / "store.duckdb.tmp" / "duckdb_temp_1_0_storage_DEFAULT-0.tmp"
    left.parent.mkdir()
    left.write_bytes(b"of a sort")
    DuckDBStore(tmp_path / "store.duckdb").close()
    assert not left.parent.exists()
