"""What an expression says of a single value is remembered for its number, whatever the unit."""

import pytest

from twinwright.twins.evolution import ways


def apply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "_VALUE", tuple(name for name in ways._VALUE if name != "unit"))
