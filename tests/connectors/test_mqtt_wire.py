"""Messages lifted out of what a broker sends, however it is cut; acknowledgements in one piece; a connection that is kept alive."""

import socket
import struct
import threading
import time

import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from twinwright.connectors.mqtt_wire import Loop, MalformedError, Published, Room, Wire, WireClient, split

PLENTY = Room(1 << 30, 1 << 30)
CONNACK, PINGREQ, PINGRESP = b"\x20\x02\x00\x00", b"\xc0\x00", b"\xd0\x00"
bodies = st.one_of(st.binary(max_size=40), st.integers(100, 20_000).map(lambda size: b"x" * size))
messages = st.builds(
    lambda topic, number, qos, body: Published(topic, number if qos else 0, qos, body),
    st.text(max_size=12).map(str.encode),
    st.integers(1, 65_535),
    st.integers(0, 1),
    bodies,
)
others = st.sampled_from([CONNACK, PINGRESP, b"\x90\x04\x00\x01\x00\x01", b"\x34\x06\x00\x01a\x00\x07z", b"\x62\x02\x00\x07"])


def length(number):
    """As in section 1.5.5 of MQTT 5.0."""
    out = bytearray()
    while True:
        number, byte = number >> 7, number & 0x7F
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def encoded(message, five, properties=b""):
    head = struct.pack("!H", len(message.topic)) + message.topic
    number = struct.pack("!H", message.id) if message.qos else b""
    inside = head + number + (length(len(properties)) + properties if five else b"") + message.body
    return bytes([0x30 | message.qos << 1]) + length(len(inside)) + inside


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(messages, others), max_size=12),
    st.booleans(),
    st.lists(st.integers(1, 5_000), max_size=30),
    st.integers(1, 3_000),
    st.integers(1, 4),
)
def test_what_is_sent_comes_out_however_it_is_cut_and_never_more_than_there_is_room_for(packets, five, cuts, size, count):
    properties = b"\x02\x00\x00\x00\x3c" * 30  # more than a length of one byte tells
    stream = b"".join(one if isinstance(one, bytes) else encoded(one, five, properties) for one in packets)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    wire, taken, control = Wire(ours, five=five), [], b""

    def look():
        nonlocal control
        while True:
            got = wire.take(Room(size, count))
            assert len(got) <= count
            assert sum(len(one.body) for one in got[:-1]) < size
            taken.extend(got)
            if wire.has_control():
                control += wire.recv(1 << 20)
            elif not got:
                return

    for cut in cuts:
        theirs.sendall(stream[:cut])
        stream = stream[cut:]
        wire.fill()
        look()
    while stream:
        theirs.sendall(stream[:50_000])
        stream = stream[50_000:]
        wire.fill()
        look()
    assert taken == [one for one in packets if not isinstance(one, bytes)]
    assert control == b"".join(one for one in packets if isinstance(one, bytes))
    wire.dispose()
    theirs.close()


@given(st.binary(max_size=300), st.booleans())
def test_anything_else_is_refused_or_waited_for(noise, five):
    try:
        found = split(noise, 0, PLENTY, five=five)
    except MalformedError:
        return
    assert found.at <= len(noise)
    assert found.needed > len(noise)


@pytest.mark.parametrize(
    "packet",
    [
        b"\x32\xff\xff\xff\xff\x01",
        b"\x32\x01\x00",
        b"\x32\x02\x00\x09",
        b"\x32\x03\x00\x01a",
        b"\x32\x06\x00\x01a\x00\x07\x80",
        b"\x32\x06\x00\x01a\x00\x07\x09",
    ],
)
def test_a_message_that_is_shorter_than_it_says_is_malformed(packet):
    with pytest.raises(MalformedError):
        split(packet + b"\0" * 20, 0, PLENTY, five=True)


def test_no_acknowledgement_gets_into_the_middle_of_a_packet(ends):
    ours, theirs = ends
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    wire = Wire(ours, five=True)
    first, second = b"\x82" + b"a" * 200_000, b"\x82" + b"b" * 200_000
    assert wire.send(first) == len(first)  # more than the system takes now
    assert not wire.flush()
    wire.acknowledge([1, 65_535])
    assert wire.send(second) == len(second)
    got = b""
    while len(got) < len(first) + 8 + len(second):
        got += theirs.recv(1 << 20)
        wire.flush()
    assert got == first + b"\x40\x02\x00\x01\x40\x02\xff\xff" + second
    wire.dispose()


class Broker:
    """Answers CONNECT, then does as it is told; keeps what else comes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.seen, self.silent, self.connection = bytearray(), False, None
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        self.connection, _ = self.listener.accept()
        self.connection.recv(4_096)
        self.connection.sendall(CONNACK)
        while data := self.connection.recv(4_096):
            self.seen += data
            if PINGREQ in data and not self.silent:
                self.connection.sendall(PINGRESP)

    def close(self):
        self.listener.close()
        if self.connection is not None:
            self.connection.close()


class Session:
    """A client of 3.1.1 and its loop."""

    def __init__(self, broker, keepalive):
        self.room, self.taken, self.lost, self.over = PLENTY, [], [], threading.Event()
        client = WireClient(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311, manual_ack=True, reconnect_on_failure=False)
        client.on_disconnect = lambda *_: self.end("disconnected")
        self.loop = Loop(client, keepalive, lambda: self.room, self.taken.extend, self.end)
        client.connect("127.0.0.1", broker.port)
        self.loop.start()

    def end(self, reason):
        self.lost.append(reason)
        self.over.set()


@pytest.fixture
def served():
    broker = Broker()
    yield broker
    broker.close()


def soon(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_broker_that_is_silent_is_given_up(served):
    served.silent = True
    session = Session(served, 0.2)
    assert session.over.wait(60)
    assert "silent" in session.lost[0]
    assert PINGREQ in served.seen
    session.loop.stop(1)


def test_a_full_buffer_is_no_silence(served):
    session = Session(served, 0.2)
    soon(lambda: served.seen.count(PINGREQ) >= 1)
    session.room = Room(0, 0)
    message = Published(b"a", 7, 1, b"x" * 100_000)
    served.silent = True  # whatever it answers comes after all of this
    sending = threading.Thread(target=served.connection.sendall, args=(encoded(message, five=False) * 20,), daemon=True)
    sending.start()
    soon(lambda: session.loop._wire.holds_much())
    before = served.seen.count(PINGREQ)
    soon(lambda: served.seen.count(PINGREQ) >= before + 8)  # six intervals, in which nothing of the broker's is read
    assert session.taken == []
    session.room = PLENTY
    session.loop.acknowledge([])
    soon(lambda: session.taken == [message] * 20)
    served.silent = False
    sending.join()
    assert session.lost == []
    session.loop.acknowledge([7])
    session.loop.stop(60)
    soon(lambda: served.seen.endswith(b"\x40\x02\x00\x07\xe0\x00"))  # what is acknowledged goes before the goodbye


def test_what_is_not_mqtt_ends_the_connection_with_its_reason(served):
    session = Session(served, 30)
    soon(lambda: served.connection is not None)
    served.connection.sendall(b"\x32\xff\xff\xff\xff\x01")
    assert session.over.wait(60)
    assert "not MQTT" in session.lost[0]
    session.loop.stop(1)


def test_the_end_of_a_connection_is_told(served):
    session = Session(served, 30)
    soon(lambda: served.connection is not None)
    served.connection.shutdown(socket.SHUT_RDWR)
    assert session.over.wait(60)
    session.loop.stop(1)
