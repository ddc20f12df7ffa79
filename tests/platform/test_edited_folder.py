"""A folder is edited while its platform runs: what is asked of what is applied needs nothing of it but the settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.platform.graph_plant import NOW, opened, pump, send

from twinwright.clock import SECOND, ManualClock
from twinwright.errors import RefusedError, WorkspaceError
from twinwright.platform.local import LocalPlatform

MINUTE = 60 * SECOND
SETTINGS = '[retention]\nknown_at = "PT1H"\ndead_letters = "P1D"\n[webhooks.w]\nurl = "http://127.0.0.1:9/"\nsecret_env = "NONE"\n'


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def plant(tmp_path: Path, clock: ManualClock) -> LocalPlatform:
    return opened(tmp_path, clock, SETTINGS)


def test_a_half_written_file_stands_in_the_way_of_nothing_that_is_applied(plant: LocalPlatform, clock: ManualClock) -> None:
    token = plant.put_twin("a", pump(p=1.0))["token"]
    clock.advance(MINUTE)
    plant.put_twin("a", pump(p=2.0))
    contract = plant.session.folder / "contracts" / "pump.yaml"
    whole = contract.read_text()
    contract.write_text(whole[: len(whole) // 2] + "\n  - {")
    assert plant.state("a", known_at=token)["p"] == 1.0
    assert plant.graph_diff(str(token), kind="twin")["counts"]["twins"]["changed"] == 1
    assert plant.create_fork("f", at=str(token))["commit"] == token
    assert [one["name"] for one in plant.webhooks()] == ["w"]
    assert send(plant, "a", clock.now(), 3.0) == 1
    plant.session.expire()
    with pytest.raises(WorkspaceError):
        plant.apply()
    plant.close()


def test_settings_are_those_of_now(plant: LocalPlatform, clock: ManualClock) -> None:
    token = plant.put_twin("a", pump(p=1.0))["token"]
    clock.advance(MINUTE)
    plant.put_twin("a", pump(p=2.0))
    clock.advance(30 * MINUTE)
    assert plant.state("a", known_at=token)["p"] == 1.0
    toml = plant.session.folder / "twinwright.toml"
    toml.write_text(SETTINGS.replace("PT1H", "PT10M"))
    with pytest.raises(RefusedError, match="is not kept"):
        plant.state("a", known_at=token)
    toml.write_text("[retention")
    with pytest.raises(WorkspaceError, match="not valid TOML"):
        plant.state("a", known_at=token)
    plant.close()
