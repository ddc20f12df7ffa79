"""OPC UA against asyncua's own server: values with their times and statuses, restarts, slow stores, security policies."""

import asyncio
import itertools
import json
import math
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from asyncua import ua
from asyncua.crypto.cert_gen import dump_private_key_as_pem, generate_private_key, generate_self_signed_app_certificate
from asyncua.crypto.permission_rules import SimpleRoleRuleset
from asyncua.server.user_managers import User, UserManager, UserRole
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.connectors.opcua_server import URI, PlantServer

from twinwright.connectors import opcua_subscription
from twinwright.connectors.conformance import Case, ListIntake, SourceConformance
from twinwright.connectors.opcua import OpcuaSource
from twinwright.connectors.opcua_backlog import Backlog
from twinwright.connectors.opcua_client import _application_uri, _properties, connect
from twinwright.connectors.opcua_nodes import Browser, check_node_id, node_id, node_text
from twinwright.connectors.opcua_subscription import OpcuaBinding, OpcuaNode, OpcuaSettings
from twinwright.connectors.opcua_values import json_value, status_name, times_of
from twinwright.connectors.runner import SourceRunner
from twinwright.documents import Spec
from twinwright.errors import PlatformError, TooLargeError, UsageError
from twinwright.observability.metrics import Metrics
from twinwright.telemetry.connector import Bound

BAD, UNCERTAIN, OVERFLOW = 0x808C0000, 0x40900000, 0x00000480
_numbers = itertools.count(1)


async def nothing(server, namespace):
    pass


@pytest.fixture(scope="module")
def plant():
    server = PlantServer(nothing).start()
    yield server
    server.close()


def add(plant, value=0.0, type=None, name=None, owner=None):
    """A new variable: its id as text."""
    name = name or f"v{next(_numbers)}"

    async def make():
        namespace = await plant.server.get_namespace_index(URI)
        parent = plant.server.nodes.objects if owner is None else plant.server.get_node(owner)
        variable = await parent.add_variable(ua.NodeId(f"n{next(_numbers)}", namespace), ua.QualifiedName(name, namespace), value, type)
        return variable.nodeid.to_string()

    return plant.run(make())


def add_object(plant, name, owner=None):
    async def make():
        namespace = await plant.server.get_namespace_index(URI)
        parent = plant.server.nodes.objects if owner is None else plant.server.get_node(owner)
        return (await parent.add_object(namespace, name)).nodeid.to_string()

    return plant.run(make())


def bound(*nodes, contract="c", **options):
    return Bound(contract, "json", OpcuaBinding(nodes=[{"node": one} if isinstance(one, str) else one for one in nodes], **options))


def source(plant, *bounds, **settings):
    return OpcuaSource(
        "plant", OpcuaSettings(**{"url": plant.url, "policy": "None", "publishing": "PT0.05S", "timeout": "PT30S", **settings}), bounds
    )


def documents(deliveries):
    return [json.loads(line) for delivery in deliveries for payload in delivery.payloads for line in payload.body.split(b"\n")]


def read(source, count, seconds=30.0):
    """Documents until there are `count`, all committed."""
    found, intake, deadline = [], ListIntake(), time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        delivery = source.poll(0.2)
        if delivery is not None:
            source.committed(delivery, intake.submit(delivery))
            found += documents([delivery])
    return found


def wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class TestOpcua(SourceConformance):
    @pytest.fixture
    def case(self, plant):
        node = add(plant, "at rest")

        def feed(count):
            marks = [f"<{next(_numbers)}>" for _ in range(count)]
            for mark in marks:
                plant.write(node, mark)
            return [mark.encode() for mark in marks]

        return Case(lambda: source(plant, bound(node), initial=False), feed, survives=False, patience=20.0)


