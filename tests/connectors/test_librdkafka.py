"""The library under confluent-kafka is reached for a consumer that is what we take it for, and for nothing else."""

import ctypes

import numpy as np
import pytest
from confluent_kafka import Consumer, libversion

from twinwright.connectors import librdkafka
from twinwright.connectors.kafka_records import ObjectFetcher, QueueFetcher, fetcher_of
from twinwright.connectors.librdkafka import queue_of


@pytest.fixture
def consumer():
    made = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "client.id": "plant", "log_level": 0})
    yield made
    made.close()


def test_it_is_the_library_that_the_client_runs_on():
    library = librdkafka._library()
    assert library.rd_kafka_version() == libversion()[1]


def test_a_queue_of_a_consumer_is_empty_until_it_leads_somewhere(consumer):
    queue = queue_of(consumer, "plant")
    queue.lead("t", 0)
    assert queue.take(np.zeros(3, np.uint64), 0.001) == 0
    queue.close()
    queue.close()


def test_a_handle_is_believed_by_the_name_that_the_library_finds_there(consumer):
    assert queue_of(consumer, "other") is None
    closed = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "client.id": "plant", "log_level": 0})
    closed.close()
    assert queue_of(closed, "plant") is None


@pytest.mark.parametrize("address", [1, 0x10, 2**46, 2**63])
def test_an_address_where_nothing_is_crashes_nobody(address):
    assert not librdkafka._is_called(address, "plant")


def test_nor_does_one_of_something_else():
    text = ctypes.create_string_buffer(b"plant#producer-1 and more")
    assert not librdkafka._is_called(ctypes.addressof(text), "plant")
    assert librdkafka._is_called(ctypes.addressof(ctypes.create_string_buffer(b"plant#consumer-12")), "plant")


def test_without_it_records_come_as_the_clients_objects(consumer, monkeypatch):
    fetcher = fetcher_of(consumer, "plant", 10, keys=False)
    assert isinstance(fetcher, QueueFetcher)
    fetcher.close()
    monkeypatch.setitem(librdkafka._FUNCTIONS, "rd_kafka_of_another_age", (None, []))
    librdkafka._library.cache_clear()
    try:
        assert isinstance(fetcher_of(consumer, "plant", 10, keys=False), ObjectFetcher)
    finally:
        librdkafka._library.cache_clear()
