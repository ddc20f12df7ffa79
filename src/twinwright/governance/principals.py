"""The principal that every store call takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from twinwright.errors import ForbiddenError

Role = Literal["admin", "writer", "reader", "system"]
_MAY_WRITE = frozenset({"admin", "writer", "system"})


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone or something that acts: `name` for the audit, `tenant` whose data it sees, `roles` for what it may do."""

    name: str
    roles: frozenset[Role]
    tenant: str = "default"

    def require_read(self) -> None:
        """Raises ForbiddenError for a principal without any role."""
        if not self.roles:
            raise ForbiddenError(f"{self.name} has no role", remedy="Use a credential with a role")

    def require_write(self) -> None:
        """Raises ForbiddenError unless this principal may change data."""
        if not self.roles & _MAY_WRITE:
            raise ForbiddenError(f"{self.name} may only read", remedy="Use a credential with the role writer or admin")

    def require_admin(self) -> None:
        """Raises ForbiddenError unless this principal may change the workspace or promote models."""
        if not self.roles & {"admin", "system"}:
            raise ForbiddenError(f"{self.name} is not an administrator", remedy="Use the admin credential")


SYSTEM = Principal("system", frozenset({"system"}))
LOCAL_ADMIN = Principal("local-admin", frozenset({"admin"}))