def test_a_value_comes_with_the_times_of_source_and_server_and_its_status(plant):
    node = add(plant, 20.0)
    one = source(plant, bound({"node": node, "twin": "pump-1", "field": "temperature"}), initial=False)
    one.open(ListIntake().positions)
    at = datetime(2026, 3, 1, 8, 0, 0, 250_000, tzinfo=UTC)
    plant.write(node, 21.5, at=at)
    plant.write(node, 22.5, UNCERTAIN, at + timedelta(seconds=1))
    plant.write(node, 23.5, BAD, at + timedelta(seconds=2))
    plant.write(node, math.nan, 0, at + timedelta(seconds=3))
    found = read(one, 4)
    one.close()
    assert datetime.now(UTC) - timedelta(hours=1) < datetime.fromisoformat(found[0].pop("server_time")) <= datetime.now(UTC)
    assert found[0] == {
        "node": node,
        "twin": "pump-1",
        "time": "2026-03-01T08:00:00.250000Z",
        "status": "Good",
        "temperature": 21.5,
    }
    assert [(one["status"], one["temperature"]) for one in found[1:]] == [
        ("UncertainLastUsableValue", 22.5),
        ("BadSensorFailure", {"bad": None}),  # this server sends no value with it
        ("Good", {"bad": "nan"}),
    ]


def test_uncertain_values_are_bad_where_the_contract_says_so_and_the_status_has_a_field_of_its_own(plant):
    node = add(plant, 1.0)
    one = source(plant, bound({"node": node, "field": "v", "status": "v_status"}, uncertain="bad"), initial=False)
    one.open(ListIntake().positions)
    plant.write(node, 2.0, UNCERTAIN)
    (found,) = read(one, 1)
    one.close()
    assert (found["v"], found["v_status"], "status" in found) == ({"bad": 2.0}, "UncertainLastUsableValue", False)


def test_the_value_that_a_node_has_is_the_first_reading(plant):
    node = add(plant, 7)
    one = source(plant, bound(node))
    one.open(ListIntake().positions)
    assert [found["value"] for found in read(one, 1)] == [7]
    one.close()


def test_a_new_time_alone_is_a_reading_only_where_it_is_asked_for(plant):
    node = add(plant, 1.0)
    quiet, each = source(plant, bound(node), initial=False), source(plant, bound(node), initial=False, report="timestamp")
    for one in (quiet, each):
        one.open(ListIntake().positions)
    for _ in range(3):
        plant.write(node, 5.0)
    plant.write(node, 6.0)
    assert [found["value"] for found in read(quiet, 2)] == [5.0, 6.0]
    assert [found["value"] for found in read(each, 4)] == [5.0, 5.0, 5.0, 6.0]
    for one in (quiet, each):
        one.close()


def test_a_browse_path_finds_the_variables_and_captures_names(plant):
    hall = add_object(plant, f"hall{next(_numbers)}")
    for name in ("pump-1", "pump-2", "fan-1"):
        machine = add_object(plant, name, hall)
        add(plant, name, name="Name", owner=machine)
        add_object(plant, "Speed", machine)  # an object of the name is no variable
        add(plant, 5, name="Speed", owner=machine)
    name = plant.run(plant.server.get_node(hall).read_browse_name()).Name
    path = f"2:{name}/pump-{{unit}}/Speed"
    one = source(plant, bound({"path": path, "field": "speed"}), bound({"path": f"{name}/+/2:Name"}, contract="d"))
    one.open(ListIntake().positions)
    found = read(one, 5)
    one.close()
    assert sorted(one["unit"] for one in found if "unit" in one) == ["1", "2"]
    assert sorted(one["value"] for one in found if "value" in one) == ["fan-1", "pump-1", "pump-2"]


def test_each_contract_gets_its_own_in_turns(plant):
    node = add(plant, 0)
    one = source(plant, bound(node), bound(node, contract="d"), initial=False, batch=5)
    one.open(ListIntake().positions)
    for number in range(1, 21):
        plant.write(node, number)
    found = {"c": [], "d": []}
    while sum(map(len, found.values())) < 40:
        delivery = one.poll(5.0)
        assert delivery is not None and sum(payload.body.count(b"\n") + 1 for payload in delivery.payloads) <= 5
        found[delivery.contract] += [document["value"] for document in documents([delivery])]
        one.committed(delivery, None)
    one.close()
    assert found == {"c": list(range(1, 21)), "d": list(range(1, 21))}


def test_a_slow_store_stops_the_asking_and_nothing_that_the_server_queued_is_lost(plant):
    node = add(plant, "x" * 500 + "0")
    one = source(plant, bound(node), initial=False, buffer_bytes=1_024, publishing="PT0.02S")
    one.open(ListIntake().positions)
    for number in range(1, 101):
        plant.write(node, "x" * 500 + f"<{number}>")
    backlog = one._backlog
    assert wait_until(lambda: backlog.full)
    time.sleep(0.3)
    held = backlog._bytes
    for number in range(101, 201):
        plant.write(node, "x" * 500 + f"<{number}>")
    time.sleep(0.3)
    assert backlog._bytes == held
    assert [found["value"].strip("x") for found in read(one, 200)] == [f"<{number}>" for number in range(1, 201)]
    one.close()


