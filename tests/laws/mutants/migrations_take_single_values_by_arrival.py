"""Of single values of one key the last to come counts, under whatever name and in whatever version."""

import pytest

from twinwright.twins.evolution import view


def apply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "_order", view._key)
