"""What every store has to do, as checks that an engine's test only names.

    class TestMine(StoreConformance):
        @pytest.fixture
        def case(self, tmp_path):
            case = Case(open=...)
            yield case
            case.close()

Each check is a plain function, so that broken stores can be run against it and must be caught (test_conformance.py).
"""

import pytest
from tests.storage import (
    conformance_bookkeeping,
    conformance_copies,
    conformance_expiry,
    conformance_graph,
    conformance_log,
    conformance_machine,
    conformance_reads,
    conformance_sealing,
)

CHECKS = {
    check.__name__.removeprefix("check_"): check
    for module in (
        conformance_log,
        conformance_reads,
        conformance_bookkeeping,
        conformance_copies,
        conformance_expiry,
        conformance_sealing,
        conformance_graph,
        conformance_machine,
    )
    for check in module.CHECKS
}


class StoreConformance:
    """Inherit it and give a fixture `case`."""

    @pytest.mark.parametrize("check", CHECKS)
    def test_conforms(self, case, check):
        CHECKS[check](case)