def told_of(events, name):
    return [event for event in events() if event["event"] == name]


def test_an_overflow_of_the_servers_queue_is_logged_with_its_nodes(plant, events):
    node = add(plant, 1.0)
    one = source(plant, bound(node), initial=False)
    one.open(ListIntake().positions)
    plant.write(node, 2.0, OVERFLOW)
    plant.write(node, 3.0, OVERFLOW | 0x0000)
    assert [found["status"] for found in read(one, 2)] == ["Good", "Good"]
    assert wait_until(lambda: told_of(events, "values_lost"))
    one.close()
    (told,) = told_of(events, "values_lost")
    assert told["nodes"] == [node]
    assert told["overflows"] >= 1


def test_nodes_that_are_missing_are_named_and_watched_when_they_come(plant, monkeypatch, events):
    monkeypatch.setattr(opcua_subscription, "_TOLD_SECONDS", 0.1)
    there, later = add(plant, 1.0), f"later{next(_numbers)}"
    one = source(plant, bound(there, f"nsu={URI};s={later}", "nsu=urn:nobody;i=1", {"path": "no/such/path"}))
    one.open(ListIntake().positions)
    (told,) = told_of(events, "nodes_missing")
    assert told["count"] == 3
    assert told["nodes"][f"nsu={URI};s={later}"] == "BadNodeIdUnknown"
    assert [found["value"] for found in read(one, 1)] == [1.0]

    async def make():
        await plant.server.nodes.objects.add_variable(ua.NodeId(later, 2), ua.QualifiedName(later, 2), 5.0)

    plant.run(make())
    assert [found["value"] for found in read(one, 1)] == [5.0]
    one.close()


def test_a_server_with_none_of_the_nodes_is_refused(plant):
    one = source(plant, bound("ns=2;s=nobody"))
    with pytest.raises(PlatformError, match="none of the nodes"):
        one.open(ListIntake().positions)
    one.close()


def test_a_server_that_is_not_there_says_where():
    one = OpcuaSource("plant", OpcuaSettings(url="opc.tcp://127.0.0.1:1", policy="None", timeout="PT2S"), (bound("i=1"),))
    with pytest.raises(PlatformError, match=r"opc\.tcp://127\.0\.0\.1:1: it can't be reached"):
        one.open(ListIntake().positions)
    one.close()
    with pytest.raises(PlatformError, match="not open"):
        one.poll(0)


def test_something_else_that_answers_is_refused(tmp_path):
    async def noise(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
        await writer.drain()
        writer.close()

    plant = PlantServer(nothing)

    async def listen():
        return await asyncio.start_server(noise, "127.0.0.1", plant.port)

    listener = plant.run(listen())
    one = source(plant, bound("i=1"), timeout="PT2S")
    with pytest.raises(PlatformError, match=r"can't be reached|can't be used"):
        one.open(ListIntake().positions)
    plant.loop.call_soon_threadsafe(listener.close)
    plant.close()


def test_a_server_that_was_away_is_found_again_with_one_line_down_and_one_up(events):
    async def build(server, namespace):
        await server.nodes.objects.add_variable(ua.NodeId("v", namespace), ua.QualifiedName("v", namespace), 1.0)

    plant, intake, metrics = PlantServer(build).start(), ListIntake(), Metrics.create()
    runner = SourceRunner(
        source(plant, bound("ns=2;s=v")), "plant", (), intake, intake.positions, metrics, wait=lambda seconds: time.sleep(0.2)
    )

    def seen(value):
        return lambda: value in [document["value"] for document in documents(list(intake.deliveries))]

    runner.start()
    assert wait_until(seen(1.0))
    plant.stop()
    assert wait_until(lambda: runner.status().state == "down")
    plant.start()
    assert wait_until(lambda: runner.status().state == "up")
    plant.write("ns=2;s=v", 2.0)
    assert wait_until(seen(2.0))
    assert runner.stop(30)
    plant.close()
    assert [event["event"] for event in events()] == ["source_down", "source_recovered"]  # and not a line of the library's


def test_what_the_server_says_while_the_store_fails_is_delivered_again_after_a_reopening(plant):
    node = add(plant, 0)
    one, intake = source(plant, bound(node), initial=False), ListIntake()
    one.open(intake.positions)
    plant.write(node, 1)
    first = one.poll(20)
    assert [document["value"] for document in documents([first])] == [1]
    one.close()
    one.open(intake.positions)
    plant.write(node, 2)
    assert [document["value"] for document in read(one, 2)] == [1, 2]
    one.close()


# --- security ---------------------------------------------------------------------------------------------------------


def certificate(folder, name, uri, *, password=None):
    """A self-signed application certificate: DER for the server, PEM for us, so that both are read."""
    key = generate_private_key()
    usage = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    names = [x509.UniformResourceIdentifier(uri), x509.DNSName("localhost")]
    made = generate_self_signed_app_certificate(key, name, {"organizationName": "Test"}, names, usage)
    (folder / f"{name}.der").write_bytes(made.public_bytes(Encoding.DER))
    (folder / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))
    text = dump_private_key_as_pem(key)
    if password:
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode()))
    (folder / f"{name}.key").write_bytes(text)


