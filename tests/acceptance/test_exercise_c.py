"""Exercise C: a field is added, a unit changed and a property renamed under a fleet that sends and is read as every version all the while;
staged, killed half-way and resumed, rolled back, and the old version retired."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.acceptance.migrating import Stage, migrate

STAGES = [
    Stage((0.4,), kill=True),
    Stage((1.0, 0.5), kill=True),
    Stage((0.3, 0.5), kill=True),
    Stage((0.0, 0.0)),  # rolled back
    Stage((1.0, 1.0), kill=True),
]


@pytest.mark.timeout(900)  # it waits for what the platform does, however busy the machine is
def test_no_client_of_any_version_sees_a_wrong_value_at_any_instant_of_a_migration(tmp_path: Path) -> None:
    fleet = migrate(tmp_path, STAGES, seed=3)
    assert fleet.sent > 300
