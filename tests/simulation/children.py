"""The processes that runs are forked from, as the machine sees them."""

from pathlib import Path

import psutil

from twinwright.simulation.sandbox import Sandbox


def templates(sandbox: Sandbox) -> list[psutil.Process]:
    """Those of each loaded model. Where models see their own processes only, who started them waits outside of what they see."""
    first = psutil.Process(sandbox._root.process.pid)
    below = first.children()
    seen = [Path(f"/proc/{one.pid}/ns/pid").readlink() for one in (first, *below)]
    return below[0].children() if len(set(seen)) > 1 else below
