"""What the applied contracts hold against history, as it is judged where it is read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from twinwright.clock import HOUR, SECOND, parse_duration
from twinwright.storage.layout import ReadingColumn
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.contract_spec import ObservationSpec
from twinwright.twins.judged import AllCriteria
from twinwright.twins.quality import Criteria, Spike

_PER: Final = {"s": SECOND, "min": 60 * SECOND, "h": HOUR}


def criteria_of(contracts: Iterable[Contract]) -> AllCriteria:
    """By (source, path), of every observation that is judged beside its neighbours; a range alone is not."""
    return {
        (contract.source, one.path): _criteria(one, column, contract.spec.gap)
        for contract in contracts
        for one, column in zip(contract.spec.observations, contract.columns, strict=True)
        if one.max_rate or one.stuck or one.spike or one.gap or one.sequence or contract.spec.gap
    }


def _criteria(spec: ObservationSpec, column: ReadingColumn, gap: str | None) -> Criteria:
    gap = spec.gap or gap
    return Criteria(
        unit=column.unit,
        rate=(spec.max_rate.value, _PER[spec.max_rate.per]) if spec.max_rate else None,
        stuck=parse_duration(spec.stuck) if spec.stuck else None,
        spike=Spike(spec.spike.window, spec.spike.threshold, spec.spike.least) if spec.spike else None,
        gap=parse_duration(gap) if gap else None,
        sequence=(spec.sequence.wrap or 0) if spec.sequence else None,
    )
