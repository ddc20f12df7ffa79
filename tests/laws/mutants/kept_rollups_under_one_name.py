"""What was rolled up under an older name of a path is not there under the newer one."""

from twinwright.twins import reads
from twinwright.twins.expired_windows import ExpiredWindows


def apply(monkeypatch):
    monkeypatch.setattr(reads, "ExpiredWindows", lambda store, evolution: ExpiredWindows(store))
