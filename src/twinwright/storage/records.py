"""Small documents kept in the store: runs, parameter sets, validations, promotions, what was applied, audit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from twinwright.governance.principals import Principal


@dataclass(frozen=True, slots=True)
class Record:
    """One version of one document. `commit` is the number of the transaction that wrote it, `at` its time (microseconds)."""

    kind: str
    id: str
    body: dict[str, Any]
    commit: int
    at: int
    principal: str


class RecordStore(Protocol):
    """Append-only: a second `put` of an id is a newer version; the older stays readable in `versions`. Bodies are JSON."""

    def put_record(self, principal: Principal, kind: str, id: str, body: dict[str, Any]) -> int:
        """Commit one version; returns its commit number. Raises ForbiddenError, StoreError."""
        ...

    def put_records(self, principal: Principal, kind: str, bodies: Mapping[str, dict[str, Any]]) -> int:
        """Commit a version of each id, all in one transaction; returns its commit number. Raises ForbiddenError, StoreError."""
        ...

    def get_record(self, principal: Principal, kind: str, id: str) -> Record:
        """The newest version. `id` may be a unique prefix. Raises NotFoundError (none, or several with that prefix)."""
        ...

    def records(self, principal: Principal, kind: str) -> list[Record]:
        """The newest version of each id of a kind, oldest commit first."""
        ...

    def records_of_digest(self, principal: Principal, kind: str, digests: Collection[str]) -> list[Record]:
        """The newest version of each id of a kind whose body has one of these under `digest`, oldest commit first: looked up, however many
        records there are. A digest is 64 hexadecimal digits in small letters, the first of its name in the body with sorted keys."""
        ...

    def versions(self, principal: Principal, kind: str, id: str) -> Iterator[Record]:
        """Every version of one id, oldest first."""
        ...

    def record_versions(self, principal: Principal, kinds: Collection[str], after: int, through: int) -> list[Record]:
        """Every version of these kinds that the commits after one, through another, wrote; by (commit, kind, id)."""
        ...
