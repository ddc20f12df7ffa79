"""The connector does what every source has to do."""

from pathlib import Path

import pytest
from beacon import BeaconBinding, BeaconSettings, BeaconSource

from twinwright.connectors.conformance import Case, SourceConformance
from twinwright.telemetry.connector import Bound


class TestBeacon(SourceConformance):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        file, fed = tmp_path / "beacon.log", [0]

        def make() -> BeaconSource:
            """A new instance on the same outside world, as a restarted process has it."""
            return BeaconSource("beacon", BeaconSettings(file=str(file)), (Bound("c", "json", BeaconBinding()),))

        def feed(count: int) -> list[bytes]:
            """Make so many more readings available; what identifies each in its payload."""
            marks = [f'"<{number}>"'.encode() for number in range(fed[0], fed[0] + count)]
            fed[0] += count
            with file.open("ab") as out:
                out.writelines(b'{"n": %s}\n' % mark for mark in marks)
            return marks

        return Case(make=make, feed=feed, positioned=True)


def test_a_line_that_is_still_being_written_waits_for_its_end(tmp_path: Path) -> None:
    file = tmp_path / "beacon.log"
    source = BeaconSource("beacon", BeaconSettings(file=str(file)), (Bound("c", "json", BeaconBinding()),))
    source.open(lambda contract, stream: 0)
    file.write_bytes(b'{"n": 1}\n{"n"')
    delivery = source.poll(5.0)
    assert delivery is not None
    assert [payload.body for payload in delivery.payloads] == [b'{"n": 1}']
    assert source.poll(0.0) is None
    source.close()
