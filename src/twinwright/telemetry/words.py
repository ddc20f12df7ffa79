"""Eight bytes at a time in compiled functions: unaligned loads and stores, little end first; and memory that a library owns, by its
address. What they are to the compiler is in `word_code`, which loads it."""

from __future__ import annotations

from typing import Any, NoReturn

from twinwright.compiled import before_compiling


def load(data: Any, at: Any) -> Any:
    """The eight bytes of `data` from `at` on."""
    _only_compiled(data, at)


def store(data: Any, at: Any, word: Any) -> Any:
    """Write the eight bytes of a word from `at` on."""
    _only_compiled(data, at, word)


def trailing_zeros(word: Any) -> Any:
    """How many of a word's lowest bits are zero: 64 where all are."""
    _only_compiled(word)


def peek(address: Any) -> Any:
    """The eight bytes of the process's memory at an address, which has to be right."""
    _only_compiled(address)


def copy(address: Any, length: Any, data: Any, at: Any) -> Any:
    """So many bytes from an address to `data`, from `at` on, where there has to be room."""
    _only_compiled(address, length, data, at)


def call(function: Any, argument: Any) -> Any:
    """Call a function of a library by its address: it takes one pointer and returns nothing."""
    _only_compiled(function, argument)


def _only_compiled(*_arguments: Any) -> NoReturn:
    raise NotImplementedError("a word is read and written by compiled functions only")


@before_compiling
def _teach() -> None:
    from twinwright.telemetry import word_code

    word_code.register((load, store, trailing_zeros, peek, copy, call))
