"""The plant that is killed here is imported by its path from the root."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
