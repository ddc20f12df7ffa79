"""An hour at half of what it can take: memory stays flat, and what was measured can be read within two seconds."""

import random
import statistics
import time
from collections import deque

import numpy as np
import pytest
from benchmarks.append_growth import MEGABYTE, resident
from benchmarks.ingest_vs_decode import BATCH, TWINS, payloads, platform
from tests.soak.shorter import amount

from twinwright.errors import BusyError
from twinwright.telemetry.payloads import Delivery, Payload

pytestmark = pytest.mark.soak
SECONDS = amount("SECONDS", 3600)
PART = 10_000  # payloads of a delivery
# Of sixty looks at the memory the last may be so much above those after the first third: the engine's cache of its own blocks grows.
GROWTH = 400 * MEGABYTE


def made(start, rng):
    return [Delivery("pump", tuple(map(Payload, part))) for part in batched(payloads(start, BATCH, rng, repeats=0.0))]


def batched(bodies):
    return [bodies[at : at + PART] for at in range(0, len(bodies), PART)]


def taken(pipeline, delivery):
    """The future of a delivery that is offered until there is room, as every source does."""
    while True:
        try:
            return pipeline.submit_soon(delivery)
        except BusyError:
            time.sleep(0.02)


def test_memory_stays_flat_and_telemetry_fresh_at_half_of_peak(tmp_path):
    store, state, pipeline = platform(tmp_path)
    rng, start = random.Random(13), 0
    for burst in range(4):  # the first compiles
        deliveries = [one for index in range(8) for one in made(start + index * BATCH, rng)]
        start += 8 * BATCH
        began = time.perf_counter()
        for future in [pipeline.submit_soon(one) for one in deliveries]:
            future.result()
        peak = 8 * BATCH / (time.perf_counter() - began) if burst else 0.0
    pause, began, sent = PART / (peak / 2), time.perf_counter(), 0
    waiting, fresh, memory, looked = deque(), [], [], began
    while time.perf_counter() - began < SECONDS:
        for delivery in made(start, rng):
            due = began + sent * pause  # who is late to send is late all the same
            time.sleep(max(0.0, due - time.perf_counter()))
            future = taken(pipeline, delivery)
            future.add_done_callback(lambda _, due=due: fresh.append(time.perf_counter() - due))
            waiting.append(future)
            sent += 1
        start += BATCH
        while waiting and waiting[0].done():
            assert waiting.popleft().result().received == PART
        if time.perf_counter() - looked > SECONDS / 60:
            memory.append(resident())
            looked = time.perf_counter()
    for future in waiting:
        assert future.result().received == PART
    late = float(np.percentile(fresh, 99))
    settled, last = statistics.median(memory[20:30]), statistics.median(memory[-10:])
    print(
        f"peak {peak:,.0f}/s; {sent * PART:,} at {peak / 2:,.0f}/s; p99 {late:.3f} s; {settled / MEGABYTE:.0f} to {last / MEGABYTE:.0f} MB"
    )
    assert len(state.of("pump")) == TWINS
    pipeline.close()
    store.close()
    assert late < 2.0
    assert last - settled < GROWTH
