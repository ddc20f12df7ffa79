"""A late input is heard of, and the newest state goes on as if it had seen it."""

from twinwright.simulation.shadow.follower import Follower


def apply(patched):
    def invalidate(self, shadow, since):
        self.dirty = True

    patched.setattr(Follower, "invalidate", invalidate)
