"""The conformance suite passes the engines and catches each broken store."""

import pytest
from tests.storage.broken_stores import BROKEN, MACHINE, Broken
from tests.storage.conformance import CHECKS, StoreConformance
from tests.storage.conformance_case import Case

from twinwright.errors import TwinwrightError
from twinwright.storage.duckdb import DuckDBStore


def duckdb_case(folder, broken=None):
    def open(clock, number):
        store = DuckDBStore(folder / f"store-{number}.duckdb", clock)
        return store if broken is None else broken.wrap(store)

    return Case(open)


class TestDuckDB(StoreConformance):
    @pytest.fixture
    def case(self, tmp_path):
        case = duckdb_case(tmp_path)
        yield case
        case.close()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_store_is_caught(tmp_path, name):
    broken = BROKEN[name]
    case = duckdb_case(tmp_path, broken)
    with pytest.raises((AssertionError, pytest.fail.Exception, TwinwrightError)):
        CHECKS[broken.caught_by](case)
    case.close()


@pytest.mark.parametrize("name", sorted({broken.caught_by for broken in BROKEN.values()} - {MACHINE}))
def test_a_store_that_is_only_wrapped_is_not(tmp_path, name):
    case = duckdb_case(tmp_path, Broken(name))
    CHECKS[name](case)
    case.close()
