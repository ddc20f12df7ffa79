"""Eight bytes at a time in compiled functions: unaligned loads and stores, little end first. What they are to the compiler is in
`word_code`, which loads it."""

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


def _only_compiled(*_arguments: Any) -> NoReturn:
    raise NotImplementedError("a word is read and written by compiled functions only")


@before_compiling
def _teach() -> None:
    from twinwright.telemetry import word_code

    word_code.register()
