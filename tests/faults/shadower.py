"""Follows what a store holds, in small pieces, until it is done or killed; a line on standard output for each commit.

shadower.py FOLDER
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.simulation.shadow.line import Line

from twinwright.simulation.shadow import follower

FORECAST = {"horizon": "PT1M", "every": "PT30S"}


def main(folder: str) -> None:
    follower.CHUNK = 12
    line = Line(Path(folder), forecast=FORECAST)
    line.plant.store.on_commit(lambda commit: os.write(1, f"{commit.number}\n".encode()))
    os.write(1, b"ready\n")
    line.follow()
    os.write(1, b"end\n")
    line.close()


if __name__ == "__main__":
    main(sys.argv[1])
