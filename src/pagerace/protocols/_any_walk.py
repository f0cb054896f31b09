"""The claim that a walk with any callbacks handles each page once and only once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import FunctionType, ModuleType
from typing import Any

from pagerace.lang import Config, agent, thread
from pagerace.lang.protocol import Protocol, Thread, protocol
from pagerace.machine.memory import Machine
from pagerace.mm import khugepaged, pagewalk_ops, table_walk
from pagerace.mm.anon import Anon
from pagerace.mm.mm_types import PageCache
from pagerace.mm.notes import Notes
from pagerace.mm.pagewalk_ops import mm_walk_ops
from pagerace.mm.pgalloc import PteTables
from pagerace.mm.table_variants import with_window
from pagerace.mm.tlb import sysvec_call_function
from pagerace.protocols import _file_fault, _walked_file
from pagerace.protocols._walked import (
    an_error_is_the_last_word,
    continue_is_the_last_word,
    fault_at,
    handled_at_least_once,
    handled_at_most_once,
    keeps_to_its_range,
    ptes_are_in_a_table,
    setup,
    split,
    walk,
    zap,
)

# Two pages, and one PMD entry for them.  Frame 0 is the zero page.
MACHINE: list[Config] = [
    Machine(cpus=2, pages=2, frames=4, tables=2, huge_pages=True),
    Anon(private=True),
    PageCache(large=True),
    PteTables(come_and_go=True),
    Notes(walk=True),
]

KERNELS: dict[str, list[Config]] = {
    "v5.4": [pagewalk_ops.V5_4],
    "v5.5": [pagewalk_ops.V5_5],
    "v5.6": [pagewalk_ops.V5_6],
    "v6.5": [pagewalk_ops.V6_5, table_walk.V6_5],
    "v6.19": [pagewalk_ops.V6_19, table_walk.V6_14],
}

AGAINST: dict[str, Thread] = {
    "fault": thread(fault_at, 0),
    "zap": thread(zap),
    "split": thread(split),
}

# The same of a file, where it is khugepaged that needs no mmap_lock, from v6.6 on.
FILE_KERNELS: dict[str, list[Config]] = {
    "v5.4": [*with_window("v5.11", _file_fault.WINDOW), khugepaged.V5_11],
    "v5.5": [*with_window("v5.11", _file_fault.WINDOW), khugepaged.V5_11],
    "v5.6": [*with_window("v5.11", _file_fault.WINDOW), khugepaged.V5_11],
    "v6.5": [*with_window("v6.5", _file_fault.WINDOW), khugepaged.V6_5],
    "v6.19": [*with_window("v6.14", _file_fault.WINDOW), khugepaged.V6_6],
}

FILE_AGAINST: dict[str, Thread] = {
    "fault": thread(_file_fault.fault_at, 0),
    "zap": thread(_file_fault.dontneed),
    "split": thread(_file_fault.split),
    "collapse": thread(_file_fault.collapse),
}

ALWAYS = [
    handled_at_most_once,
    handled_at_least_once,
    continue_is_the_last_word,
    an_error_is_the_last_word,
    ptes_are_in_a_table,
    keeps_to_its_range,
]


def tables_of(module: ModuleType, names: Iterable[str]) -> dict[str, mm_walk_ops]:
    """The tables of callbacks of a module by name.

    Where there is none, functions that have the ``names`` of callbacks are one, named "".
    """
    tables = {n: value for n, value in vars(module).items() if isinstance(value, mm_walk_ops)}
    if tables:
        return tables
    found = {name: vars(module).get(name) for name in names}
    own: dict[str, Any] = {n: f for n, f in found.items() if isinstance(f, FunctionType)}
    return {"": mm_walk_ops(**own)} if own else {}


def any_walk(ops: mm_walk_ops, kernel: str, against: Sequence[str]) -> Protocol:
    """A walk over a huge page, on a CPU of its own, as are those that interfere.

    Beside a collapse it is a file that is walked, which has a table at first.
    """
    file = "collapse" in against
    beside = FILE_AGAINST if file else AGAINST
    threads = [thread(_walked_file.walk_file if file else walk, ops, cpu=0)]
    for cpu, name in enumerate(against, 1):
        threads.append(thread(beside[name].function, *beside[name].args, cpu=cpu))
    cpus = len(threads)
    if file and kernel == "v6.5":  # tlb_remove_table_sync_one()
        threads += [agent(sysvec_call_function, cpu=cpu) for cpu in range(cpus)]
    machine = Machine(cpus=cpus, pages=2, frames=4, tables=2, huge_pages=True)
    config = [machine, *MACHINE[1:], *KERNELS[kernel]]
    if file:
        config = [
            machine.replace(tables=3), *_walked_file.MACHINE[1:],
            *KERNELS[kernel][:1], *FILE_KERNELS[kernel],
        ]  # fmt: skip
    return protocol(
        title="each page is handled once and only once",
        kernel="mm/pagewalk.c: walk_page_range()",
        threads=threads,
        setup=_walked_file.setup if file else setup,
        always=ALWAYS,
        config=config,
    )
