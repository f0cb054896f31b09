"""The kernel's kinds of shared access, under the kernel's names.

In a check each of these is one step, with a point before it.  Called as plain
Python they do the same to the plain objects, with one thread.
"""

from __future__ import annotations

from typing import TypeVar

from pagerace.lang.structures import place_of, store

T = TypeVar("T")


def READ_ONCE(place: T) -> T:
    """One load that the compiler may not tear, merge or repeat."""
    return place


def WRITE_ONCE(place: T, value: T) -> None:
    """One store that the compiler may not tear or merge."""
    store(place_of(place), value)


def smp_load_acquire(place: T) -> T:
    """A load that later accesses of this CPU cannot pass."""
    return place


def smp_store_release(place: T, value: T) -> None:
    """A store that earlier accesses of this CPU cannot pass."""
    store(place_of(place), value)


def xchg(place: T, value: T) -> T:
    """Store ``value`` and return what was there, in one step; a full barrier."""
    where = place_of(place)
    store(where, value)
    return place


def cmpxchg(place: T, old: T, new: T) -> T:
    """Store ``new`` if the place holds ``old``; return what it held; a full barrier."""
    where = place_of(place)
    if place == old:
        store(where, new)
    return place


def smp_mb() -> None:
    """A full barrier.  With order=sc it orders nothing that was not ordered."""


def smp_rmb() -> None:
    """A barrier between loads."""


def smp_wmb() -> None:
    """A barrier between stores."""
