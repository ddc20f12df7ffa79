"""Helpers are imported by their path from the root."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))
