"""The laws of history, state and counting hold where PostgreSQL keeps the history; that the checks can fail is shown beside them."""

import pytest
from tests.laws.test_history_and_state import CHECKS
from tests.telemetry.plant import Plant

from twinwright.storage.postgres import PostgresStore


@pytest.mark.parametrize("name", ["ingestion", "the past", "replay", "a sighting outside", "a whole transaction"])
def test_the_law_holds_over_postgres_for(name, postgres, monkeypatch):
    schemas = {}

    def open_store(path, clock):
        return PostgresStore(postgres.dsn(), schemas.setdefault(path, postgres.schema()), clock)

    monkeypatch.setattr(Plant, "open_store", staticmethod(open_store))
    CHECKS[name]()
