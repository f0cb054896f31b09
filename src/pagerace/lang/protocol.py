"""A protocol: set-up, threads, properties and the verdict that is expected.

    lost_update = protocol(
        threads=[thread(increment, cpu=0), thread(increment, cpu=1)],
        at_end=[no_lost_update],
        expect=violates(no_lost_update),
    )

``pagerace check FILE`` checks every protocol that is a global of the file.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pagerace.lang.structures import Config

Function = Callable[..., Any]

CPUS_MAX = 64


@dataclass(frozen=True, kw_only=True)
class Thread:
    """A function that runs on a CPU.  An agent (hardware) never has to return."""

    function: Function
    args: tuple[Any, ...]
    cpu: int | None
    name: str
    agent: bool


def thread(function: Function, *args: Any, cpu: int | None = None, name: str = "") -> Thread:
    """A thread that must return for the protocol to complete.

    ``cpu`` defaults to a CPU of its own; ``name`` to the function's name.
    """
    return _thread("thread", function, args, cpu, name)


def agent(function: Function, *args: Any, cpu: int | None = None, name: str = "") -> Thread:
    """Hardware or a daemon: runs beside the threads and may stop at any point."""
    return _thread("agent", function, args, cpu, name)


def _thread(
    kind: str, function: Function, args: tuple[Any, ...], cpu: int | None, name: str
) -> Thread:
    _refuse_other_than_function(function, f"{kind}()", f"{kind}(f, cpu=0)")
    if cpu is not None and not 0 <= cpu < CPUS_MAX:
        raise ValueError(f"cpu={cpu}: the CPUs are 0 to {CPUS_MAX - 1}")
    # A schedule has to be able to hold the name: 1:3,2.name:1?0
    if any(mark in name for mark in ",:?"):
        raise ValueError(f"the name {name!r} has a mark that schedules use: , : or ?")
    label = name or function.__name__
    return Thread(function=function, args=args, cpu=cpu, name=label, agent=kind == "agent")


def _refuse_other_than_function(value: object, taker: str, example: str) -> None:
    if isinstance(value, types.FunctionType):
        if value.__name__ == "<lambda>":
            raise TypeError(f"{taker} takes a function with a name, not a lambda: write a def")
        return
    if value is None:
        raise TypeError(f"{taker} takes a function, not what a call of it returns: {example}")
    if isinstance(value, types.MethodType):
        raise TypeError(f"{taker} takes a function, not a method: pass the object, {example}")
    raise TypeError(f"{taker} takes a function, not a {type(value).__name__}: {example}")


@dataclass(frozen=True)
class Expect:
    """The verdict that history gave: ``HOLDS``, or the property that is violated."""

    violated: str | None = None


HOLDS = Expect()


def violates(what: Function | str) -> Expect:
    """Expect a violation: of a property function, or of a detector by its slug."""
    return Expect(what if isinstance(what, str) else what.__name__)


@dataclass(frozen=True)
class Edit:
    """One change to the source of ``inside``, made as it is compiled.

    ``drop``: statements that call ``first`` are left out, or only the one of them whose
    number, from 0, is ``which``.  ``swap``: the statement that
    calls ``first`` changes places with the one that calls ``second``.  ``force``: the
    condition written ``condition`` is taken to be ``value``.
    """

    kind: str
    inside: Function
    first: Function | None = None
    second: Function | None = None
    condition: str = ""
    value: bool = False
    which: int | None = None


def drop(inside: Function, call: Function, which: int | None = None) -> Edit:
    """Leave out each statement of ``inside`` that calls ``call``, or only one of them.

    ``which`` counts them from 0, in the order of their lines.
    """
    return Edit("drop", inside, first=call, which=which)


def swap(inside: Function, first: Function, second: Function) -> Edit:
    """Exchange the statement that calls ``first`` with the one that calls ``second``."""
    return Edit("swap", inside, first=first, second=second)


def force(inside: Function, condition: str, value: bool) -> Edit:
    """Take the condition, spelled as in the source, to be always ``value``."""
    return Edit("force", inside, condition=condition, value=value)


@dataclass(frozen=True)
class Mutant:
    """A wrong version of a protocol that holds, and the property that must kill it."""

    edits: tuple[Edit, ...]
    killed_by: str


def mutant(*edits: Edit, killed_by: Function | str) -> Mutant:
    """The protocol with ``edits``; ``killed_by`` names the property that fails."""
    return Mutant(edits, killed_by if isinstance(killed_by, str) else killed_by.__name__)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A claim.  Make one with ``protocol(...)``; ``replace`` makes a sibling."""

    threads: tuple[Thread, ...]
    setup: Function | None = None
    schedulable: Function | None = None
    always: tuple[Function, ...] = ()
    at_end: tuple[Function, ...] = ()
    sometimes: tuple[Function, ...] = ()
    config: tuple[Config, ...] = ()
    expect: Expect = HOLDS
    edits: tuple[Edit, ...] = ()
    mutants: Mapping[str, Mutant] = field(default_factory=dict[str, Mutant])
    title: str = ""
    kernel: str = ""
    commit: str = ""
    file: str = ""
    line: int = 0

    def replace(self, **changes: Any) -> Protocol:
        """The same protocol with some parts changed.

        ``config`` replaces parameters class by class; other parts are replaced whole.
        """
        if "config" in changes:
            merged: dict[type, Config] = {type(c): c for c in self.config}
            merged.update({type(c): c for c in changes["config"]})
            changes["config"] = tuple(merged.values())
        for name in ("threads", "always", "at_end", "sometimes", "edits"):
            if name in changes:
                changes[name] = tuple(changes[name])
        frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        place = {"file": frame.f_code.co_filename, "line": frame.f_lineno}
        return replace(self, **(place | changes))


def protocol(
    *,
    threads: Sequence[Thread],
    setup: Function | None = None,
    schedulable: Function | None = None,
    always: Sequence[Function] = (),
    at_end: Sequence[Function] = (),
    sometimes: Sequence[Function] = (),
    config: Sequence[Config] = (),
    expect: Expect = HOLDS,
    mutants: Mapping[str, Mutant] | None = None,
    title: str = "",
    kernel: str = "",
    commit: str = "",
) -> Protocol:
    """Describe a claim.

    ``setup`` runs first, alone.  ``schedulable`` tells whether the thread that asks may take
    its next step: threads that share a CPU do not run at once.  Agents always may.
    ``always`` must hold in every state, ``at_end`` in
    every state in which all threads have returned; each ``sometimes`` must hold in at
    least one state.  ``config`` binds compile-time parameters.  ``kernel`` is the file
    and function of the kernel, ``commit`` the commit that settled the matter.
    """
    for number, item in enumerate(threads):
        if not isinstance(item, Thread):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"threads[{number}] is not made by thread(f, cpu=0) or agent(f)")
    for what, functions in (("always", always), ("at_end", at_end), ("sometimes", sometimes)):
        for function in functions:
            _refuse_other_than_function(function, what, f"{what}=[f]")
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    return Protocol(
        threads=tuple(threads),
        setup=setup,
        schedulable=schedulable,
        always=tuple(always),
        at_end=tuple(at_end),
        sometimes=tuple(sometimes),
        config=tuple(config),
        expect=expect,
        mutants=mutants or {},
        title=title,
        kernel=kernel,
        commit=commit,
        file=frame.f_code.co_filename,
        line=frame.f_lineno,
    )