class Users(UserManager):
    def get_user(self, iserver, username=None, password=None, certificate=None):
        right = password in ("right", b"right")
        return User(UserRole.Admin, username) if username == "ann" and right else None


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server that takes signed, or signed and encrypted messages, of a user with a password."""
    folder = tmp_path_factory.mktemp("pki")
    certificate(folder, "server", "urn:test:server")
    certificate(folder, "other", "urn:test:server")
    certificate(folder, "client", "urn:test:client")
    certificate(folder, "locked", "urn:test:client", password="open")

    async def configure(server):
        await server.set_application_uri("urn:test:server")
        server.set_security_policy(
            [
                ua.SecurityPolicyType.Basic256Sha256_Sign,
                ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
                ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
            ],
            SimpleRoleRuleset(),
        )
        await server.load_certificate(folder / "server.der")
        await server.load_private_key(folder / "server.key", format="pem")
        server.iserver.user_manager = Users()
        server.set_security_IDs(["Username"])

    async def build(server, namespace):
        await server.nodes.objects.add_variable(ua.NodeId("v", namespace), ua.QualifiedName("v", namespace), 1.5)

    plant = PlantServer(build, configure).start()
    plant.folder = folder
    yield plant
    plant.close()


def secured(guarded, monkeypatch, *, client="client", server="server.der", password="right", **settings):
    monkeypatch.setenv("PLANT_PASSWORD", password)
    files = {"certificate": f"{client}.pem", "key": f"{client}.key", "server_certificate": server}
    chosen = {name: str(guarded.folder / file) for name, file in files.items()}
    ours = {"policy": "Basic256Sha256", "username": "ann", "password_env": "PLANT_PASSWORD", "timeout": "PT20S"}
    return source(guarded, bound("ns=2;s=v"), **{**chosen, **ours, **settings})


@pytest.mark.parametrize(
    "settings",
    [{"mode": "Sign"}, {"mode": "SignAndEncrypt"}, {"policy": "Aes256Sha256RsaPss"}, {"server": "server.pem"}],
    ids=lambda settings: "-".join(settings.values()),
)
def test_signed_and_encrypted_messages_bring_values(guarded, monkeypatch, settings):
    one = secured(guarded, monkeypatch, **settings)
    one.open(ListIntake().positions)
    assert [found["value"] for found in read(one, 1)] == [1.5]
    one.close()


def test_the_password_of_a_key_comes_from_the_environment(guarded, monkeypatch):
    monkeypatch.setenv("KEY_PASSWORD", "open")
    one = secured(guarded, monkeypatch, client="locked", key_password_env="KEY_PASSWORD")
    one.open(ListIntake().positions)
    assert len(read(one, 1)) == 1
    one.close()
    monkeypatch.setenv("KEY_PASSWORD", "shut")
    with pytest.raises(UsageError, match="certificate files"):
        secured(guarded, monkeypatch, client="locked", key_password_env="KEY_PASSWORD").open(ListIntake().positions)


def test_a_server_with_another_certificate_is_refused(guarded, monkeypatch):
    with pytest.raises(PlatformError, match="can't be"):
        secured(guarded, monkeypatch, server="other.der", timeout="PT3S").open(ListIntake().positions)


def test_a_wrong_password_and_no_security_are_refused_and_never_shown(guarded, monkeypatch):
    with pytest.raises(PlatformError, match="refuses") as refused:
        secured(guarded, monkeypatch, password="wrong-secret").open(ListIntake().positions)
    assert "wrong-secret" not in str(refused.value)
    with pytest.raises(PlatformError, match="can't be"):
        source(guarded, bound("ns=2;s=v"), timeout="PT3S").open(ListIntake().positions)
    one = secured(guarded, monkeypatch)
    monkeypatch.delenv("PLANT_PASSWORD")
    with pytest.raises(UsageError, match="PLANT_PASSWORD is not set"):
        one.open(ListIntake().positions)


def test_certificate_files_that_are_none_are_refused_with_a_remedy(guarded, monkeypatch, tmp_path):
    (tmp_path / "empty.der").write_bytes(b"")
    for file in (tmp_path / "gone.der", tmp_path / "empty.der"):
        with pytest.raises(UsageError, match="PEM or DER"):
            secured(guarded, monkeypatch, certificate=str(file)).open(ListIntake().positions)


def test_a_certificate_without_a_uri_keeps_the_librarys(guarded, monkeypatch):
    key = generate_private_key()
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1))
        .not_valid_after(datetime(2090, 1, 1))
        .sign(key, SHA256())
    )
    path = Path(guarded.folder) / "bare.der"
    path.write_bytes(made.public_bytes(Encoding.DER))
    assert _application_uri(_properties(str(path))) is None


# --- settings, ids, values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"policy": None}, "policy"),
        ({"policy": "Basic128Rsa15"}, "policy"),
        ({"url": "http://host"}, "opc.tcp"),
        ({"url": "opc.tcp://ann:right@host"}, "credentials have no place"),
        ({"policy": "Basic256Sha256"}, "needs certificate, key, server_certificate"),
        ({"certificate": "a.pem"}, "makes no use of certificate"),
        ({"password": "in the file"}, "password"),
        ({"publishing": "PT0S"}, "PT0.01S"),
        ({"sampling": "PT2H"}, "PT1H"),
        ({"queue": 0}, "queue"),
    ],
)
def test_wrong_settings_are_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        OpcuaSettings(**{key: value for key, value in {"url": "opc.tcp://host", "policy": "None", **settings}.items() if value is not None})


def test_the_usual_port_need_not_be_given():
    assert OpcuaSettings(url="opc.tcp://host/plant", policy="None").url == "opc.tcp://host:4840/plant"


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({}, "one of them"),
        ({"node": "i=1", "path": "a"}, "one of them"),
        ({"node": "speed"}, "not a node id"),
        ({"path": "a/#"}, "each level"),
        ({"path": "a/{b"}, "capture"),
        ({"path": "{value}/x"}, "value twice"),
        ({"node": "i=1", "field": "time"}, "time twice"),
        ({"path": "{twin}/x", "twin": "p"}, "twin twice"),
        ({"node": "i=1", "field": "status"}, "status twice"),
    ],
)
def test_wrong_nodes_are_refused(node, said):
    with pytest.raises(ValidationError, match=said):
        OpcuaNode(**node)


def test_a_contract_of_another_connector_is_refused():
    with pytest.raises(UsageError, match="contract 'c'"):
        OpcuaSource("plant", OpcuaSettings(url="opc.tcp://host", policy="None"), (Bound("c", "json", Spec()),))


def test_an_id_keeps_its_namespace_when_the_server_numbers_them_anew():
    before, after = ["http://opcfoundation.org/UA/", "urn:a;b%", "urn:c"], ["http://opcfoundation.org/UA/", "urn:x", "urn:a;b%"]
    text = node_text(ua.NodeId("p;q=1", 1), before)
    assert check_node_id(text) is None
    assert node_id(text, after) == ua.NodeId("p;q=1", 2)
    assert node_id(text, ["http://opcfoundation.org/UA/"]) is None
    assert node_id("ns=3;s=x", before) == ua.NodeId("x", 3)
    assert node_text(ua.NodeId(2253, 0), before) == "i=2253"
    with pytest.raises(UsageError, match="not a node id"):
        node_id("x", before)


def test_browsing_ends_at_its_limit(plant):
    async def browse():
        client = await connect(OpcuaSettings(url=plant.url, policy="None"))
        try:
            await Browser(client, limit=3).match("Server/+/+")
        finally:
            await client.disconnect()

    with pytest.raises(TooLargeError, match="more than 3 nodes"):
        asyncio.run(browse())


class PagedSession:
    """A server that gives one reference at a time, as real ones do with thousands; asyncua's gives all at once."""

    def __init__(self, names):
        self.names = names

    async def browse(self, parameters):
        return [self._page(0) for _ in parameters.NodesToBrowse]

    async def browse_next(self, parameters):
        return [self._page(int(point)) for point in parameters.ContinuationPoints]

    def _page(self, at):
        found = ua.ReferenceDescription()
        found.NodeId = ua.ExpandedNodeId(self.names[at], 2)
        found.BrowseName = ua.QualifiedName(self.names[at], 2)
        found.NodeClass = ua.NodeClass.Variable
        more = str(at + 1).encode() if at + 1 < len(self.names) else None
        return ua.BrowseResult(ContinuationPoint=more, References=[found])


