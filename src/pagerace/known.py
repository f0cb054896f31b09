"""Known failures of a claim: replayed before it is searched, kept or forgotten after.

A failure is replayed in the interpreter, as every execution that is shown.  If the program
is the one in which it was found, it is the answer: a search would find the same.  If the
program has changed and it still fails, that is said at once; then a search looks for a
shortest execution, as for any other failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

from pagerace.compiler.digest import digest
from pagerace.compiler.ir import Program
from pagerace.report.execution import Execution
from pagerace.report.summary import Summary
from pagerace.report.verdict import cause
from pagerace.search.replay import Mismatch
from pagerace.store import Failure, Store

# What is true of many executions; one of them does not show it.
OF_MANY = ("livelock", "lock-order-inversion")


@dataclass
class Known:
    """What a store knows of one claim, and what a replay says of it.

    ``execution`` still fails; ``same`` if its program is that of ``failure``.  ``gone`` are
    the failures whose schedules do not lead to a violation any more.
    """

    store: Store
    claim: str
    program: Program
    execution: Execution | None = None
    failure: Failure | None = None
    gone: list[Failure] = field(default_factory=list[Failure])

    @cached_property
    def model(self) -> str:
        """The digest of the program.  Most checks never need it."""
        return digest(self.program)

    @property
    def same(self) -> bool:
        """Is there a known failure of this very program?"""
        return self.failure is not None and self.failure.model == self.model

    def after(self, summary: Summary) -> Summary:
        """Keep what the search found; returns what to report.

        A failure that was replayed stands, though the search met a bound.  Raises
        Mismatch if the search says that it cannot happen.
        """
        if summary.verdict == "inconclusive":
            if self.execution is None or self.failure is None:
                return summary
            return replace(
                summary, verdict="violated", execution=self.execution, known=self.failure.found
            )
        if summary.verdict == "holds" and self.execution is not None:
            raise Mismatch(
                "the search finds no violation, and the interpreter runs into one: "
                f"{self.execution.reproduce}"
            )
        for failure in self.gone:
            self.store.forget(failure)
        if summary.verdict == "holds":
            for failure in self.store.failures(self.claim):
                self.store.forget(failure)
        elif summary.execution is not None and (self.store.exists or not summary.as_expected):
            earlier = self.failure
            found = earlier.found if earlier and earlier.violated == summary.violated else ""
            self.store.keep(self.claim, self.model, summary.execution, found)
        return summary


def replayed(
    store: Store, claim: str, program: Program, complete: Callable[[Execution], Execution]
) -> Known:
    """Run the known failures of ``claim`` again, until one fails."""
    from pagerace import search

    known = Known(store, claim, program)
    for failure in sorted(store.failures(claim), key=lambda f: f.model != known.model):
        if failure.violated in OF_MANY:
            continue
        what = f"known failure ({failure.violated}, found {failure.found})"
        try:
            execution = search.reproduce(program, failure.execution.schedule, searches=False)
        except search.ScheduleError as error:
            store.note(f"{claim}: {what} no longer fits:\n  {error}; searching anew")
            known.gone.append(failure)
            continue
        if execution.violation is None:
            store.note(f"{claim}: {what} passes now; searching anew")
            known.gone.append(failure)
            continue
        known.execution, known.failure = complete(execution), failure
        if known.same:
            earlier = failure.execution
            known.execution = replace(
                known.execution, search=earlier.search, reproduce=known.execution.reproduce
            )
        else:
            store.note(
                f"{claim}: {what} still happens:\n"
                f"  {cause(execution.violation)}\n"
                f"  Replay: {known.execution.reproduce}\n"
                "  searching for a shortest execution"
            )
        break
    return known
