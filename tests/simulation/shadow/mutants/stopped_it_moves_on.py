"""What is committed while it is stopped is passed over."""

from twinwright.simulation.shadow.consumer import POSITIONS, ShadowConsumer

whole = ShadowConsumer._contained


def apply(patched):
    def contained(self, one):
        horizon = self._horizon()
        if one.stopped and one.current and one.position < horizon:
            with self._store.transaction(self._principal, "shadow") as transaction:
                transaction.move_positions(POSITIONS, [(one.name, one.stored, horizon)])
            one.stored = one.position = horizon
        return whole(self, one)

    patched.setattr(ShadowConsumer, "_contained", contained)
