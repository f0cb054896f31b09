"""What the interpreter takes and gives: a state, the outcome of a step, its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pagerace.compiler.ir import NONE, Check, Scalar, Where

EventKind: TypeAlias = Literal[
    "load", "store", "check", "wait", "choose", "trace", "call", "return", "fence", "lock"
]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a step.  Values are bit patterns of ``type``.

    load    ``object`` is the cell; ``old`` and ``new`` are both the value found
    store   ``object`` is the cell, ``old`` what it held, ``new`` what it holds now
    check   it failed; ``object`` is the slug
    wait    ``new`` is 1 if it was over, 0 if the step is not possible now
    choose  ``new`` is the choice, one of ``old``
    trace   ``text`` is the note with its values filled in
    call    ``text`` as for trace
    return  ``new`` is the value returned, None for none
    fence   ``text`` is "mb", "rmb" or "wmb"
    lock    ``object`` is the lock's name, ``old`` the mask of those held, ``new`` its number

    ``text`` of a load or store is the kind of access.  ``shared``: another CPU could
    see the access.  ``plain``: it is one of C that may race, see ``ir.Load``.
    """

    kind: EventKind
    where: Where
    object: str = ""
    old: int | None = None
    new: int | None = None
    type: Scalar = NONE
    text: str = ""
    shared: bool = False
    plain: bool = False


@dataclass(slots=True)
class State:
    """``memory[family][cell]``; and per process the point it is at and its live locals.

    ``shown`` keeps for the diagram what locals held when they were last live.  It is
    no part of the state.
    """

    memory: list[list[int]]
    pc: list[int]
    locals: list[dict[int, int]]
    shown: list[dict[int, int]] = field(default_factory=list[dict[int, int]], compare=False)

    def key(self) -> tuple[object, ...]:
        """Something hashable that is equal for equal states."""
        live = tuple(tuple(sorted(values.items())) for values in self.locals)
        return tuple(map(tuple, self.memory)), tuple(self.pc), live


@dataclass(slots=True)
class Outcome:
    """What a step did.

    ok        ``state`` is the state after it
    blocked   a Wait does not hold or there is nothing to choose: no part of it happened
    finished  the process has returned, there is no step
    failed    ``check`` failed; ``state`` has the memory at that moment
    endless   more than BLOCKS_MAX blocks; ``state`` has the memory at that moment

    ``choices`` are the numbers chosen, each below its number in ``radices``.
    ``blocks`` are the blocks executed; ``locks`` the (lock, held mask) of LockOrder.
    """

    kind: Literal["ok", "blocked", "finished", "failed", "endless"]
    state: State
    events: list[Event] = field(default_factory=list[Event])
    check: Check | None = None
    choices: list[int] = field(default_factory=list[int])
    radices: list[int] = field(default_factory=list[int])
    blocks: set[int] = field(default_factory=set[int])
    locks: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
