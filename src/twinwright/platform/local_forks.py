"""Forks in this process: the methods of `Platform` on them, and a fork as a platform."""

from __future__ import annotations

from typing import Any

from twinwright.governance.principals import Principal
from twinwright.platform.fork_diff import differences
from twinwright.platform.forks import Forks, fork_shown
from twinwright.platform.interface import Platform
from twinwright.platform.local_graph import LocalGraph
from twinwright.platform.session import Session


class LocalForks(LocalGraph):
    """The methods of `Platform` on forks, acting as `principal`."""

    session: Session
    principal: Principal
    owner: bool

    def forks(self) -> list[dict[str, Any]]:
        return [fork_shown(one) for one in self._forks.all(self.principal)]

    def create_fork(self, name: str, *, at: str | int | None = None) -> dict[str, Any]:
        commit = None if at is None else self._commit(at)
        return fork_shown(self._forks.create(self.principal, name, commit))

    def fork_diff(self, name: str, *, against: str = "base", limit: int = 1000) -> dict[str, Any]:
        self.principal.require_read()
        fork = self._forks.one(name)
        return differences(fork, self._forks.session(name), self.session, self.principal, against, limit)

    def drop_fork(self, name: str) -> dict[str, Any]:
        self._forks.drop(self.principal, name)
        return {"dropped": name}

    def fork(self, name: str) -> Platform:
        from twinwright.platform.local_fork import LocalFork

        derives = self._forks.one(name).followed is not None
        return LocalFork(self._forks.session(name), self.principal, owner=self.owner, name=name, derives=derives)

    @property
    def _forks(self) -> Forks:
        """Those of the session, whoever asks."""
        with self.session.changing:
            if self.session.forks is None:
                self.session.forks = Forks(self.session)
            return self.session.forks
