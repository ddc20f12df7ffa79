"""Parts of a graph taken in from files: all that is in them is checked together first, then written in pieces.

What is there already as it is in the files is left alone, so an import that was interrupted is simply given again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from twinwright import schema
from twinwright.errors import InvalidTwinError, Problem, SchemaError, TwinwrightError, problems_of
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.platform import interfaces
from twinwright.platform.applied import documents_of
from twinwright.platform.graph_files import Incoming, Item, Piece
from twinwright.platform.session import Session
from twinwright.schema import Ontology
from twinwright.twins.graph import bodies
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.fitting import taken_in
from twinwright.twins.graph.json_patch import same
from twinwright.twins.graph.relationship_writes import put_relationship
from twinwright.twins.graph.twin_writes import model_of, put_twin, values

PIECE: Final = 20_000  # documents of one commit
MOST_TOLD: Final = 1_000  # problems that are told one by one
Progress = Callable[[int, int], None]
_KINDS: Final = ("model", "twin", "relationship")
_COUNTED: Final = ("models", "twins", "relationships", "unchanged", "refused")


def import_files(session: Session, principal: Principal, incoming: Incoming, *, dry_run: bool, progress: Progress | None) -> dict[str, Any]:
    """Raises UsageError for what is no file; InvalidTwinError, with nothing written, where anything in them does not fit."""
    principal.require_admin()
    problems: list[Problem] = []
    models = incoming.models()
    fresh, ontology = _models(session, models, problems)
    counts = {"models": len(fresh), "twins": 0, "relationships": 0, "unchanged": len(models) - len(fresh), "refused": 0}
    pieces: list[Piece] = []
    if ontology is not None:
        pieces = sorted(incoming.pieces(ontology, PIECE, problems), key=lambda piece: piece.kind != "twin")  # twins first
        _check(session, ontology, pieces, counts, problems)
    told = _bounded(problems)
    if dry_run:
        shown = {**counts, "refused": len(problems), "problems": [one.as_json() for one in told]}
        return {"dry_run": True, **shown, "commits": 0, "token": session.store.last_commit(SYSTEM)}
    if problems:
        raise InvalidTwinError(told)
    done = _written(session, principal, fresh, pieces, progress)
    return {**done, "unchanged": done["unchanged"] + len(models) - len(fresh)}


def _bounded(problems: Sequence[Problem]) -> list[Problem]:
    left = len(problems) - MOST_TOLD
    return [*problems[:MOST_TOLD], *([Problem(f"and {left} more problems", "Mend these first")] if left > 0 else [])]


# --- checking --------------------------------------------------------------------------------------------------------


def _models(session: Session, items: Sequence[Item], problems: list[Problem]) -> tuple[list[Item], Ontology | None]:
    """The interfaces that are not there yet, and all there would be with them; None where they are no good."""
    applied = session.served.applied
    there = {one["id"]: one["model"] for one in interfaces.listed(applied, ())}
    fresh: dict[str, Item] = {}
    for item in items:
        dtmi = item.document.get("@id") if isinstance(item.document, dict) else None
        held = there.get(dtmi) if dtmi in there else fresh[dtmi].document if dtmi in fresh else None
        if not isinstance(dtmi, str):
            problems.append(item.problem("a model without an @id", "It must be a DTDL interface"))
        elif held is not None and not same(held, item.document):
            problems.append(item.problem(f"there is another model '{dtmi[:200]}' already", "Give a changed model a new version"))
        elif held is None:
            fresh[dtmi] = item
    if not fresh:
        return [], applied.ontology
    named = [(_place(item), item.document) for item in fresh.values()]
    try:
        return list(fresh.values()), schema.load([*documents_of(applied.schema_texts, applied.added), *named])
    except SchemaError as error:
        problems += error.problems
        return list(fresh.values()), None


def _place(item: Item) -> str:
    return ":".join(str(part) for part in (item.file, item.line or item.path) if part is not None)


def _check(session: Session, ontology: Ontology, pieces: Sequence[Piece], counts: dict[str, int], problems: list[Problem]) -> None:
    """Everything in one draft that is never written: relationships may lead to twins of the same files."""
    with session.state.lock:
        draft = session.trial(ontology)
    for piece in pieces:
        with session.state.lock:  # let go in between: telemetry goes on
            problems += _take(draft, piece, counts)


def _take(draft: Draft, piece: Piece, counts: dict[str, int]) -> list[Problem]:
    """A piece into a draft, and counted: in columns where that can be done, else one by one; why some were refused."""
    left, taken = taken_in(draft, piece.blocks, [_key(item) for item in piece.items])
    counts[f"{piece.kind}s"] += taken
    items = [*piece.items, *(Item(piece.kind, document, piece.file, line) for line, document in left)]
    items.sort(key=lambda item: item.line or 0)
    return [problem for item in items for problem in _put(draft, item, counts)]


def _key(item: Item) -> Any:
    """What a document is of, as well as it says."""
    document = item.document if isinstance(item.document, dict) else {}
    return document.get("$dtId") if item.kind == "twin" else (document.get("$sourceId"), document.get("$relationshipId"))


def _put(draft: Draft, item: Item, counts: dict[str, int]) -> list[Problem]:
    """One document into a draft, and counted; why it was refused."""
    try:
        document = bodies.require_object(item.document)
        if _is_there(draft, item):
            counts["unchanged"] += 1
            return []
        if item.kind == "twin":
            put_twin(draft, str(document.get("$dtId", "")), document, None)
        else:
            put_relationship(draft, str(document.get("$sourceId", "")), str(document.get("$relationshipId", "")), document, None)
    except TwinwrightError as error:
        counts["refused"] += 1
        named = str(item.document.get("$dtId" if item.kind == "twin" else "$relationshipId")) if isinstance(item.document, dict) else "?"
        return [item.problem(f"{item.kind} '{named[:128]}': {one.message}", one.remedy, one.path, one.code) for one in problems_of(error)]
    counts[f"{item.kind}s"] += 1
    return []


def _is_there(draft: Draft, item: Item) -> bool:
    """Whether what a document says is so already."""
    document: Mapping[str, Any] = item.document
    if item.kind == "relationship":
        edge = draft.edge(str(document.get("$sourceId")), str(document.get("$relationshipId")))
        own = {} if edge is None else {"$targetId": edge.target, "$relationshipName": edge.name, **edge.properties}
        said = {name: value for name, value in document.items() if name not in ("$relationshipId", "$sourceId", "$etag", "$metadata")}
        return edge is not None and same(own, said)
    life = draft.alive(str(document.get("$dtId")))
    model, lineages = model_of(document), draft.world.evolution.lineages
    if life is None or not isinstance(model, str) or model in lineages.retired or not lineages.related(life.interface, model):
        return False
    body = bodies.read_twin(document, model, draft.world.ontology, draft.now)
    body.require_valid()
    return not body.times and same(values(draft, lineages.seen(life, model)), body.values)


# --- writing ---------------------------------------------------------------------------------------------------------


def _written(
    session: Session, principal: Principal, fresh: Sequence[Item], pieces: list[Piece], progress: Progress | None
) -> dict[str, Any]:
    counts = dict.fromkeys(_COUNTED, 0)
    problems: list[Problem] = []
    commits, done, total = 0, 0, len(fresh) + sum(map(len, pieces))
    for first in range(0, len(fresh), interfaces.MOST_ADDED):
        piece = fresh[first : first + interfaces.MOST_ADDED]
        interfaces.add(session, principal, [item.document for item in piece])
        counts["models"] += len(piece)
        commits, done = commits + 1, done + len(piece)
    token = session.store.last_commit(SYSTEM)
    for together in _commits(pieces):

        def write(draft: Draft, together: Sequence[Piece] = together) -> tuple[dict[str, int], list[Problem], bool]:
            mine = dict.fromkeys(_COUNTED, 0)
            found = [problem for piece in together for problem in _take(draft, piece, mine)]
            return mine, found, not draft.empty

        answer = session.graph.submit(principal, write)
        mine, found, changed = answer.value
        counts = {name: counts[name] + mine[name] for name in counts}
        problems += found
        commits, done, token = commits + changed, done + sum(map(len, together)), answer.token
        if progress is not None:
            progress(done, total)
    told = [one.as_json() for one in _bounded(problems)]
    return {"dry_run": False, **counts, "problems": told, "commits": commits, "token": token}


def _commits(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """What goes into one commit each; a piece that was written is let go of."""
    pieces.reverse()
    while pieces:
        together = [pieces.pop()]
        while pieces and sum(map(len, together)) + len(pieces[-1]) <= PIECE:
            together.append(pieces.pop())
        yield together
