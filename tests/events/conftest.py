"""A plant of the graph, in this process."""

import pytest
from tests.platform.graph_plant import NOW, opened

from twinwright.clock import ManualClock


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def plant(tmp_path, clock):
    platform = opened(tmp_path / "w", clock)
    yield platform
    platform.close()
