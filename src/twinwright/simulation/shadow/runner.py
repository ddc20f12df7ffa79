"""The thread in which models follow their twins while a platform runs; without one, `shadow run` does it."""

from __future__ import annotations

from twinwright.simulation.shadow.consumer import ShadowConsumer
from twinwright.storage.consuming import ConsumerThread

_GATHER, _LONGEST_GATHER = 0.1, 1.0  # seconds: what is committed within them is followed in one round
_SHARE = 2.0  # it gathers so many times as long as the last round took: what trickles in does not take all of a core


class ShadowRunner(ConsumerThread):
    gather = _GATHER

    def __init__(self, consumer: ShadowConsumer) -> None:
        super().__init__("shadow", consumer)
        self.consumer = consumer

    def after_round(self, _took: float) -> None:
        self.gather = min(max(_GATHER, _SHARE * _took), _LONGEST_GATHER)
