"""Helpers are imported by their path from the root."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from tests.acceptance.conftest import broker, kafka, nothing_left_running, one_kafka, postgres  # noqa: F401 - fixtures