def test_references_that_come_in_pages_are_all_read_and_foreign_ones_passed_over():
    session = PagedSession(["c", "a", "", "b"])
    client = SimpleNamespace(uaclient=SimpleNamespace(session=session))
    (found,) = asyncio.run(Browser(client).below([ua.NodeId(1, 2)]))
    assert [reference.name for reference in found] == ["a", "b", "c"]
    with pytest.raises(TooLargeError):
        asyncio.run(Browser(client, limit=2).below([ua.NodeId(1, 2)]))


@pytest.mark.parametrize(
    ("held", "shown"),
    [
        (True, True),
        (-5, -5),
        (1.5, 1.5),
        ("ä", "ä"),
        (ua.LocalizedText("text"), "text"),
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01T00:00:00Z"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ([1, 2.5], [1, 2.5]),
        ([0] * 1_001, {"bad": "list"}),
        (b"bytes", {"bad": "bytes"}),
        (math.inf, {"bad": "inf"}),
        ([math.nan], {"bad": "nan"}),
        (ua.EUInformation(), {"bad": "EUInformation"}),
        (None, None),
    ],
)
def test_values_as_json(held, shown):
    value = ua.DataValue(ua.Variant(held, ua.VariantType.Variant if held is None else None) if held is not None else None)
    value.Value = type("Held", (), {"Value": held})()
    assert json_value(value, bad=False) == shown


