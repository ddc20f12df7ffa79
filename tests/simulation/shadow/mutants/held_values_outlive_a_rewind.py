"""The values that held at the newest state are believed to hold at the one that it goes back to."""

from twinwright.simulation.shadow.follower import Follower

whole = Follower.invalidate


def apply(patched):
    def invalidate(self, shadow, since):
        held = self.held
        whole(self, shadow, since)
        self.held = held

    patched.setattr(Follower, "invalidate", invalidate)
