"""The plant that is killed here is imported by its path from the root."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from tests.faults.lossy_disk import compiled
from tests.storage.postgres_server import postgres  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Writes down what is done to files: see `lossy_disk`."""
    try:
        return compiled(tmp_path_factory.mktemp("shim"))
    except FileNotFoundError as reason:
        pytest.skip(str(reason))
