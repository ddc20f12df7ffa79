"""That one is stopped is known to the process that was told of it, and to none that comes after."""

from twinwright.simulation.shadow.consumer import ShadowConsumer

take_up, heed = ShadowConsumer._take_up, ShadowConsumer.heed


def apply(patched):
    told = []

    def take_up_what_it_was_told(self):
        take_up(self)
        if self not in told:
            for one in self._progress.values():
                one.stopped = False

    def heed_and_know(self, patience):
        told.append(self)
        return heed(self, patience)

    patched.setattr(ShadowConsumer, "_take_up", take_up_what_it_was_told)
    patched.setattr(ShadowConsumer, "heed", heed_and_know)
