"""Address spaces of any names and units become workspaces that load."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright import units
from twinwright.connectors.opcua_client import AccessSettings
from twinwright.connectors.opcua_space import Space, SpaceObject, SpaceVariable
from twinwright.connectors.opcua_units import CONVERTED, DTDL, code_of, unit_of
from twinwright.errors import UsageError
from twinwright.telemetry.contract_spec import MAX_OBSERVATIONS
from twinwright.workspace import load_workspace
from twinwright.workspace.opcua_import import MAX_WARNINGS, Draft, draft_workspace, write_draft

ACCESS = AccessSettings(url="opc.tcp://host:4840", policy="None")
TYPES = ("Boolean", "SByte", "UInt32", "UInt64", "Float", "Double", "String", "LocalizedText", "DateTime", "Guid")


def variable(name: str, type: str = "Double", unit: str | None = None, *, is_property: bool = False) -> SpaceVariable:
    return SpaceVariable(name, f"ns=2;s={name or 'x'}", type, is_property, unit)


def thing(*path: str, type: str | None = None, variables: tuple[SpaceVariable, ...] = (variable("v"),)) -> SpaceObject:
    return SpaceObject(path, "ns=2;s=" + "/".join(path), type, variables)


def loaded(draft: Draft, folder: Path):
    write_draft(draft, folder)
    return load_workspace(folder)


def test_objects_of_one_shape_share_an_interface_and_others_get_a_number(tmp_path: Path) -> None:
    space = Space(
        (
            thing("a", type="Pump"),
            thing("b", type="Pump"),
            thing("c", type="Pump", variables=(variable("w"),)),
            thing("d", type="pump", variables=(variable("w"), variable("v"))),
        )
    )
    draft = draft_workspace(space, ACCESS, "opcua")
    assert sorted(name for name in draft.files if name.startswith("schema/")) == [
        "schema/Pump.json",
        "schema/Pump_2.json",
        "schema/pump_3.json",
    ]
    workspace = loaded(draft, tmp_path / "w")
    assert workspace.graph.twins["b"].interface == workspace.graph.twins["a"].interface == "dtmi:opcua:Pump;1"
    assert len(workspace.contracts) == 3


def test_names_that_become_one_are_told_apart(tmp_path: Path) -> None:
    names = ("Speed 1", "Speed-1", "Spéed 1", "contains", "1st", "", "Speed_1_status")
    space = Space((thing("Pump 1", variables=tuple(map(variable, names))), thing("Pump_1"), thing("Pump/1")))
    workspace = loaded(draft_workspace(space, ACCESS, "opcua", status=True), tmp_path / "w")
    assert list(workspace.graph.twins) == ["Pump_1", "Pump_1_2", "Pump_1_3"]
    paths = set(workspace.ontology.paths(workspace.graph.twins["Pump_1"].interface))
    assert paths >= {"Speed_1", "Speed_1_2", "Speed_1_3", "contains_2", "n1st", "n", "Speed_1_status", "Speed_1_status_2"}


def test_a_name_means_the_same_quantity_in_every_interface(tmp_path: Path) -> None:
    space = Space(
        (
            thing("a", variables=(variable("x", unit="CEL"),)),
            thing("b", variables=(variable("x", unit="FAH"),)),
            thing("c", variables=(variable("x", unit="BAR"),)),
            thing("d", variables=(variable("x", "String"),)),
            thing("e", variables=(variable("x", "DateTime"),)),
            thing("f", variables=(variable("y", "Int32"),)),
            thing("g", variables=(variable("y", "Int64"),)),
        )
    )
    workspace = loaded(draft_workspace(space, ACCESS, "opcua"), tmp_path / "w")
    shown = {twin: dict(workspace.ontology.paths(workspace.graph.twins[twin].interface)) for twin in "abcdefg"}
    assert [next(iter(shown[twin])) for twin in "abcdefg"] == ["x", "x", "x_2", "x_3", "x_4", "y", "y_2"]
    assert shown["b"]["x"].unit == "degF"


def test_every_unit_of_the_tables_makes_a_valid_interface(tmp_path: Path) -> None:
    for code in [*DTDL, *CONVERTED]:
        known = unit_of(code)
        assert known is not None
        unit, name = known
        assert units.compatible(unit, units.DTDL_UNITS[name])
        assert code_of(int.from_bytes(code.encode(), "big")) == code
    codes = [*DTDL, *CONVERTED]
    variables = tuple(variable(f"v{number}", unit=code) for number, code in enumerate(codes))
    (contract,) = loaded(draft_workspace(Space((thing("o", variables=variables),)), ACCESS, "opcua"), tmp_path / "w").contracts.values()
    assert len(contract.columns) == len(codes)


def test_units_without_a_counterpart_are_left_out_with_a_warning() -> None:
    names = (("a", "Double", "P1"), ("b", "Double", "[furlong]"), ("c", "String", "CEL"), ("d", "Double", "C62"))
    draft = draft_workspace(Space((thing("o", variables=tuple(variable(*one) for one in names)),)), ACCESS, "opcua")
    assert len(draft.warnings) == 3
    assert "unit" not in draft.files["contracts/opcua-o.yaml"]
    assert [code_of(number) for number in (0, -1, 1 << 24, 0x202020, 0x43454C)] == [None, None, None, None, "CEL"]


def test_a_property_and_what_lies_below_are_as_in_the_address_space(tmp_path: Path) -> None:
    space = Space(
        (
            thing("hall", variables=()),
            thing("hall", "pump"),
            thing("hall", "pump", "rotor", "disk", variables=(variable("s", "String", is_property=True),)),
        )
    )
    workspace = loaded(draft_workspace(space, ACCESS, "opcua"), tmp_path / "w")
    assert [(edge.source, edge.target) for edge in workspace.graph.relationships] == [("hall.pump", "hall.pump.rotor.disk")]
    assert '"@type": "Property"' in workspace.schema_texts["schema/disk.json"]


def test_what_is_too_much_is_cut_with_a_warning(tmp_path: Path) -> None:
    many = tuple(variable(f"v{n}", unit="P1") for n in range(MAX_OBSERVATIONS + 1))
    long = "x" * 200
    draft = draft_workspace(Space((thing("o", variables=many), thing(long), thing(long + "y"))), ACCESS, "opcua")
    assert len(draft.warnings) == MAX_WARNINGS + 1
    assert draft.variables == MAX_OBSERVATIONS + 2
    workspace = loaded(draft, tmp_path / "w")
    assert all(len(id) <= 128 for id in workspace.graph.twins)
    assert len(workspace.graph.twins) == 3


def test_secured_access_is_written_with_the_names_of_its_files_and_variables() -> None:
    files = {"certificate": 'a"b.pem', "key": "k", "server_certificate": "s"}
    access = AccessSettings(url="opc.tcp://host", policy="Basic256Sha256", username="ann", password_env="PW", **files)
    draft = draft_workspace(Space((thing("o"),)), access, "hall")
    assert 'certificate = "a\\"b.pem"' in draft.connector
    assert draft.connector.startswith('[connectors.hall]\ntype = "opcua"\nurl = "opc.tcp://host:4840"\npolicy = "Basic256Sha256"\n')


def test_a_draft_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    draft = draft_workspace(Space((thing("o"),)), ACCESS, "opcua")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="not a folder"):
        write_draft(draft, tmp_path / "file")
    real = Path.write_text

    def failing(path: Path, *arguments: object, **named: object) -> int:
        if path.name == "twins.yaml":
            raise OSError(28, os.strerror(28))
        return real(path, *arguments, **named)

    with patch.object(Path, "write_text", failing), pytest.raises(UsageError, match="No space left"):
        write_draft(draft, tmp_path / "new")
    assert [path for path in (tmp_path / "new").rglob("*") if path.is_file()] == []
    assert write_draft(draft, tmp_path / "new")


@given(data=st.data())
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_any_names_make_a_workspace_that_loads(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
    unit = st.sampled_from([None, "CEL", "PAL", "MPA", "P1", "[x]"])
    one = st.builds(
        lambda name, type, unit, is_property: variable(name, type, unit, is_property=is_property),
        text,
        st.sampled_from(TYPES),
        unit,
        st.booleans(),
    )
    thing_of = st.builds(
        lambda path, type, variables: thing(*path, type=type, variables=tuple(variables)),
        st.lists(text, min_size=1, max_size=4),
        st.none() | text,
        st.lists(one, min_size=1, max_size=4),
    )
    objects = data.draw(st.lists(thing_of, min_size=1, max_size=4))
    draft = draft_workspace(Space(tuple(objects)), ACCESS, "opcua", status=data.draw(st.booleans()))
    workspace = loaded(draft, tmp_path_factory.mktemp("any") / "w")
    assert len(workspace.graph.twins) == len(objects)
    assert sum(len(contract.columns) > 0 for contract in workspace.contracts.values()) == len(workspace.contracts)
