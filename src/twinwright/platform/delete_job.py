"""What a delete job does: all relationships, then all twins, then the interfaces that clients added."""

from __future__ import annotations

from typing import Any, Final

from twinwright.governance.principals import Principal
from twinwright.platform.applied import INTERFACE
from twinwright.platform.session import Session
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.relationship_writes import delete_relationship
from twinwright.twins.graph.twin_writes import delete_twin

PIECE: Final = 1_000  # of one commit: others write in between


def delete_some(session: Session, principal: Principal, body: dict[str, Any]) -> bool:
    """Whether there is more."""
    progress = body["progress"]
    with session.state.lock:
        edges = session.edges.some(PIECE)
    twins = [] if edges else session.served.applied.registry.twins[:PIECE]
    models = [] if edges or twins else [dtmi for dtmi, one in session.served.applied.added.items() if one.body["model"] is not None]

    def write(draft: Draft) -> None:
        for edge in edges:
            if draft.edge(edge.source, edge.id) is not None:
                delete_relationship(draft, edge.source, edge.id, None)
        for twin in twins:
            if draft.alive(twin) is not None and next(draft.touches(twin), None) is None:
                delete_twin(draft, twin, None)
        for dtmi in models:
            draft.put_record(INTERFACE, dtmi, {**session.served.applied.added[dtmi].body, "removed": True})
        for name, done in (("relationships", edges), ("twins", twins), ("models", models)):
            progress[name] = progress.get(name, 0) + len(done)
        draft.put_record("delete-job", body["id"], body)

    with session.changing:
        session.graph.submit(principal, write)
        if models:
            session.serve_again()
    return bool(edges or twins)
