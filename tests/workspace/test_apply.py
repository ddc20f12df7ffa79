"""What `plan` foretells `apply` does: what adds passes, what breaks is refused with the reason, whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.acceptance.plant import FILES, workspace
from tests.acceptance.running import twinwright, write

ADDS = {
    "a twin": (
        "twins.yaml",
        "relationships:",
        "  - {$dtId: pump-3, $metadata: {$model: 'dtmi:test:Pump;1'}}\nrelationships:",
        "twin",
        "pump-3",
    ),
    "a relationship": (
        "twins.yaml",
        "relationships:\n",
        "relationships:\n  - {$sourceId: pump-2, $targetId: pump-1, $relationshipName: feeds}\n",
        "relationship",
        "pump-2 feeds pump-1",
    ),
    "a value": ("twins.yaml", "site: north", "site: south", "value", "pump-1 site"),
    "a property": (
        "schema/pump.json",
        '"contents": [',
        '"contents": [\n    {"@type": "Property", "name": "serial", "schema": "string"},',
        "interface",
        "dtmi:test:Pump;1 serial",
    ),
    "a revision": ("contracts/pump.yaml", "revision: 1", "revision: 2", "contract", "pump"),
}
BREAKS = {
    "a twin goes": ("twins.yaml", "pump-2", "pump-5", "history would have no owner"),
    "a property goes": ("schema/pump.json", '    {"@type": "Property", "name": "mode", "schema": "string"},\n', "", "mode"),
    "a schema changes": ("schema/pump.json", '"name": "mode", "schema": "string"', '"name": "mode", "schema": "long"', "mode"),
    "a contract changes in place": ("contracts/pump.yaml", "[0, 1600]", "[0, 1700]", "raise `revision` to 2"),
    "a relationship goes": (
        "twins.yaml",
        "  - {$relationshipId: r1, $sourceId: pump-1, $targetId: pump-2, $relationshipName: feeds}\n",
        "",
        "r1",
    ),
}


@pytest.fixture
def applied(tmp_path: Path) -> Path:
    folder = workspace(tmp_path / "w")
    changes = twinwright("apply", workspace=folder).good["changes"]
    assert {change["effect"] for change in changes} == {"additive"}
    assert {"interface", "twin", "contract", "relationship"} <= {change["kind"] for change in changes}
    assert twinwright("plan", workspace=folder).good["changes"] == []
    return folder


@pytest.mark.parametrize(("file", "old", "new", "kind", "id"), ADDS.values(), ids=ADDS)
def test_what_adds_is_foretold_applied_once_and_kept(file: str, old: str, new: str, kind: str, id: str, applied: Path) -> None:
    write(applied, {file: FILES[file].replace(old, new, 1)})
    planned = twinwright("plan", workspace=applied).good
    assert [(change["kind"], change["id"]) for change in planned["changes"]] == [(kind, id)]
    assert planned["breaking"] is False
    done = twinwright("apply", workspace=applied).good
    assert done["changes"] == planned["changes"]
    again = twinwright("apply", workspace=applied).good
    assert (again["changes"], again["token"]) == ([], done["token"])


@pytest.mark.parametrize(("file", "old", "new", "says"), BREAKS.values(), ids=BREAKS)
def test_what_breaks_is_refused_with_the_reason_and_nothing_of_it_is_applied(
    file: str, old: str, new: str, says: str, applied: Path
) -> None:
    before = twinwright("state", workspace=applied).out
    write(applied, {file: FILES[file].replace(old, new)})
    if file == "twins.yaml" and "pump-5" in new:
        write(
            applied,
            {"contracts/logger.yaml": FILES["contracts/logger.yaml"].replace("pump-2", "pump-5").replace("revision: 1", "revision: 2")},
        )
    planned = twinwright("plan", workspace=applied).good
    assert planned["breaking"] is True
    refused = twinwright("apply", workspace=applied)
    assert refused.code == 1
    error = refused.json["error"]
    assert says in error["what"] and error["remedy"]
    assert twinwright("state", workspace=applied).out == before
    assert twinwright("plan", workspace=applied).good["changes"] == planned["changes"]
