"""The network under paho, read in large pieces: messages are lifted out of the stream, the rest of MQTT is left to paho.

paho asks the system for the one or two bytes of a packet's header, waits again after each packet, and acknowledges with a packet and a
system call each. Here 256 KiB are read at a time, PUBLISH packets of QoS 0 and 1 (MQTT 5.0 and 3.1.1, section 3.3) are taken out of
them in one pass, and acknowledgements leave as one piece. Whatever else comes (CONNACK, SUBACK, DISCONNECT, messages of QoS 2) paho
reads from memory, through its public functions for other loops: `loop_read`, `loop_write`, `want_write`.

One thread, the loop's, reads and writes; OpenSSL wants it so. It also keeps the connection alive, because paho does not see the messages
that show it to be.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import paho.mqtt.client as paho

READ_BYTES: Final = 256 * 1024
_SEND_BYTES: Final = 64 * 1024
_PUBLISH: Final = 0x30
_KIND_AND_TWO: Final = 0xF4  # the packet's kind, and the upper bit of its QoS
_AT_LEAST_ONCE: Final = 0x02
_CONTINUES: Final = 0x80  # in a length of variable size: another byte follows
_LONGEST_LENGTH: Final = 4
_PINGREQ: Final = b"\xc0\x00"
_WAIT_SECONDS: Final = 1.0
_WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Published(NamedTuple):
    """A message as it came; `id` is 0 where QoS is 0."""

    topic: bytes
    id: int
    qos: int
    body: bytes


class Room(NamedTuple):
    """How much may be taken: no further message once `size` bytes or so many messages are reached."""

    size: int
    messages: int


class Split(NamedTuple):
    """What was taken from a buffer, where the next packet begins, and how long the buffer has to be for that to be whole."""

    published: list[Published]
    control: bytes
    at: int
    needed: int


class MalformedError(Exception):
    """What came is not MQTT."""


def split(buffer: bytes, at: int, room: Room, *, five: bool) -> Split:
    """Whole packets from `at` on, up to a message that there is no room for: messages, and others as they are. Raises MalformedError."""
    published: list[Published] = []
    control: list[bytes] = []
    end, size, most, count = len(buffer), 0, room.size, room.messages
    needed = 0
    while True:
        body, length = _length(buffer, at + 1, end)
        stop = body + length
        if not body or stop > end:
            needed = stop if body else end + 1
            break
        first = buffer[at]
        if first & _KIND_AND_TWO == _PUBLISH:
            if size >= most or len(published) >= count:
                break
            message = _message(buffer, body, stop, first & _AT_LEAST_ONCE, five=five)
            size += len(message.body)
            published.append(message)
        else:
            control.append(buffer[at:stop])
        at = stop
    return Split(published, b"".join(control), at, needed)


def _length(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """A length of variable size (section 1.5.5): the offset after it, 0 where it is not whole, and the length."""
    if at >= end:
        return 0, 0
    byte = buffer[at]
    if byte < _CONTINUES:
        return at + 1, byte
    length = 0
    for place in range(_LONGEST_LENGTH):
        if at + place >= end:
            return 0, 0
        byte = buffer[at + place]
        length |= (byte & 0x7F) << (7 * place)
        if byte < _CONTINUES:
            return at + place + 1, length
    raise MalformedError("a length of more than four bytes")


def _message(buffer: bytes, at: int, stop: int, acknowledged: int, *, five: bool) -> Published:
    begins = at + 2
    at = begins + (buffer[at] << 8 | buffer[at + 1]) if begins <= stop else stop + 1
    topic, number = buffer[begins:at], 0
    if acknowledged:
        at += 2
        number = buffer[at - 2] << 8 | buffer[at - 1] if at <= stop else 0
    if five and at <= stop:
        at, length = _length(buffer, at, stop)
        at = at + length if at else stop + 1
    if at > stop:
        raise MalformedError("a message that is shorter than it says")
    return Published(topic, number, 1 if acknowledged else 0, buffer[at:stop])


class Wire:
    """A connected socket as paho wants one, and what the loop reads and writes beside it."""

    def __init__(self, connected: socket.socket, *, five: bool) -> None:
        self._socket = connected
        self._five = five
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = 1
        self._buffer, self._at = b"", 0
        self._control = bytearray()
        self._unsent = bytearray()
        self._sending = threading.Lock()
        self._ended = False
        self._more = False
        self._woken, self._waking = socket.socketpair()
        self._woken.setblocking(False)
        self._waking.setblocking(False)
        self.received = self.sent = time.monotonic()

    # What paho calls.

    def recv(self, size: int) -> bytes:
        """Bytes of packets that are no messages of QoS 0 or 1."""
        if not self._control:
            if self._ended:
                return b""
            raise BlockingIOError
        taken = bytes(self._control[:size])
        del self._control[:size]
        return taken

    def send(self, data: bytes | bytearray) -> int:
        """Take all of it, so that no acknowledgement gets into the middle of a packet."""
        with self._sending:
            self._unsent += data
        self.flush()
        return len(data)

    def close(self) -> None:
        self._socket.close()
        self.wake()

    def fileno(self) -> int:
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:
        self._socket.setblocking(flag)

    # What the loop calls, and others where it says so.

    def acknowledge(self, ids: Iterable[int]) -> None:
        """Have the loop send a PUBACK (success) for each message; from any thread."""
        packets = b"".join([_PUBACK(0x4002, one) for one in ids])
        if packets:
            with self._sending:
                self._unsent += packets

    def ping(self) -> None:
        """Show that we are there."""
        with self._sending:
            self._unsent += _PINGREQ

    def wake(self) -> None:
        """Have the loop look again; from any thread."""
        with suppress(OSError):  # full: it will wake; closed: it has ended
            self._waking.send(b"\0")

    def flush(self) -> bool:
        """Send what the system takes now; whether that was all. Raises OSError."""
        with self._sending:
            while self._unsent:
                try:
                    sent = self._socket.send(self._unsent[:_SEND_BYTES])
                except _WOULD_BLOCK:
                    return False
                del self._unsent[:sent]
                self.sent = time.monotonic()
        return True

    def fill(self) -> None:
        """Read what there is, 256 KiB at most. Raises OSError."""
        left, self._more = READ_BYTES, False
        while left > 0:
            try:
                data = self._socket.recv(left)
            except _WOULD_BLOCK:
                return
            if not data:
                self._ended = True
                return
            self.received = time.monotonic()
            self._pieces.append(data)
            self._held += len(data)
            left -= len(data)
        self._more = True  # what TLS has decrypted already, waiting would not tell of

    def take(self, room: Room) -> list[Published]:
        """The messages that are whole. What else is, paho may read then. Raises MalformedError."""
        if self._held < self._needed:
            return []
        if self._pieces:
            self._buffer, self._at = b"".join([self._buffer[self._at :], *self._pieces]), 0
            self._pieces.clear()
        found = split(self._buffer, self._at, room, five=self._five)
        self._held -= found.at - self._at
        self._needed = found.needed - found.at
        self._at = found.at
        self._control += found.control
        return found.published

    def holds_much(self) -> bool:
        """Whether so much was read and not taken that no more should be."""
        return self._held >= max(READ_BYTES, self._needed)

    def has_control(self) -> bool:
        """Whether paho has anything to read, be it the end."""
        return bool(self._control) or self._ended

    def wait(self, selector: selectors.BaseSelector, *, reading: bool, seconds: float) -> bool:
        """Until there is something to read (if that is wanted), to write (if something is unsent), or to look at; whether to read."""
        events = (selectors.EVENT_READ if reading else 0) | (selectors.EVENT_WRITE if self._unsent else 0)
        known = selector.get_map()
        if self._woken not in known:
            selector.register(self._woken, selectors.EVENT_READ)
        if self._socket in known and (not events or selector.get_key(self._socket).events != events):
            selector.unregister(self._socket)
        if events and self._socket not in selector.get_map():
            selector.register(self._socket, events)
        more = reading and self._more
        ready = selector.select(0 if more else seconds)
        with suppress(BlockingIOError):
            self._woken.recv(4_096)
        return more or any(key.fileobj is self._socket and mask & selectors.EVENT_READ for key, mask in ready)

    def dispose(self) -> None:
        """Close everything; the loop has ended."""
        self._socket.close()
        self._woken.close()
        self._waking.close()


_PUBACK: Final = struct.Struct("!HH").pack


class WireClient(paho.Client):
    """paho over a `Wire`, as it does it for websockets itself."""

    wire: Wire | None = None

    def _create_socket(self) -> Any:
        self.wire = Wire(super()._create_socket(), five=self._protocol == paho.MQTTv5)  # type: ignore[arg-type] # a socket, but over websockets
        return self.wire


class Loop:
    """The thread of one connection. `room()`: what may be taken now; `take` gets it; `lost` is told why it ended, `client` of the rest.

    Nothing more is read while much of what was read is not taken.
    """

    def __init__(
        self,
        client: WireClient,
        keepalive: float,
        room: Callable[[], Room],
        take: Callable[[list[Published]], None],
        lost: Callable[[str], None],
    ) -> None:
        self._client = client
        self._keepalive = keepalive
        self._room, self._take, self._lost = room, take, lost
        self._wire: Wire | None = None
        self._stop_by: float | None = None
        self._resumed = time.monotonic()
        self._thread: threading.Thread | None = None
        client.on_socket_register_write = lambda *_: None  # or paho would write in whichever thread asks it to

    def start(self) -> None:
        """Once paho has a socket."""
        wire = self._client.wire
        if wire is not None:
            self._wire, self._thread = wire, threading.Thread(target=self._run, args=(wire,), name="mqtt", daemon=True)
            self._thread.start()

    def stop(self, seconds: float) -> None:
        """Send what is acknowledged, for so long at most, and disconnect."""
        if self._wire is not None and self._thread is not None:
            self._stop_by = time.monotonic() + seconds
            self._wire.wake()
            self._thread.join()

    def acknowledge(self, ids: Iterable[int]) -> None:
        """Send acknowledgements soon, and look whether there is room again; from any thread."""
        if self._wire is not None:
            self._wire.acknowledge(ids)
            self._wire.wake()

    def _run(self, wire: Wire) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                while self._turn(wire, selector):
                    pass
        except MalformedError as error:
            self._lost(f"it sends what is not MQTT: {error}")
        except Exception as error:  # noqa: BLE001 - whatever ends the thread, nobody else would tell; ValueError is a socket closed meanwhile
            self._lost(f"the connection is lost: {error}")
        finally:
            wire.dispose()

    def _turn(self, wire: Wire, selector: selectors.BaseSelector) -> bool:
        """One look at everything; whether the connection goes on."""
        self._take(wire.take(self._room()))
        while wire.has_control():
            self._client.loop_read()
            if self._client.socket() is None:
                return False
        reading = not wire.holds_much()
        if self._client.want_write():
            self._client.loop_write()
        sent = wire.flush()
        if self._stop_by is not None and (sent or time.monotonic() >= self._stop_by):
            self._client.disconnect()
            self._client.loop_write()
            return False
        self._keep_alive(wire, reading=reading)
        if wire.wait(selector, reading=reading, seconds=min(_WAIT_SECONDS, self._keepalive / 4)):
            wire.fill()
        return True

    def _keep_alive(self, wire: Wire, *, reading: bool) -> None:
        """Speak at least every three quarters of the interval. Who is not read can't be told from who is silent."""
        now = time.monotonic()
        if not reading:
            self._resumed = now
        if now - wire.sent >= 0.75 * self._keepalive:
            wire.ping()
            wire.flush()
        silent = now - max(wire.received, self._resumed)
        if silent >= 1.5 * self._keepalive:
            raise TimeoutError(f"the broker has been silent for {silent:.0f} s")
