"""Helpers are imported by their path from the root; no platform outlives its test."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from tests.acceptance.running import Running, write
from tests.platform.graph_plant import NOW
from tests.schema.conftest import real_estate_core  # noqa: F401 - a fixture
from tests.storage.postgres_server import postgres  # noqa: F401 - a fixture

from twinwright.clock import ManualClock
from twinwright.platform.local import LocalPlatform
from twinwright.platform.session import Session


@pytest.fixture(autouse=True, scope="module")
def nothing_left_running():
    yield
    for left in list(Running.alive):
        left.kill()


@pytest.fixture
def open_it(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], LocalPlatform]]:
    """Opens the platform of a workspace with the SCHEMA of the module; again, what was open is closed first."""
    write(tmp_path, {"twinwright.toml": "", "schema/all.json": json.dumps(request.module.SCHEMA)})
    opened: list[LocalPlatform] = []

    def open_it() -> LocalPlatform:
        for one in opened:
            one.close()
        opened.append(LocalPlatform(Session(tmp_path, ManualClock(NOW))))
        if not opened[1:]:
            opened[0].apply()
        return opened[-1]

    yield open_it
    opened[-1].close()
