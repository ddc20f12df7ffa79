"""An import job says of a file what it can't read in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.platform.graph_plant import NOW, PUMP, opened

from twinwright.clock import ManualClock
from twinwright.errors import UsageError
from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.platform.import_job import import_some
from twinwright.platform.local import LocalPlatform


@pytest.fixture
def plant(tmp_path: Path) -> LocalPlatform:
    return opened(tmp_path, ManualClock(NOW))


def job(plant: LocalPlatform, text: bytes) -> dict[str, Any]:
    (plant.session.folder / "in.ndjson").write_bytes(text)
    return {"id": "j", "progress": {}, "inputBlobUri": "in.ndjson", "outputBlobUri": "out.ndjson"}


@pytest.mark.parametrize(("text", "line"), [(b'\n{"$dtId": "a"}\n', 2), (b"\xff\xfe nothing of the kind", 1)])
def test_a_file_without_sections_is_no_import_that_succeeds(plant: LocalPlatform, text: bytes, line: int) -> None:
    with pytest.raises(UsageError, match="in no section") as raised:
        import_some(plant.session, LOCAL_ADMIN, job(plant, text))
    assert raised.value.where == f"line {line}" and '"Section"' in (raised.value.remedy or "")
    plant.close()


def test_a_twin_that_names_no_model_is_refused_for_that(plant: LocalPlatform) -> None:
    text = f'{{"Section": "Twins"}}\n{{"$dtId": "a"}}\n{{"$dtId": "b", "$metadata": {{"$model": "{PUMP}"}}}}\n'
    body = job(plant, text.encode())
    assert not import_some(plant.session, LOCAL_ADMIN, body)
    assert body["progress"]["errors"] == 1 and "does not say which model" in body["refused"][0]["message"]
    plant.close()
