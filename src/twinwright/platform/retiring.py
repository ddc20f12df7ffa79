"""Retiring a version of an interface: it takes no twins and serves nobody any more, and history that came under it is still read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twinwright.errors import RefusedError
from twinwright.governance.principals import Principal
from twinwright.platform import interfaces
from twinwright.platform.applied import INTERFACE, Applied
from twinwright.platform.session import Session
from twinwright.twins.evolution import Lineages
from twinwright.twins.graph.draft import Draft
from twinwright.workspace.load import paths_of_twins

_NAMED = 20  # twins that are named one by one; of more, how many there are


def retire(session: Session, principal: Principal, dtmi: str) -> dict[str, Any]:
    """`retired interface token`. Raises NotFoundError, and RefusedError that names everything which uses it."""
    principal.require_admin()
    session.served.applied.ontology.interface(dtmi)

    def write(draft: Draft) -> None:
        found = list(uses(session, dtmi))
        if found:
            remedy = "Move them to the next version, or remove them, and apply"
            raise RefusedError(f"it is in use: {'; '.join(found)}", where=dtmi, remedy=remedy)
        record = session.served.applied.added.get(dtmi)
        body = record.body if record is not None else {"model": None, "uploaded": None, "removed": False}
        draft.put_record(INTERFACE, dtmi, {**body, "decommissioned": True, "retired": True})
        draft.put_record("audit", f"retire-{draft.commit}", {"by": principal.name, "interface": dtmi})

    _, token = interfaces.served(session, principal, write)
    return {"retired": True, "interface": dtmi, "token": token}


def uses(session: Session, dtmi: str) -> Iterator[str]:
    """Everything that uses a version of an interface, in words."""
    applied = session.served.applied
    twins = [twin for twin in applied.registry.twins if applied.registry.current(twin).interface == dtmi]
    yield from (f"twin '{twin}' is of it" for twin in twins[:_NAMED])
    if len(twins) > _NAMED:
        yield f"so are {len(twins) - _NAMED} more twins"
    yield from (f"interface {name} extends or contains it" for name in sorted(interfaces.users(applied.ontology, dtmi)))
    for name in sorted(set(applied.ontology.interfaces) - {dtmi} - applied.lineages.retired):
        ends = [edge for edge, declared in applied.ontology.relationships(name).items() if declared.target == dtmi]
        yield from (f"relationship '{edge}' of {name} leads to it" for edge in ends)
    lost = _only_here(applied, dtmi)
    for contract in applied.contracts.values():
        if mine := [column.path for column in contract.columns if column.path in lost]:
            yield f"contract '{contract.name}' observes {', '.join(mine)}"
    for definition in applied.derived.values():
        paths = [definition.path, *(one.path for one in definition.inputs)]
        if definition.spec.interface == dtmi or lost & set(paths):
            yield f"derived value '{definition.name}' is of it"
    for name, model in session.models.items():
        if model.interface == dtmi:
            yield f"model '{name}' is of it"
    for name, scenario in session.workspace.scenarios.items():
        if scenario.of_interface == dtmi:
            yield f"scenario '{name}' is of all its twins"
        elif scenario.of_query is not None and f"'{dtmi}'" in scenario.of_query:
            yield f"scenario '{name}' asks for its twins"
    for one in session.workspace.graph.twins.values():
        if one.interface == dtmi and one.id not in twins:
            yield f"twin '{one.id}' is declared as it in twins.yaml"


def _only_here(applied: Applied, dtmi: str) -> set[str]:
    """The paths that no twin would have any more."""
    lineages = Lineages(applied.lineages.migrations, applied.ontology, {*applied.lineages.retired, dtmi})
    interfaces_left = {applied.registry.current(twin).interface for twin in applied.registry.twins} - {dtmi}
    left = paths_of_twins(applied.ontology, sorted(interfaces_left), lineages) if interfaces_left else {}
    return set(applied.ontology.paths(dtmi)) - set(left)
