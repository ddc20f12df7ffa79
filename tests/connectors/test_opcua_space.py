"""Reading an address space: types, what has no place in a twin, circles, limits."""

import pytest
from asyncua import ua
from tests.connectors.opcua_server import PlantServer

from twinwright.connectors.opcua_client import AccessSettings
from twinwright.connectors.opcua_space import read_space
from twinwright.errors import NotFoundError, TooLargeError


async def build(server, namespace):
    top = await server.nodes.objects.add_object(namespace, "Top")
    for name, value, type in (
        ("Flag", True, None),
        ("Byte", 1, ua.VariantType.Byte),
        ("Text", "t", None),
        ("Words", ua.LocalizedText("w"), None),
        ("Ratio", 0.5, ua.VariantType.Float),
        ("Bytes", b"b", None),
        ("List", [1, 2], None),
    ):
        await top.add_variable(namespace, name, value, type)
    await top.add_variable(namespace, "Elapsed", 5.0, datatype=ua.NodeId(ua.ObjectIds.Duration))
    await top.add_variable(namespace, "State", 1, ua.VariantType.Int32, datatype=ua.NodeId(ua.ObjectIds.ServerState))
    await top.add_variable(namespace, "Range", ua.Range(0.0, 1.0))
    hidden = await top.add_variable(namespace, "Hidden", 1.0)
    await hidden.write_attribute(ua.AttributeIds.UserAccessLevel, ua.DataValue(ua.Variant(0, ua.VariantType.Byte)))
    await top.add_property(namespace, "Maker", "us")
    foreign = await top.add_variable(namespace, "Foreign", 1.0)
    other = ua.EUInformation("urn:other", 5, ua.LocalizedText("furlong"), ua.LocalizedText(""))
    await foreign.add_property(0, "EngineeringUnits", other)
    below = await top.add_object(namespace, "Below")
    await below.add_reference(top, ua.ObjectIds.Organizes)  # a circle
    await below.add_variable(namespace, "Depth", 2.0)


@pytest.fixture(scope="module")
def access():
    server = PlantServer(build).start()
    yield AccessSettings(url=server.url, policy="None")
    server.close()


def test_variables_are_read_with_the_built_in_type_that_theirs_comes_from(access):
    space = read_space(access)
    top = next(one for one in space.objects if one.path == ("Top",))
    assert {one.name: one.type for one in top.variables} == {
        **{"Flag": "Boolean", "Byte": "Byte", "Text": "String", "Words": "LocalizedText", "Ratio": "Float"},
        **{"Elapsed": "Double", "State": "Int32", "Maker": "String", "Foreign": "Double"},
    }
    assert [one.name for one in top.variables if one.is_property] == ["Maker"]
    assert {one.name: one.unit for one in top.variables if one.unit} == {"Foreign": "[furlong]"}
    assert [one.path for one in space.objects if one.variables] == [("Top",), ("Top", "Below")]


def test_what_has_no_place_in_a_twin_is_left_out_with_a_warning(access):
    said = "\n".join(read_space(access).warnings)
    for name, why in (("Bytes", "type"), ("List", "array"), ("Range", "type"), ("Hidden", "can't be read")):
        assert any(name in line and why in line for line in said.splitlines())


def test_the_root_and_the_depth_bound_what_is_read(access):
    root = next(one.node for one in read_space(access).objects if one.path == ("Top", "Below"))
    assert [one.path for one in read_space(access, root, depth=0).objects if one.variables] == [("Below",)]
    shallow = read_space(access, depth=1)
    assert [one.path for one in shallow.objects if one.variables] == [("Top",)]
    assert "objects deeper than 1 levels are left out" in shallow.warnings


def test_too_much_and_nothing_are_refused(access):
    with pytest.raises(TooLargeError, match="more than 5"):
        read_space(access, limit=5)
    with pytest.raises(NotFoundError, match="no node"):
        read_space(access, "ns=2;i=999999")
