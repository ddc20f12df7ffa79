"""Updates all twins of a workspace in pieces of ten until it is done or killed: it begins one for each line on standard input,
and writes one on standard output when that is done."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twinwright.platform import updating
from twinwright.platform.local import LocalPlatform


def main(folder: str) -> None:
    updating.PIECE = 10
    platform = LocalPlatform.open(Path(folder))
    submit = platform.session.graph.submit

    def telling(principal: Any, write: Any) -> Any:
        sys.stdin.readline()
        done = submit(principal, write)
        sys.stdout.write(f"{done.token}\n")
        sys.stdout.flush()
        return done

    platform.session.graph.submit = telling
    platform.update("SELECT T FROM DIGITALTWINS T", set={"p": 1.5})
    platform.close()


if __name__ == "__main__":
    main(sys.argv[1])
