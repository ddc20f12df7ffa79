"""Engines come by entry points; what is wrong with one, or with what is set for it, is told."""

import sys
from importlib.metadata import EntryPoint

import pytest

from twinwright.clock import ManualClock
from twinwright.errors import MissingExtraError, NotFoundError, UsageError, WorkspaceError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.registry import GROUP, find_engine, open_store


def points(**values):
    return [EntryPoint(name, value, GROUP) for name, value in values.items()]


def test_the_default_engine_opens_its_file_in_the_private_folder(tmp_path):
    assert find_engine("duckdb") is DuckDBStore
    store = open_store("duckdb", {}, tmp_path, ManualClock())
    assert store.put_record(SYSTEM, "k", "a", {}) == 1
    assert store.size(SYSTEM) > 0
    store.close()
    assert (tmp_path / "store.duckdb").exists()


def test_an_engine_that_nobody_brings_is_told_with_the_nearest():
    with pytest.raises(NotFoundError, match="no store engine 'postgre'") as refused:
        find_engine("postgre")
    assert refused.value.remedy == "Did you mean 'postgres'?"
    with pytest.raises(NotFoundError) as refused:
        find_engine("x")
    assert "duckdb, postgres" in refused.value.remedy


def test_a_built_in_without_its_extra_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in [name for name in sys.modules if name.startswith("twinwright.storage.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError) as missing:
        find_engine("postgres")
    assert "twinwright[postgres]" in missing.value.remedy


@pytest.mark.parametrize(
    ("value", "said"), [("nowhere_at_all:X", "nowhere_at_all"), ("json:Nothing", "can't be imported"), ("json:dumps", "lacks `open`")]
)
def test_a_plug_in_that_is_no_engine_is_told(value, said):
    with pytest.raises(UsageError, match=said):
        find_engine("mine", points(mine=value))


def test_options_that_an_engine_does_not_know_are_refused(tmp_path):
    with pytest.raises(WorkspaceError, match="dsn"):
        open_store("duckdb", {"dsn": "x"}, tmp_path, ManualClock())
    with pytest.raises(WorkspaceError, match="dsn"):
        open_store("postgres", {}, tmp_path, ManualClock())
