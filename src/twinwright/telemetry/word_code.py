# ruff: noqa: ARG005, PLW0108 -- numba asks for functions that repeat the names of arguments.
"""What the functions of `words` are to numba's compiler: one instruction each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic as _intrinsic
from numba.extending import overload


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    made: Callable[..., Any] = _intrinsic(function)
    return made


def _place(context: Any, builder: Any, array: Any, value: Any, at: Any) -> Any:
    start = cgutils.create_struct_proxy(array)(context, builder, value).data
    return builder.bitcast(builder.gep(start, [at]), ir.IntType(64).as_pointer())


@intrinsic
def _load(_context: Any, data: Any, _at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], *arguments), align=1)

    return types.uint64(data, types.int64), generate


@intrinsic
def _store(_context: Any, data: Any, _at: Any, _word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _place(context, builder, signature.args[0], *arguments[:2]), align=1)
        return context.get_dummy_value()

    return types.void(data, types.int64, types.uint64), generate


@intrinsic
def _trailing_zeros(_context: Any, _word: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


def _at(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, ir.IntType(8).as_pointer())


@intrinsic
def _peek(_context: Any, _address: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(builder.bitcast(_at(builder, arguments[0]), ir.IntType(64).as_pointer()), align=1)

    return types.uint64(types.uint64), generate


@intrinsic
def _copy(_context: Any, _address: Any, _length: Any, data: Any, _at_byte: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, length, value, at = arguments
        target = _place(context, builder, signature.args[2], value, at)
        cgutils.raw_memcpy(builder, target, _at(builder, address), length, 1)
        return context.get_dummy_value()

    return types.void(types.uint64, types.int64, data, types.int64), generate


@intrinsic
def _call(_context: Any, _function: Any, _argument: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [_at(builder, arguments[1])])
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


_CODE: dict[str, Callable[..., Any]] = {
    "load": lambda data, at: lambda data, at: _load(data, at),
    "store": lambda data, at, word: lambda data, at, word: _store(data, at, word),
    "trailing_zeros": lambda word: lambda word: _trailing_zeros(word),
    "peek": lambda address: lambda address: _peek(address),
    "copy": lambda address, length, data, at: lambda address, length, data, at: _copy(address, length, data, at),
    "call": lambda function, argument: lambda function, argument: _call(function, argument),
}


def register(functions: Iterable[Callable[..., Any]]) -> None:
    """Let compiled functions call these of `words`, which are found by their names."""
    for function in functions:
        overload(function, jit_options={"forceinline": True})(_CODE[function.__name__])
