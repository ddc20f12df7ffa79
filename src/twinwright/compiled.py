"""Functions over arrays that numba compiles. It is loaded when the first of them is called, so that a command which needs none of them
does not wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, cached_property, update_wrapper
from typing import Any


class Compiled:
    """`function`, compiled for the types it is called with; what was compiled is kept beside its source. Such functions call each other
    as they stand, across modules too."""

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self._function, self._options = function, options
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        return self.dispatcher(*arguments)

    @cached_property
    def dispatcher(self) -> Any:
        import numba

        with _ONE_AT_A_TIME:
            _make_known()
            while _BEFORE:
                _BEFORE.pop()()
        return numba.njit(cache=True, nogil=True, **self._options)(self._function)


_BEFORE: list[Callable[[], None]] = []
_ONE_AT_A_TIME = threading.RLock()


def before_compiling(register: Callable[[], None]) -> Callable[[], None]:
    """Have `register` called before anything is compiled from then on: for what the compiler has to be told, and it alone."""
    _BEFORE.append(register)
    return register


@cache
def _make_known() -> None:
    """Tell numba what a name in a function that it compiles stands for, where that is one of these."""
    from numba.extending import typeof_impl

    @typeof_impl.register(Compiled)
    def of_compiled(value: Compiled, context: Any) -> Any:
        return typeof_impl(value.dispatcher, context)


def compiled(function: Callable[..., Any]) -> Compiled:
    """A function that is compiled by itself, and may allocate."""
    return Compiled(function)


def inlined(function: Callable[..., Any]) -> Compiled:
    """A function that becomes part of whichever calls it, and allocates nothing."""
    return Compiled(function, forceinline=True, _nrt=False)
