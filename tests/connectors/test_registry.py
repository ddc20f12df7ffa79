"""Connectors by entry point: lazily, and with errors that say what to install."""

import sys
from importlib.metadata import EntryPoint

import pytest

from twinwright.connectors.registry import find_connector, load_connectors
from twinwright.errors import MissingExtraError, NotFoundError, UsageError


def point(name, value):
    return EntryPoint(name, value, "twinwright.connectors")


def test_the_built_in_connectors_come_by_entry_point():
    connectors = load_connectors()
    assert {"files", "host", "kafka", "mqtt"} <= set(connectors)
    assert len(connectors) == len(list(connectors))
    for name in ("files", "host", "mqtt"):
        assert find_connector(name, connectors).Settings()


def test_a_built_in_without_its_extra_names_the_extra_and_leaves_the_others(monkeypatch):
    monkeypatch.setitem(sys.modules, "paho", None)
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    for name in ("paho.mqtt.client", *(f"twinwright.connectors.{part}" for part in ("mqtt", "mqtt_connection", "mqtt_wire"))):
        monkeypatch.delitem(sys.modules, name, raising=False)
    connectors = load_connectors(
        [point("mqtt", "twinwright.connectors.mqtt:MqttSource"), point("host", "twinwright.connectors.host:HostSource")]
    )
    assert connectors["host"].__name__ == "HostSource"
    with pytest.raises(MissingExtraError, match=r"twinwright\[mqtt\]"):
        connectors["mqtt"]


def test_an_unknown_name_tells_the_nearest():
    connectors = load_connectors([point("mqtt", "x:Y"), point("host", "x:Y")])
    with pytest.raises(NotFoundError, match="'mqtt'"):
        find_connector("mqqt", connectors)
    with pytest.raises(NotFoundError, match="host, mqtt"):
        find_connector("zzzzz", connectors)


def test_one_name_from_two_packages_is_refused():
    with pytest.raises(UsageError, match="two packages"):
        load_connectors([point("mqtt", "a:A"), point("mqtt", "b:B")])
    assert "mqtt" in load_connectors([point("mqtt", "a:A"), point("mqtt", "a:A")])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("no_such_module_at_all:X", "no_such_module_at_all"),
        ("json:no_such_name", "can't be imported"),
        ("json:dumps", "lacks open"),
        ("twinwright.connectors.registry:find_connector", "lacks open, poll, committed, close, Settings, Binding"),
    ],
)
def test_a_plug_in_that_is_no_source_says_why(value, said):
    with pytest.raises(UsageError, match=said) as caught:
        load_connectors([point("theirs", value)])["theirs"]
    assert "theirs" in str(caught.value)
