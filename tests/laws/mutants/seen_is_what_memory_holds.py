"""What memory has let go of was never seen: nobody looks for it in the store."""

from twinwright.telemetry.duplicates import SeenReadings


def apply(monkeypatch):
    add = SeenReadings.add

    def forgetful(self, *readings):
        verdict = add(self, *readings)
        self._stored = {start: count for start, count in self._stored.items() if start in self._held}
        return verdict

    monkeypatch.setattr(SeenReadings, "add", forgetful)
