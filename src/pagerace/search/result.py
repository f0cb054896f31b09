"""What a search found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pagerace.compiler.ir import Where
from pagerace.report.execution import Execution, Violation

Verdict: TypeAlias = Literal["holds", "violated", "inconclusive"]


class TooManyChoices(ValueError):
    """A step that calls choose() more often than the search can keep, about at ``where``."""

    def __init__(self, message: str, where: Where | None = None) -> None:
        super().__init__(message)
        self.where = where


@dataclass(frozen=True, kw_only=True)
class Result:
    """The verdict, and what it covers.

    states, seen      different states; steps taken, each of which led to one of them
    depth             steps of the longest of all shortest ways to a state; with partial
                      order reduction those to states that are not stored do not count
    state_bits        in use, of ``state_words`` 64-bit words
    bytes             memory for the states, at the end
    reached           the ``sometimes`` properties that hold in some state
    never_executed    file -> lines of the program that no execution ran
    lock_order        (lock held, lock taken) by name
    reductions        in use: by name, the points at which a process may go alone, and
                      the size of the group of symmetries
    told_apart        why CPUs or threads that look alike cannot change places
    fewest_switches   is the execution known to have as few as a shortest one can have?
    """

    verdict: Verdict
    reason: str = ""
    violation: Violation | None = None
    execution: Execution | None = None
    states: int = 0
    seen: int = 0
    depth: int = 0
    seconds: float = 0.0
    state_bits: int = 0
    state_words: int = 0
    bytes: int = 0
    reached: list[str] = field(default_factory=list[str])
    unreached: list[str] = field(default_factory=list[str])
    never_executed: dict[str, list[int]] = field(default_factory=dict[str, "list[int]"])
    lock_order: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    reductions: dict[str, int] = field(default_factory=dict[str, int])
    told_apart: list[str] = field(default_factory=list[str])
    fewest_switches: bool = True
    workers: int = 1
