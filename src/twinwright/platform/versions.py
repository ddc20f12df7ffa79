"""What an operator watches while a fleet is migrated: where its twins are, what is taken in and who asks as which version."""

from __future__ import annotations

from typing import Any

from twinwright.governance.principals import Principal
from twinwright.platform.applied import Applied
from twinwright.platform.retiring import uses
from twinwright.platform.session import Session


def twins_by_interface(applied: Applied) -> dict[str, int]:
    """How many twins there are of each interface that a migration names."""
    found = dict.fromkeys(applied.lineages.migrated, 0)
    for twin in applied.registry.twins:
        life = applied.registry.alive(twin)
        if life is not None and life.interface in found:
            found[life.interface] += 1
    return found


def spoken_by(applied: Applied) -> dict[str, str]:
    """By the name of each contract of migrated interfaces, the newest version that has all of its paths: it needs no older one."""
    found: dict[str, str] = {}
    for name, contract in applied.contracts.items():
        paths = {column.path for column in contract.columns}
        for one in reversed(applied.lineages.in_order()):
            for dtmi in (one.new, one.old):
                if name not in found and paths <= applied.ontology.paths(dtmi).keys():
                    found[name] = dtmi
    return found


def measure(session: Session) -> None:
    """Set the gauges of migrations; counted anew only where the twins, or what is applied, are others than the last time."""
    applied, metrics = session.served.applied, session.metrics
    if not applied.lineages.active or not session.versions.is_due((applied.commit, len(applied.registry.taken))):
        return
    twins, lineages = twins_by_interface(applied), applied.lineages
    for one in lineages.migrations.values():
        versions = lineages.versions(one.new)
        moved = sum(twins[dtmi] for dtmi in versions[versions.index(one.new) :])
        metrics.migration_share.labels(migration=one.name).set(one.spec.share)
        metrics.migration_twins.labels(migration=one.name, side="moved").set(moved)
        metrics.migration_twins.labels(migration=one.name, side="left").set(twins[one.old])
    for contract, interface in spoken_by(applied).items():
        for dtmi in lineages.versions(interface):
            metrics.contract_version.labels(contract=contract, interface=dtmi).set(dtmi == interface)


def shown(session: Session, principal: Principal) -> list[dict[str, Any]]:
    """See `GraphSurface.schema_versions`."""
    principal.require_read()
    applied, lineages = session.served.applied, session.served.applied.lineages
    twins, spoken = twins_by_interface(applied), spoken_by(applied)
    into = {one.new: one for one in lineages.migrations.values()}
    firsts = sorted({lineages.versions(dtmi)[0] for dtmi in lineages.migrated})
    return [
        {
            "interface": dtmi,
            "migration": into[dtmi].name if dtmi in into else None,
            "share": into[dtmi].spec.share if dtmi in into else None,
            "twins": twins[dtmi],
            "readings": {name: _accepted(session, name) for name, version in spoken.items() if version == dtmi},
            **session.versions.of(dtmi),
            "retired": dtmi in lineages.retired,
            "in_use": [] if dtmi in lineages.retired else list(uses(session, dtmi)),
        }
        for first in firsts
        for dtmi in lineages.versions(first)
    ]


def _accepted(session: Session, contract: str) -> int:
    return int(session.metrics.value("twinwright_readings_accepted_total", contract=contract))
