"""What tables print is what they were given."""

from __future__ import annotations

import pytest

from twinwright.cli.output import table


def test_brackets_and_colons_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Units stand in brackets, and names have colons: neither is markup."""
    table(["heat [kWh]", "name"], [[1.5, "[bold]a[/bold]"], [2, "dtmi:my:car:Pump;1"]], empty="")
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["heat", "[kWh]", "name"]
    assert first.split() == ["1.5", "[bold]a[/bold]"]
    assert second.split() == ["2", "dtmi:my:car:Pump;1"]
