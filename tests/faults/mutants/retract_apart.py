"""What is read again is retracted in one transaction, and written in another."""

from twinwright.telemetry.replay import Reprocessing


def apply():
    write = Reprocessing._write

    def apart(self, principal, window, spool, remaining):
        with self._store.transaction(principal, "replay") as transaction:
            transaction.retract(window.contract.name, window.first, window.last, window.below)
        return write(self, principal, window, spool, remaining)

    Reprocessing._write = apart
