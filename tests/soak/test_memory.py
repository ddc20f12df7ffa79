"""Twenty million readings through the whole pipeline in bounded memory. Run by `make soak`: some minutes."""

import statistics
from pathlib import Path

import pytest

from benchmarks.append_growth import grow

READINGS = 20_000_000
MEGABYTE = 1 << 20


@pytest.mark.soak
def test_memory_stays_flat_over_twenty_million_readings(tmp_path: Path) -> None:
    steps = list(grow(tmp_path, READINGS))
    resident = [size / MEGABYTE for _, _, size in steps]
    print(
        "\n".join(
            f"{stored:>11,} readings {size:7.0f} MB {seconds:6.1f} s" for (stored, seconds, _), size in zip(steps, resident, strict=True)
        )
    )

    assert steps[-1][0] == READINGS
    # By five million the table of fingerprints has its full size and the engine its caches; from there on nothing may grow with history.
    settled, last = statistics.median(resident[4:9]), statistics.median(resident[-5:])
    assert last < 1.25 * settled, f"from {settled:.0f} MB to {last:.0f} MB"
    assert max(resident) < 1_500
