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
    # By five million the fingerprints have their full size. From there on only the engine's cache of its own blocks may grow, some 16 MB
    # a million readings; keeping anything of each payload would take more than 100.
    settled, last = statistics.median(resident[4:9]), statistics.median(resident[-5:])
    assert last - settled < 350, f"from {settled:.0f} MB to {last:.0f} MB"
    assert max(resident) < 1_500
