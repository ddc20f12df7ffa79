"""What was there before many runs is left alone by the garbage collector, and nothing else is."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from twinwright.simulation.collecting import MANY, only_what_is_new


class Ring:
    def __init__(self):
        self.itself = self


def test_what_is_new_is_collected_meanwhile_and_what_was_there_afterwards():
    old = Ring()
    gone = weakref.ref(old)
    with only_what_is_new(MANY):
        del old
        new = weakref.ref(Ring())
        gc.collect()
        assert new() is None and gone() is not None
    gc.collect()
    assert gone() is None and gc.get_freeze_count() == 0


def test_what_has_come_by_the_time_another_begins_is_left_alone_as_well():
    with only_what_is_new(MANY):
        between = Ring()
        gone = weakref.ref(between)
        with only_what_is_new(MANY):
            del between
            gc.collect()
            assert gone() is not None
    gc.collect()
    assert gone() is None and gc.get_freeze_count() == 0


def test_it_ends_with_the_last_of_several_requests_whichever_that_is():
    begun, end = threading.Event(), threading.Event()

    def other():
        with only_what_is_new(MANY):
            begun.set()
            end.wait()

    thread = threading.Thread(target=other)
    with only_what_is_new(MANY):
        thread.start()
        begun.wait()
    assert gc.get_freeze_count() > 0
    end.set()
    thread.join()
    assert gc.get_freeze_count() == 0


def test_few_runs_and_what_somebody_else_has_frozen_are_let_be():
    with only_what_is_new(MANY - 1):
        assert gc.get_freeze_count() == 0
    gc.freeze()
    try:
        with pytest.raises(ZeroDivisionError), only_what_is_new(MANY):
            raise ZeroDivisionError
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
