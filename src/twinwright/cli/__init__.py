"""The command `twinwright`: a thin layer over `Platform`. Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 3 failed."""

import gc
from importlib import import_module

from twinwright.cli.app import app, main

gc.set_threshold(50_000, 20, 20)  # a start makes a hundred thousand objects that stay: to look through them ten times is a tenth of it

for module in (  # in the order of `twinwright --help`
    "workspaces",
    "telemetry",
    "dead_letters",
    "twins",
    "operations",
    "schemas",
    "contracts",
    "fmu",
    "forks",
    "graph",
    "graph_imports",
    "imports",
    "keeping",
    "models",
    "new",
    "processes",
    "query_imports",
    "reconciling",
    "requests",
    "scenarios",
    "shadows",
):
    import_module(f"twinwright.cli.{module}")  # gives `app` its commands

__all__ = ["app", "main"]
