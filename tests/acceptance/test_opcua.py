"""From an OPC UA server's address space to live values in `state`: import, plan, apply, up, and a server that goes away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from tests.acceptance.running import Answer, twinwright, until, up, write
from tests.connectors.opcua_server import PlantServer

UNITS = "http://www.opcfoundation.org/UA/units/un/cefact"
BAD, UNCERTAIN = 0x808C0000, 0x40900000


async def build(server: Any, namespace: int) -> None:
    """Two pumps of one type, each with a motor below it; names that DTDL has not, a unit that it has not, an array."""
    hall = await server.nodes.objects.add_folder(namespace, "Halle Süd")
    type = await server.nodes.base_object_type.add_object_type(namespace, "Pump Type")
    for number in (1, 2):
        pump = await hall.add_object(namespace, f"Pump {number}", objecttype=type.nodeid)
        for name, value, unit in (
            ("Temperature", 20.5, "CEL"),
            ("Pressure", 0.4, "MPA"),
            ("Opening (%)", 50.0, "P1"),
            ("Speed", 1450, "RPM"),
        ):
            node = ua.NodeId(f"p{number}.{name}", namespace)
            variable = await pump.add_variable(node, ua.QualifiedName(name, namespace), value)
            code = int.from_bytes(unit.encode(), "big")
            await variable.add_property(0, "EngineeringUnits", ua.EUInformation(UNITS, code, ua.LocalizedText(unit), ua.LocalizedText("")))
        await pump.add_property(namespace, "SerialNumber", f"A-{number}")
        await pump.add_variable(namespace, "Trend", [1.0, 2.0])
        motor = await pump.add_object(namespace, "Motor")
        await motor.add_variable(namespace, "Current", 3.25)
        await motor.add_variable(namespace, "Temperature", "warm")  # no number, as the pump's is


@pytest.fixture(scope="module")
def plant() -> Any:
    server = PlantServer(build).start()
    yield server
    server.close()


def imported(plant: PlantServer, folder: Path, *more: str) -> Answer:
    return twinwright("import", "opcua", plant.url, "--out", str(folder), *more)


def test_an_imported_address_space_brings_live_values(plant: PlantServer, tmp_path: Path) -> None:
    folder = tmp_path / "plant"
    answer = imported(plant, folder, "--status").good
    assert (answer["twins"], answer["interfaces"], answer["variables"], answer["complete"]) == (4, 2, 14, True)
    assert sum("is an array" in warning for warning in answer["warnings"]) == 2
    assert sum("P1 has no DTDL counterpart" in warning for warning in answer["warnings"]) == 2
    assert 'policy = "None"' in (folder / "twinwright.toml").read_text()
    plan = twinwright("plan", workspace=folder).good
    assert not plan["breaking"]
    assert {change["kind"] for change in plan["changes"]} == {"interface", "twin", "relationship", "contract"}
    twinwright("apply", workspace=folder).good  # noqa: B018 - raises unless it ends well

    def state(twin: str) -> Any:
        return twinwright("state", twin, workspace=folder).good

    with up(folder):
        pump = until(lambda: (found := state("Halle_Süd.Pump_1")).get("SerialNumber") and found, 120)
        assert (pump["Temperature"], pump["Speed"], pump["Opening"]) == (20.5, 1450, 50.0)
        assert pump["Pressure"] == pytest.approx(400.0)
        assert pump["$metadata"]["Pressure"]["unit"] == "kPa"
        motor = until(lambda: (found := state("Halle_Süd.Pump_1.Motor")).get("Temperature_2") and found, 60)
        assert (motor["Current"], motor["Temperature_2"]) == (3.25, "warm")

        plant.write("ns=2;s=p1.Temperature", 21.5)
        until(lambda: state("Halle_Süd.Pump_1")["Temperature"] == 21.5, 60)
        plant.write("ns=2;s=p1.Temperature", 22.5, UNCERTAIN)
        doubtful = until(lambda: (found := state("Halle_Süd.Pump_1"))["Temperature"] == 22.5 and found, 60)
        assert doubtful["Temperature_status"] == "UncertainLastUsableValue"
        assert doubtful["$metadata"]["Temperature"]["quality"] == "good"
        plant.write("ns=2;s=p1.Temperature", 99.0, BAD)
        bad = until(lambda: (found := state("Halle_Süd.Pump_1"))["$metadata"]["Temperature"]["quality"] == "bad" and found, 60)
        assert bad["Temperature"] == 22.5
        assert bad["Temperature_status"] == "BadSensorFailure"

        plant.stop()
        plant.start()
        plant.write("ns=2;s=p1.Temperature", 23.5)
        until(lambda: state("Halle_Süd.Pump_1")["Temperature"] == 23.5, 120)
    counts = twinwright("kpi", workspace=folder).good["counts"]
    assert counts["dead_lettered"] == 0
    assert counts["received"] == counts["accepted"] + counts["duplicate"]
    series = twinwright("history", "Halle_Süd.Pump_1", "Temperature", workspace=folder).good
    assert series["quality"].count("bad") == 1

    plant.write("ns=2;s=p1.Temperature", 24.5)  # while nobody listens
    contract = next(name.removeprefix("contracts/").removesuffix(".yaml") for name in answer["files"] if "Pump_Type" in name)
    differs = twinwright("reconcile", "--against", "source", "--contract", contract, workspace=folder)
    assert differs.code == 1
    assert [(one["path"], one["theirs"]) for one in differs.json["items"] if one["kind"] == "missing"] == [("Temperature", 24.5)]
    assert twinwright("reconcile", "--against", "source", "--contract", contract, "--repair", workspace=folder).json["repaired"] == 1
    assert state("Halle_Süd.Pump_1")["Temperature"] == 24.5


def test_the_same_address_space_gives_the_same_files_and_nothing_is_overwritten(plant: PlantServer, tmp_path: Path) -> None:
    once, again = (imported(plant, tmp_path / name).good for name in ("once", "again"))
    assert once["files"] == again["files"]
    for name in [*once["files"], "twinwright.toml"]:
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    refused = imported(plant, tmp_path / "once")
    assert refused.code == 2
    assert "already" in refused.json["error"]["message"]


def test_a_folder_with_settings_keeps_them_and_is_told_what_to_add(plant: PlantServer, tmp_path: Path) -> None:
    write(tmp_path, {"twinwright.toml": "# mine\n"})
    answer = imported(plant, tmp_path, "--name", "hall", "--root", "ns=2;i=1", "--depth", "1")
    assert answer.good["complete"] is False
    assert any("deeper than 1" in warning for warning in answer.good["warnings"])
    assert (tmp_path / "twinwright.toml").read_text() == "# mine\n"
    write(tmp_path, {"twinwright.toml": answer.good["connector"]})
    assert {change["id"] for change in twinwright("plan", workspace=tmp_path).good["changes"]} >= {"hall-Pump_Type", "Halle_Süd.Pump_1"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--root", "ns=2;s=nobody"], "no node"),
        (["--root", "pump"], "not a node id"),
        (["--root", "nsu=urn:nobody;i=1"], "no node"),
        (["--root", "ns=2;s=p1.Speed"], "no object with variables"),
        (["--name", "a b"], "not a name"),
        (["--policy", "Basic256"], "policy"),
        (["--policy", "Basic256Sha256"], "needs certificate"),
    ],
)
def test_what_can_not_be_imported_is_told_and_nothing_is_written(
    plant: PlantServer, tmp_path: Path, arguments: list[str], says: str
) -> None:
    refused = imported(plant, tmp_path / "plant", *arguments)
    assert refused.code == 2
    assert says in refused.json["error"]["message"]
    assert not (tmp_path / "plant").exists()


def test_a_server_that_is_not_there_ends_with_3(tmp_path: Path) -> None:
    gone = twinwright("import", "opcua", "opc.tcp://127.0.0.1:1", "--out", str(tmp_path / "plant"))
    assert gone.code == 3
    assert "can't be reached" in gone.json["error"]["message"]
    assert twinwright("import", "opcua", "opc.tcp://ann:right@host", "--out", str(tmp_path / "plant")).code == 2


def test_people_read_a_summary(plant: PlantServer, tmp_path: Path) -> None:
    said = twinwright("import", "opcua", plant.url, "--out", str(tmp_path / "plant"), json=False).out
    assert "4 twins, 2 interfaces, 14 variables" in said
    assert "warning: " in said
    write(tmp_path / "more", {"twinwright.toml": ""})
    assert "[connectors.opcua]" in twinwright("import", "opcua", plant.url, "--out", str(tmp_path / "more"), json=False).out
