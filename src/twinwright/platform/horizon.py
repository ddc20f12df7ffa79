"""How far back what was known is kept."""

from __future__ import annotations

from twinwright.clock import parse_duration, to_iso
from twinwright.errors import RefusedError
from twinwright.platform.session import Session


def require_horizon(session: Session, at: int | None, *, where: str, otherwise: str = "Ask for a later one") -> None:
    """What was known until `at` (microseconds; None: is still known) can be told. Raises RefusedError beyond the horizon."""
    if at is None:  # the folder is not read for it
        return
    kept = session.settings.retention.known_at
    horizon = session.clock.now() - parse_duration(kept)
    if at < horizon:
        remedy = f"{otherwise}, or set known_at in [retention] (now {kept})"
        raise RefusedError(f"what was known before {to_iso(horizon)} is not kept", where=where, remedy=remedy)
