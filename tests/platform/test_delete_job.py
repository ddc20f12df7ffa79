"""A delete job deletes what was there when it began, while clients go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.platform.graph_plant import NOW, PUMP, opened, pump

from twinwright.clock import ManualClock
from twinwright.errors import ModelReferencesNotDeletedError
from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.platform import interfaces
from twinwright.platform.delete_job import delete_some
from twinwright.platform.local import LocalPlatform
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.twin_writes import put_twin

SMALL, UNUSED = "dtmi:t:Small;1", "dtmi:t:Unused;1"


@pytest.fixture
def plant(tmp_path: Path) -> LocalPlatform:
    platform = opened(tmp_path, ManualClock(NOW))
    platform.add_interfaces([{"@context": "dtmi:dtdl:context;3", "@id": dtmi, "@type": "Interface"} for dtmi in (SMALL, UNUSED)])
    return platform


def test_what_comes_while_a_delete_job_runs_stays(plant: LocalPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinwright.platform.delete_job.PIECE", 2)
    for number in range(5):
        plant.put_twin(f"t{number}", pump(count=number))
        plant.put_relationship("given", f"r{number}", {"$targetId": f"t{number}", "$relationshipName": "feeds"})
    plant.put_twin("t9", {"$metadata": {"$model": SMALL}})
    plant.delete_twin("t9")
    body: dict[str, Any] = {"id": "j", "progress": {}}
    late = 0
    while delete_some(plant.session, LOCAL_ADMIN, body):
        late += 1
        plant.put_twin(f"late-{late}", {"$metadata": {"$model": SMALL}})
        if late == 1:
            plant.put_twin("late", pump())
        if "t4" in plant.session.served.applied.registry.twins:
            plant.put_relationship("late", f"e{late}", {"$targetId": "t4", "$relationshipName": "feeds"})
    assert late == 3 + 4 == 7
    assert sorted(one["$dtId"] for one in plant.state()["value"]) == sorted(["late", *(f"late-{number}" for number in range(1, 8))])
    assert plant.relationships() == []
    assert body["progress"] == {"relationships": 6 + 6, "twins": 7, "models": 1}
    assert [one["id"] for one in plant.interface_list()] == [PUMP, SMALL]
    plant.close()


def test_an_interface_is_not_deleted_beside_its_first_twin(plant: LocalPlatform) -> None:
    def write(draft: Draft) -> None:
        put_twin(draft, "new", {"$metadata": {"$model": UNUSED}}, None)
        with pytest.raises(ModelReferencesNotDeletedError, match="'new'"):
            interfaces._refuse_where_needed(draft, plant.session.served.applied, UNUSED)

    plant.session.graph.submit(LOCAL_ADMIN, write)
    plant.close()
