"""The command `twinwright`: a thin layer over `Platform`. Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 3 failed."""

from twinwright.cli import contracts as _contracts  # noqa: F401 - registers its commands
from twinwright.cli import fmu as _fmu  # noqa: F401 - registers its commands
from twinwright.cli import forks as _forks  # noqa: F401 - registers its commands
from twinwright.cli import graph as _graph  # noqa: F401 - registers its commands
from twinwright.cli import graph_imports as _graph_imports  # noqa: F401 - registers its commands
from twinwright.cli import imports as _imports  # noqa: F401 - registers its commands
from twinwright.cli import keeping as _keeping  # noqa: F401 - registers its commands
from twinwright.cli import models as _models  # noqa: F401 - registers its commands
from twinwright.cli import new as _new  # noqa: F401 - registers its commands
from twinwright.cli import processes as _processes  # noqa: F401 - registers its commands
from twinwright.cli import reconciling as _reconciling  # noqa: F401 - registers its commands
from twinwright.cli import requests as _requests  # noqa: F401 - registers its commands
from twinwright.cli import scenarios as _scenarios  # noqa: F401 - registers its commands
from twinwright.cli import schemas as _schemas  # noqa: F401 - registers its commands
from twinwright.cli import shadows as _shadows  # noqa: F401 - registers its commands
from twinwright.cli.app import app, main

__all__ = ["app", "main"]
