"""The log is said to be consumed, and the states kept, in a transaction before the one that has the outputs."""

from twinwright.simulation.shadow.consumer import ShadowConsumer

whole = ShadowConsumer._write


def apply(patched):
    def write(self, one, said, through):
        whole(self, one, (), through)
        with self._store.transaction(self._principal, "shadow") as transaction:
            for rows in said:
                transaction.append_values(rows)

    patched.setattr(ShadowConsumer, "_write", write)
