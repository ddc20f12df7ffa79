"""Plants to send telemetry to; closed when the test ends."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # the plant is imported by its path from the root

from tests.storage.postgres_server import postgres  # noqa: F401 - a fixture
from tests.telemetry.plant import Plant, contract


@pytest.fixture
def make_plant(tmp_path):
    plants = []

    def make(*contracts, **options):
        plants.append(Plant(tmp_path / f"store-{len(plants)}.duckdb", contracts or (contract(),), **options))
        return plants[-1]

    yield make
    for one in plants:
        one.close()


@pytest.fixture
def plant(make_plant):
    return make_plant()
