"""Pointers, for the part of kernel Python that only direct native code can run.

The search's own hot loops are written in it: typed functions over memory that the
caller owns.  In plain Python a ``ptr`` walks over any sequence of integers.
"""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class ptr(Generic[T]):
    """``ptr[u64]``: the address of the first of some elements; no bounds are known."""

    def __init__(self, memory: MutableSequence[T], base: int = 0) -> None:
        self.memory, self.base = memory, base

    def __getitem__(self, index: int) -> T:
        return self.memory[self.base + index]

    def __setitem__(self, index: int, value: T) -> None:
        self.memory[self.base + index] = value


def offset(pointer: ptr[T], count: int) -> ptr[T]:
    """The address ``count`` elements further on."""
    return ptr(pointer.memory, pointer.base + count)


def prefetch(pointer: ptr[Any], index: int) -> None:
    """Bring the cache line of ``pointer[index]`` near, for it is wanted soon."""


def external(function: F) -> F:
    """Mark a function whose body is ``...``: the native module provides its symbol."""
    function.__dict__["external"] = True
    return function
