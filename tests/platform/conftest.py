"""Helpers are imported by their path from the root; no platform outlives its test."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from tests.acceptance.running import Running
from tests.schema.conftest import real_estate_core  # noqa: F401 - a fixture
from tests.storage.postgres_server import postgres  # noqa: F401 - a fixture


@pytest.fixture(autouse=True, scope="module")
def nothing_left_running():
    yield
    for left in list(Running.alive):
        left.kill()
