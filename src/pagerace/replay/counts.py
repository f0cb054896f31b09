"""What a replay counted, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from pagerace.compiler.running import Running
from pagerace.lang.structures import Struct
from pagerace.machine.counters import LEVELS as TABLE_LEVELS
from pagerace.machine.counters import counters
from pagerace.machine.memory import Machine
from pagerace.mm.lockdep import LockClass
from pagerace.mm.lruvec import contig_page_data
from pagerace.replay.accesses import progress
from pagerace.replay.costs import Operation, costs
from pagerace.replay.events import FETCH, LOAD, MODIFY, STORE

TABLE_BYTES = 4096


@dataclass(frozen=True)
class Counts:
    """Plain numbers.  ``others`` are those of the machine and of mm/, by their own names.

    ``accesses`` are records; ``touches`` pages that they touch, two where one crosses.
    ``faults_segv`` and ``faults_sigbus``: accesses that were given up with that signal.
    ``calls_made``: system calls replayed; ``calls_differ``: those that ended otherwise than
    in the trace.
    """

    accesses: int = 0
    touches: int = 0
    instructions: int = 0
    loads: int = 0
    stores: int = 0
    modifies: int = 0
    faults_segv: int = 0
    faults_sigbus: int = 0
    calls_made: int = 0
    calls_differ: int = 0
    frames_used: int = 0
    resident_bytes: int = 0
    others: Mapping[str, int | dict[str, int]] = field(
        default_factory=dict[str, "int | dict[str, int]"]
    )

    def by_name(self) -> dict[str, int | dict[str, int]]:
        """All of them, flat."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "others"}
        return own | dict(self.others)


def of_accesses(kernel: Running) -> dict[str, int]:
    """What the loop itself counted."""
    kinds = [kernel.get(progress, "kinds", kind) for kind in range(4)]
    return {
        "accesses": sum(kinds),
        "touches": sum(kinds) + kernel.get(progress, "crossed"),
        "instructions": kinds[FETCH],
        "loads": kinds[LOAD],
        "stores": kinds[STORE],
        "modifies": kinds[MODIFY],
    }


RECLAIM = {
    "reclaim_scanned": "pgscan",
    "reclaim_evicted": "pgsteal",
    "reclaim_activated": "pgactivate",
    "reclaim_deactivated": "pgdeactivate",
    "reclaim_rotated": "pgrotated",
    "reclaim_refaults": "workingset_refault",
    "reclaim_refaults_activated": "workingset_activate",
}


def of_reclaim(kernel: Running) -> dict[str, int]:
    """What reclaim did, as /proc/vmstat counts it."""
    return {name: kernel.get(contig_page_data, field) for name, field in RECLAIM.items()}


# As /proc/vmstat and perf would call them; the others keep their names.
FAULTS = {
    "faults": "faults",
    "major_faults": "faults_major",
    "faults_anonymous": "faults_anonymous",
    "faults_zero_page": "faults_zero_page",
    "faults_read_file": "faults_read_file",
    "faults_around": "faults_around",
    "faults_write_shared": "faults_write_shared",
    "faults_cow": "faults_cow",
    "faults_reused": "faults_reused",
    "faults_huge": "faults_huge",
    "faults_gone": "faults_gone",
    "fault_around_mapped": "around_mapped",
    "fault_around_used": "around_used",
    "fault_around_unused": "around_unused",
    "tlb_l2_hits": "l2_hits",
    "tlb_misses": "tlb_misses",
    "accessed_set": "accessed_set",
    "dirty_set": "dirty_set",
    "flushes_page": "flushes_page",
    "flushes_range": "flushes_range",
    "flushes_all": "flushes_all",
    "tlb_pages_flushed": "pages_flushed",
    "tlb_forgotten_by_switches": "cr3_writes",
    "ipis_sent": "ipis_sent",
    "ipis_handled": "ipis_handled",
    "atomics": "atomics",
}
LEVELS = ("pte", "pmd", "pud", "p4d", "pgd")  # levels 1 to 5


def of_machine(kernel: Running) -> dict[str, int | dict[str, int]]:
    """What machine/counters.py has."""
    found: dict[str, int | dict[str, int]] = dict(of_struct(kernel, counters, FAULTS))
    # What is mapped still has not been used either.
    waiting = kernel.get(counters, "around_mapped") - kernel.get(counters, "around_used")
    found["fault_around_unused"] = max(0, waiting)
    tried = kernel.get(counters, "accesses")
    misses = kernel.get(counters, "tlb_misses") + kernel.get(counters, "l2_hits")
    found["tlb_l1_hits"] = tried - misses
    tables = 0
    for level, name in enumerate(_levels(), 1):
        found[f"walk_references_{name}"] = kernel.get(counters, "walk_references", level)
        if level > 1:
            found[f"walk_saved_{name}"] = kernel.get(counters, "walk_saved", level)
        made = kernel.get(counters, "tables_allocated", level)
        there = made - kernel.get(counters, "tables_freed", level)
        found[f"tables_allocated_{name}"] = made
        found[f"table_pages_{name}"] = there
        tables += there
    found["table_bytes"] = tables * TABLE_BYTES
    found["locks"] = {
        lock.name.lower(): kernel.get(counters, "locks", lock.value) for lock in LockClass
    }
    return found


def _levels() -> Sequence[str]:
    """Level n of the tables is the n-th; the top one is the PGD."""
    return (*LEVELS[: Machine.levels - 1], "pgd")


def of_struct(kernel: Running, owner: Struct, names: Mapping[str, str]) -> dict[str, int]:
    """Fields of a global structure under other names."""
    return {name: kernel.get(owner, field) for name, field in names.items()}


@dataclass(frozen=True)
class Cost:
    """What ``number`` operations of one kind cost together; ``locks`` by class."""

    number: int
    atomics: int
    locks: Mapping[str, int]

    @property
    def acquisitions(self) -> int:
        """Of locks of all classes."""
        return sum(self.locks.values())


@dataclass(frozen=True)
class Costs:
    """``of``: by kind of operation.  Bytes of page tables of all levels, between operations.

    ``table_bytes_end``: when the last process exits, or else now; ``table_bytes_mean``: over
    all moments behind a fault or an unmap.
    """

    of: Mapping[str, Cost]
    table_bytes_peak: int
    table_bytes_mean: int
    table_bytes_end: int


def of_costs(kernel: Running, tables_at_end: int | None) -> Costs:
    """What was charged to each kind of operation: see costs.py."""
    def cost(operation: Operation) -> Cost:
        locks = {
            lock.name.lower(): kernel.get(costs, "of.locks", operation, lock.value)
            for lock in LockClass
        }
        number, atomics = (
            kernel.get(costs, f"of.{name}", operation) for name in ("number", "atomics")
        )
        return Cost(number, atomics, {name: taken for name, taken in locks.items() if taken})

    samples = kernel.get(costs, "samples")
    mean = kernel.get(costs, "tables_sum") // samples if samples else 0
    end = tables_of(kernel) if tables_at_end is None else tables_at_end
    return Costs(
        {operation.name.lower(): cost(operation) for operation in Operation},
        kernel.get(costs, "tables_peak") * TABLE_BYTES, mean * TABLE_BYTES, end * TABLE_BYTES,
    )


def tables_of(kernel: Running) -> int:
    """Page tables of all levels that there are."""
    return sum(
        kernel.get(counters, "tables_allocated", level)
        - kernel.get(counters, "tables_freed", level)
        for level in range(1, TABLE_LEVELS)
    )