def test_a_time_that_was_not_given_is_the_servers():
    server = datetime(2026, 3, 1, tzinfo=UTC)
    zero = datetime(1601, 1, 1, tzinfo=UTC)
    assert times_of(ua.DataValue(SourceTimestamp=zero, ServerTimestamp=server)) == ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z")
    assert times_of(ua.DataValue(SourceTimestamp=datetime(2026, 3, 2), ServerTimestamp=None)) == ("2026-03-02T00:00:00Z", None)
    assert times_of(ua.DataValue()) == (None, None)


def test_a_status_is_named_without_its_information_bits_and_an_unknown_one_by_its_severity():
    assert status_name(0) == "Good"
    assert status_name(BAD | OVERFLOW) == "BadSensorFailure"
    assert status_name(0x8FFF0000) == "Bad"


@given(st.text(max_size=60))
def test_any_text_is_an_id_or_is_refused(text):
    for candidate in (text, f"s={text}", f"ns=1;{text}", f"nsu={text};i=1", f"b={text}", f"g={text}"):
        if check_node_id(candidate) is None:
            try:
                node_id(candidate, ["", "a"])
            except UsageError as error:
                assert str(error)


def test_a_failure_is_raised_when_all_that_came_is_handed_out():
    backlog = Backlog(["c"], 10, 5)
    backlog.add("c", [b"1", b"2"])
    backlog.fail(PlatformError("gone"))
    assert backlog.take(0).payloads[0].body == b"1\n2"
    with pytest.raises(PlatformError, match="gone"):
        backlog.take(0)
    backlog.rewind()
    assert backlog.take(0).payloads[0].body == b"1\n2"
    assert backlog.take(0) is None


def test_large_documents_are_payloads_of_their_own():
    backlog = Backlog(["c"], 10, 5_000)
    backlog.add("c", [b"x" * 700_000] * 5)
    assert [len(payload.body) for payload in backlog.take(0).payloads] == [1_400_001, 1_400_001, 700_000]
