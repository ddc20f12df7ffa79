"""A stretch of history is followed again through the one seam of the clock: whatever the pace, it says what the live shadow said."""

import pytest
from tests.simulation.shadow.line import BEGIN, STEP, Line, body
from tests.simulation.shadow.test_law import FORECAST

from twinwright.clock import SECOND, ManualClock, PacedClock
from twinwright.errors import UsageError
from twinwright.governance.principals import SYSTEM
from twinwright.simulation.shadow.consumer import parameters_of
from twinwright.simulation.shadow.reading import Readings
from twinwright.simulation.shadow.replaying import Replay, extent


def replayed(line, clock, pause, start, end):
    """By kind, path and time what is said; and how many times it was told something."""
    readings = Readings(line.plant.store, SYSTEM, line.plant.store.last_commit(SYSTEM))
    replay = Replay(line.shadow, 1, readings, parameters_of(line.plant.store, SYSTEM, line.shadow), start, end)
    said, portions = {}, 0
    while True:
        for heard in replay.hear(clock):
            portions += 1
            assert heard.until <= clock.now()
            for kind, rows in (("simulated", heard.predicted), ("derived", heard.residual), ("forecast", heard.forecast)):
                said |= {(kind, path, time): num for path, time, num in rows.select("path", "time", "num").iter_rows()}
        if replay.finished:
            return said, portions
        clock.advance(pause) if isinstance(clock, ManualClock) else clock._clock.advance(pause)


@pytest.mark.parametrize("hold", ["zero", "linear", "next"])
def test_at_any_pace_it_says_what_the_shadow_said_live(tmp_path, hold):
    line = Line(tmp_path / "line", hold, forecast=FORECAST)
    line.plant.send(*(body(tick, 60.0 + tick % 5, 100.0 + tick % 3) for tick in range(0, 41)))
    line.follow()
    last = line.plant.store.last_commit(SYSTEM)
    readings = Readings(line.plant.store, SYSTEM, last)
    start, end = extent(line.shadow, 1, readings)
    assert (start, end) == (BEGIN, BEGIN + 20 * STEP * SECOND + 1)
    at_once, once = replayed(line, ManualClock(end), SECOND, start, end)
    paced, often = replayed(line, PacedClock(ManualClock(), start, 10.0), SECOND * 7 // 10, start, end)  # seven seconds at a time
    assert at_once == paced
    assert once == 1
    assert often > 10
    kinds = {"shadow:live": {"simulated": "simulated", "derived": "derived"}, line.shadow.forecast_source: {"simulated": "forecast"}}
    live = {(kinds[source][lane], path, time): num for (_, path, time, source), (lane, num) in line.facts().items()}
    assert live == at_once
    assert line.plant.store.last_commit(SYSTEM) == last  # nothing is stored
    line.close()


def test_a_part_of_history_is_one_with_a_beginning_of_its_own(tmp_path):
    line = Line(tmp_path / "line")
    line.plant.send(*(body(tick, 60.0, 100.0) for tick in range(0, 41, 2)))
    start, end = BEGIN + 5 * STEP * SECOND, BEGIN + 9 * STEP * SECOND
    said, _ = replayed(line, ManualClock(end), SECOND, start, end)
    assert sorted({time for _, _, time in said}) == [start + step * STEP * SECOND for step in range(4)]
    with pytest.raises(UsageError, match="more than"):
        replayed(line, ManualClock(end), SECOND, start, start + 2_000_000 * STEP * SECOND)
    line.close()


def test_a_paced_clock_passes_as_fast_as_it_is_told_to():
    world = ManualClock(5)
    clock = PacedClock(world, 1_000, 2.5)
    assert clock.now() == 1_000
    world.advance(10)
    world.step(99)  # what an operator does to the clock of the world is nothing to it
    assert (clock.now(), clock.monotonic(), clock.boot()) == (1_025, 10, world.boot())
