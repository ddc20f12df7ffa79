"""How long the long tests are; see CONTRIBUTING for the environment variables that make a run shorter."""

import os


def amount(name: str, whole: int) -> int:
    """`TWINWRIGHT_SOAK_<name>`, or the whole of it."""
    return int(os.environ.get(f"TWINWRIGHT_SOAK_{name}", whole))
