"""The C library under confluent-kafka, for what its Python side makes an object of: records.

It is reached through the extension module that is linked to it, so it is the very library that the consumer runs on, wherever that was
installed from. Only its documented functions are called, and of its structures only `rd_kafka_message_t` is read, which is documented too.
The one thing that is not is where a consumer keeps its handle: it is believed only if the library finds there what that consumer is called.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_char, c_char_p, c_int, c_int32, c_int64, c_size_t, c_ssize_t, c_void_p
from functools import cache
from typing import Any, Final

import numpy as np
from confluent_kafka import Consumer, cimpl
from numpy.typing import NDArray

_FUNCTIONS: Final[dict[str, tuple[Any, list[Any]]]] = {
    "rd_kafka_name": (c_void_p, [c_void_p]),
    "rd_kafka_queue_new": (c_void_p, [c_void_p]),
    "rd_kafka_queue_destroy": (None, [c_void_p]),
    "rd_kafka_queue_get_partition": (c_void_p, [c_void_p, c_char_p, c_int32]),
    "rd_kafka_queue_forward": (None, [c_void_p, c_void_p]),
    "rd_kafka_consume_batch_queue": (c_ssize_t, [c_void_p, c_int, c_void_p, c_size_t]),
    "rd_kafka_message_destroy": (None, [c_void_p]),
    "rd_kafka_message_errstr": (c_char_p, [c_void_p]),
    "rd_kafka_topic_name": (c_char_p, [c_void_p]),
}


class Message(ctypes.Structure):
    """`rd_kafka_message_t`: a record, or what a broker says instead of one (`error` is not 0)."""

    _fields_ = (
        ("error", c_int),
        ("topic", c_void_p),
        ("partition", c_int32),
        ("payload", c_void_p),
        ("size", c_size_t),
        ("key", c_void_p),
        ("key_size", c_size_t),
        ("offset", c_int64),
        ("private", c_void_p),
    )


class Queue:
    """A queue of a consumer that is served by itself: in it are records, and no call of it calls back.

    It has to be closed before the consumer is.
    """

    def __init__(self, library: ctypes.CDLL, handle: int) -> None:
        self._library, self._handle = library, handle
        self._queue: int | None = library.rd_kafka_queue_new(handle)
        self.destroy = ctypes.cast(library.rd_kafka_message_destroy, c_void_p).value or 0
        """The address of the function that takes a message back."""

    def lead(self, topic: str, partition: int) -> None:
        """Have the records of a partition come to this queue, once it is assigned; to be said before each assignment."""
        own = self._library.rd_kafka_queue_get_partition(self._handle, topic.encode(), partition)
        self._library.rd_kafka_queue_forward(own, self._queue)
        self._library.rd_kafka_queue_destroy(own)

    def take(self, messages: NDArray[np.uint64], timeout: float) -> int:
        """Fill in the addresses of messages, as many as there is room for or come within `timeout` seconds; how many."""
        return int(self._library.rd_kafka_consume_batch_queue(self._queue, round(timeout * 1_000), messages.ctypes.data, len(messages)))

    def topic(self, topic: int) -> str:
        """The name of a message's topic."""
        name: bytes = self._library.rd_kafka_topic_name(topic)
        return name.decode()

    def says(self, message: int) -> str:
        """The text of a message that is no record."""
        text: bytes = self._library.rd_kafka_message_errstr(message)
        return text.decode("utf-8", "replace")

    def close(self) -> None:
        """What is in it is let go of."""
        queue, self._queue = self._queue, None
        if queue is not None:
            self._library.rd_kafka_queue_destroy(queue)


def queue_of(consumer: Consumer, client: str) -> Queue | None:
    """A queue of a consumer of so named a client; None where the library can't be reached, or is not as we know it."""
    library = _library()
    if library is None:
        return None
    handle = ctypes.cast(id(consumer) + object.__basicsize__, POINTER(c_void_p))[0]
    return Queue(library, handle) if handle and _is_called(library.rd_kafka_name(handle), client) else None


@cache
def _library() -> ctypes.CDLL | None:
    if ctypes.sizeof(c_void_p) != 8:
        return None
    try:
        library = ctypes.CDLL(cimpl.__file__)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return library


def _is_called(address: int, client: str) -> bool:
    """Whether the name of a consumer stands at an address. It is the system that reads there, which takes a wrong address for an error."""
    name = f"{client}#consumer-".encode()
    reader, writer = os.pipe()
    try:
        os.write(writer, (c_char * len(name)).from_address(address))
        return os.read(reader, len(name)) == name
    except OSError:
        return False
    finally:
        os.close(reader)
        os.close(writer)
