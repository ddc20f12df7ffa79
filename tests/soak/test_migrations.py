"""Exercise C for longer: random shares, most of them applied by a platform that is killed meanwhile, on either engine."""

import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from tests.acceptance.conftest import nothing_left_running, postgres  # noqa: F401 - fixtures
from tests.acceptance.migrating import Stage, migrate
from tests.acceptance.test_kills import on_postgres

pytestmark = pytest.mark.soak
STAGES = 40


@pytest.mark.parametrize("store", ["duckdb", "postgres"])
@pytest.mark.parametrize("seed", range(3))
def test_migrations_over_many_kills(request, store, seed, tmp_path):
    rng = random.Random(seed)
    toml = on_postgres(request.getfixturevalue("postgres")) if store == "postgres" else ""
    stages = [Stage((0.5,)), Stage((1.0, 0.5))]
    stages += [Stage((rng.choice([0.0, 0.3, 0.6, 1.0]), rng.random()), kill=rng.random() < 0.7) for _ in range(STAGES)]
    fleet = migrate(tmp_path, [*stages, Stage((1.0, 1.0))], seed, toml)
    assert fleet.half >= 5
