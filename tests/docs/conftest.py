"""Makes `page_shell`, beside this file, importable: tests are imported by path, not as packages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
