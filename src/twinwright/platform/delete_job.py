"""What a delete job does: relationships, then twins, then the interfaces that clients added. What comes while it runs is not its own: it
stays, with the interfaces that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from twinwright.governance.principals import Principal
from twinwright.platform.applied import INTERFACE, Applied
from twinwright.platform.interfaces import needed
from twinwright.platform.session import Session
from twinwright.storage.layout import Lifetime
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.relationship_writes import delete_relationship
from twinwright.twins.graph.twin_writes import delete_twin
from twinwright.twins.registry import TwinRegistry

PIECE: Final = 1_000  # of one commit: others write in between


def delete_some(session: Session, principal: Principal, body: dict[str, Any]) -> bool:
    """Whether there is more. The body says what was there when it began (`commit`, `through`) and how far it is (`after`)."""
    applied, progress = session.served.applied, body["progress"]
    last = body.setdefault("commit", session.store.last_commit(principal))
    through = body.setdefault("through", applied.registry.highest)
    with session.state.lock:
        edges = [edge for edge in session.edges.some(PIECE) if edge.commit <= last]
    lives = [] if edges else list(islice(_alive(applied.registry, body.get("after", 0), through), PIECE))
    done = not edges and not lives

    def write(draft: Draft) -> None:
        count = {"relationships": 0, "twins": 0, "models": 0}
        for edge in edges:
            if draft.edge(edge.source, edge.id) is not None:
                delete_relationship(draft, edge.source, edge.id, None)
                count["relationships"] += 1
        for life in lives:
            now = draft.alive(life.twin)
            if now is not None and now.number == life.number:
                for edge in list(draft.touches(life.twin)):  # a client made it since
                    delete_relationship(draft, edge.source, edge.id, None)
                    count["relationships"] += 1
                delete_twin(draft, life.twin, None)
                count["twins"] += 1
        for dtmi in _removable(draft, applied) if done else ():
            draft.put_record(INTERFACE, dtmi, {**applied.added[dtmi].body, "removed": True})
            count["models"] += 1
        for name, number in count.items():
            progress[name] = progress.get(name, 0) + number
        body["after"] = lives[-1].number if lives else body.get("after", 0)
        draft.put_record("delete-job", body["id"], body)

    with session.changing:
        session.graph.submit(principal, write)
        if done:
            session.serve_again()
    return not done


def _alive(registry: TwinRegistry, after: int, through: int) -> Iterator[Lifetime]:
    """The lifetimes that have not ended, by number."""
    for number in range(after + 1, through + 1):
        life = registry.find(number)
        if life is not None and life.alive:
            yield life


def _removable(draft: Draft, applied: Applied) -> list[str]:
    """The interfaces of clients that no twin and none of the folder's needs."""
    kept = needed(applied.ontology, {*draft.interfaces(), *applied.folder_interfaces})
    return [dtmi for dtmi, one in applied.added.items() if one.body["model"] is not None and dtmi not in kept]
