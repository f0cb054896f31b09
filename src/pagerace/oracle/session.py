"""Many programs, two judges: run, compare, shrink the first difference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pagerace.oracle.compare import (
    Compared,
    Difference,
    Known,
    compare,
    kinds_compared,
)
from pagerace.oracle.known import KNOWN
from pagerace.oracle.program import CannotJudge, Judge, Observation, Program
from pagerace.oracle.shrink import shrink

Progress = Callable[[Compared, float], None]


@dataclass(frozen=True)
class Found:
    """A program on which the two judges differ, and the differences of its first such call.

    ``name``: which program it was at first, such as "program 12 of seed 7".
    """

    name: str
    program: Program
    differences: list[Difference]
    kernel: list[Observation]
    model: list[Observation]
    calls_at_first: int


@dataclass
class Outcome:
    """What a run of many programs came to.  ``cannot``: why nothing could be compared."""

    kernel: str
    model: str
    compared: Compared = field(default_factory=Compared)
    not_compared: Mapping[str, str] = field(default_factory=dict[str, str])
    disturbed: Mapping[str, str] = field(default_factory=dict[str, str])
    unmade: Mapping[str, str] = field(default_factory=dict[str, str])
    found: Found | None = None
    interrupted: bool = False
    cannot: str = ""
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """ "agrees", "differs", or "inconclusive" where nothing was compared."""
        if self.found:
            return "differs"
        if self.interrupted or self.cannot or not self.compared.calls:
            return "inconclusive"
        return "agrees"


class Session:
    """Two judges and what is compared of them."""

    def __init__(
        self, kernel: Judge, model: Judge, known: Sequence[Known] = KNOWN, attempts: int = 600
    ) -> None:
        self.kernel, self.model = kernel, model
        self.known, self.attempts = known, attempts
        left, right = kernel.sight(), model.sight()
        reasons = kinds_compared(left, right)
        self.kinds = frozenset(kind for kind, reason in reasons.items() if not reason)
        self.outcome = Outcome(
            left.about,
            right.about,
            not_compared={kind: reason for kind, reason in reasons.items() if reason},
            disturbed={k: v for k, v in left.disturbs.items() if k in self.kinds},
            unmade={**left.unmade, **right.unmade},
        )

    def try_one(
        self, program: Program, compared: Compared | None = None
    ) -> tuple[list[Difference], list[Observation], list[Observation]]:
        """Run a program on both; its unexplained differences and what was seen."""
        for call in program.calls:
            if reason := self.outcome.unmade.get(type(call).__name__.lower()):
                raise CannotJudge(reason)
        kernel = self.kernel.run(program)
        model = self.model.run(program)
        counted = Compared() if compared is None else compared
        found = compare(program, kernel, model, self.kinds, self.known, counted)
        return found, kernel, model

    def run(
        self, programs: Iterable[tuple[str, Program]], progress: Progress | None = None
    ) -> Outcome:
        """Compare all programs, up to the first that shows a difference."""
        outcome, start = self.outcome, time.monotonic()
        try:
            for name, program in programs:
                found, kernel, model = self.try_one(program, outcome.compared)
                if found and not self.repeats(program, kernel):
                    outcome.compared.unrepeatable += 1
                elif found:
                    outcome.found = Found(
                        name, program, found, kernel, model, len(program.calls)
                    )
                    outcome.found = self.shrunk(outcome.found)
                    break
                if progress:
                    progress(outcome.compared, time.monotonic() - start)
        except KeyboardInterrupt:
            outcome.interrupted = True
        except CannotJudge as error:  # a process of the program was killed, or hangs
            outcome.cannot = str(error)
        outcome.seconds = time.monotonic() - start
        return outcome

    def repeats(self, program: Program, kernel: Sequence[Observation]) -> bool:
        """Does the kernel say the same again?  Who reclaims or swaps pages may disturb it."""
        again = self.kernel.run(program)
        return not compare(program, kernel, again, self.kinds, self.known, Compared())

    def shrunk(self, found: Found) -> Found:
        """The same difference in a short program.

        What counts as the same: what differed first still does.  Otherwise a program could
        shrink from one mistake to another.
        """
        wanted = (found.differences[0].kind, found.differences[0].what)
        small = [found]

        def shows(program: Program) -> bool:
            differences, kernel, model = self.try_one(program)
            if wanted not in {(item.kind, item.what) for item in differences}:
                return False
            calls = found.calls_at_first
            small[0] = Found(found.name, program, differences, kernel, model, calls)
            return True

        cut = found.program.calls[: found.differences[0].step + 1]
        program = Program(
            cut, found.program.files, found.program.window, found.program.fault_around
        )
        try:
            if shows(program):
                shrink(program, shows, self.attempts)
        except KeyboardInterrupt:
            pass  # what has been found so far is short, too
        return small[0]


def diff_program(program: Program) -> str:
    """Run one program on the running kernel and on mm/, and say what differs."""
    from pagerace.oracle.judges import kernel_judge, model_judge
    from pagerace.oracle.report import text

    kernel = kernel_judge()
    try:
        model = model_judge()
        try:
            session = Session(kernel, model, attempts=0)
            return text(session.run([("the program", program)]))
        finally:
            model.close()
    finally:
        kernel.close()
