"""Which shadows are stopped: a record of each that ever was, kept with who said so."""

from __future__ import annotations

from typing import Final

from twinwright.governance.principals import Principal
from twinwright.storage.protocol import Store, Transaction

KIND: Final = "shadow-switch"  # of the records, and of the commits that write them


def stopped(store: Store, principal: Principal) -> frozenset[str]:
    """The names of those that follow nothing until they are started."""
    return frozenset(one.id for one in store.records(principal, KIND) if one.body["stopped"])


def switch(store: Store, principal: Principal, name: str, *, stop: bool) -> int:
    """Remember that one is stopped, or is not; who said so is audited. Gives the commit."""
    with store.transaction(principal, KIND) as transaction:
        put(transaction, name, stop=stop)
        action = "stop" if stop else "start"
        transaction.put_record("audit", f"shadow-{transaction.commit}", {"by": principal.name, "shadow": name, "action": action})
    return transaction.commit


def put(transaction: Transaction, name: str, *, stop: bool) -> None:
    """As part of a transaction."""
    transaction.put_record(KIND, name, {"stopped": stop})
