from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "dtdl"


def _lines(name: str) -> list[Any]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not on this machine")
    with gzip.open(path) as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def specification_cases() -> list[Any]:
    return _lines("specification_cases.jsonl.gz")


@pytest.fixture(scope="session")
def real_estate_core() -> list[Any]:
    return _lines("realestatecore_v3.jsonl.gz")
