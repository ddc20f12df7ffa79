"""Helpers are imported by their path from the root; the broker is the one that the connectors are tested with."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from tests.connectors.conftest import broker  # noqa: F401 - a fixture
