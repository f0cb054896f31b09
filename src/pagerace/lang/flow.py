"""Control that plain Python has no word for: atomic, wait_until, choose, trace, bug."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

from pagerace.lang.structures import KernelPythonError


class WouldBlock(KernelPythonError):
    """``wait_until`` in plain Python: nobody else runs who could make it true."""


@contextlib.contextmanager
def atomic() -> Generator[None]:
    """Make all shared accesses inside one step.  It only coarsens.

    If a ``wait_until`` inside does not hold, no part of the section has happened.
    """
    yield


def wait_until(condition: bool) -> None:
    """Block until ``condition`` holds.  Its reads and the wait are one step."""
    if not condition:
        raise WouldBlock("wait_until: the condition does not hold")


_chooser: Callable[[int], int] | None = None


def choose(n: int) -> int:
    """Any number from 0 to ``n - 1``: the one source of data nondeterminism.

    Plain Python takes 0, unless ``choosing(f)`` is active.
    """
    if n <= 0:
        raise WouldBlock("choose(0): there is nothing to choose")
    return _chooser(n) if _chooser is not None else 0


@contextlib.contextmanager
def choosing(chooser: Callable[[int], int]) -> Generator[None]:
    """Let ``chooser(n)`` answer ``choose(n)`` in plain Python."""
    global _chooser
    saved, _chooser = _chooser, chooser
    try:
        yield
    finally:
        _chooser = saved


def trace(text: str, *values: object) -> None:
    """Add a note to the race diagram; ``{}`` in ``text`` stands for a value.

    A brace is written twice, as in Python's own formats.
    It is no step and no part of the state.
    """


def bug_on(condition: bool, slug: str) -> None:
    """Report a violation named ``slug`` if ``condition`` holds (a detector)."""
    if condition:
        raise KernelPythonError(slug)


def thread_index() -> int:
    """The number of the running thread or agent in its protocol, from 0."""
    return 0


def smp_processor_id() -> int:
    """The CPU on which the running thread or agent is."""
    return 0


def lock_order(lock_number: int, held: int) -> None:
    """Record for the lock-order detector: taken while ``held`` (a bit mask) was held."""
