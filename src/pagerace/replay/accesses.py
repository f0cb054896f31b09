"""The loop that replays accesses: kernel Python over the records of a batch."""

from __future__ import annotations

from enum import Enum

from pagerace.lang import Array, Config, Struct, array, smp_processor_id, u1, u32, u64
from pagerace.lang.direct import ptr
from pagerace.machine.cpu import cpus
from pagerace.machine.memory import Machine, cpu_t, ulong
from pagerace.machine.tlb import fetch, load, store, write_cr3
from pagerace.mm.cpumask import cpumask_of
from pagerace.mm.fault import do_user_addr_fault, faults
from pagerace.mm.lruvec import wakeup_kswapd
from pagerace.mm.mm_types import FAULT_FLAG_WRITE, mm_struct, mms
from pagerace.mm.syscalls import sys_pread
from pagerace.mm.tlb import switch_mm
from pagerace.mm.tlb_lazy import cpu_tlbstate
from pagerace.mm.vmscan import balance_pgdat
from pagerace.replay.costs import Operation, Walks, charge, faulted

PAGE_SHIFT = 12
# Of the bits of a record, see replay/events.py.
KIND = 3
FETCH = 0
WRITES = 2
SIZE_SHIFT = 2
SIZE = 63
ADDRESS_SHIFT = 8
TRIES_MAX = 16  # of one access, before there is taken to be no memory


class Cached(Enum):
    """Has somebody read the files before?"""

    COLD = 0
    WARM = 1


class Files(Config):
    """``page_cache``: WARM has all pages of a file in it when the file is first mapped."""

    page_cache: Cached = Cached.COLD


class Stop(Enum):
    """Why a batch was not done to its end."""

    DONE = 0
    SEGV = 1
    SIGBUS = 2
    NO_MEMORY = 3


class progress_t(Struct):
    """``stop``: how the last batch ended, at page ``page``.  The others count.

    ``kinds[k]``: records of that kind.  ``crossed``: those that touch two pages.
    """

    stop: Stop
    page: ulong
    kinds: Array[u64] = array(4)
    crossed: u64
    faults: u64


progress = progress_t()


def replay_records(records: ptr[u64], count: u64, process: u32) -> u64:
    """Make ``count`` accesses; how many were made.  If not all, ``progress`` says why."""
    mm = mms[process]
    done: u64 = 0
    while done < count:
        record = records[done]
        address = record >> ADDRESS_SHIFT
        first = address >> PAGE_SHIFT
        last = (address + ((record >> SIZE_SHIFT) & SIZE)) >> PAGE_SHIFT
        if last >= Machine.pages:
            progress.stop = Stop.SEGV
            progress.page = 0
            return done
        if not touch(mm, ulong(first), record & KIND):
            return done
        if last != first:
            if not touch(mm, ulong(last), record & KIND):
                return done
            progress.crossed += 1
        progress.kinds[record & KIND] += 1
        done += 1
    progress.stop = Stop.DONE
    return done


def touch(mm: mm_struct, page: ulong, kind: u64) -> bool:
    """One access to one page, tried until it is done; False: it cannot be."""
    if tried(page, kind):
        return True
    for _ in range(TRIES_MAX):
        if not do_user_addr_fault(mm, page, fault_flags(kind)):
            return stopped(page)
        progress.faults += 1
        faulted(mm, page)
        reclaim_if_low()
        if tried(page, kind):
            return True
    progress.stop = Stop.NO_MEMORY
    progress.page = page
    return False


def reclaim_if_low() -> None:
    """kswapd, where it is woken."""
    if wakeup_kswapd():
        balance_pgdat()
        if Walks.costs:
            charge(Operation.RECLAIM)


def tried(page: ulong, kind: u64) -> bool:
    """The instruction itself; False: it raised a page fault."""
    if kind & WRITES != 0:
        return store(page, 1)
    if kind == FETCH:
        return fetch(page)
    return load(page)


def fault_flags(kind: u64) -> u1:
    """What the error code of the fault says."""
    if kind & WRITES != 0:
        return FAULT_FLAG_WRITE
    return 0


def stopped(page: ulong) -> bool:
    """The thread would get a signal."""
    progress.stop = Stop.SEGV
    if faults.current.sigbus:
        progress.stop = Stop.SIGBUS
    progress.page = page
    faults.current.sigbus = False
    return False


def read_ahead_of_time(file: u32, first: ulong, end: ulong) -> None:
    """Another program reads the file, from page ``first`` to ``end`` - 1."""
    for index in range(first, end):
        sys_pread(file, ulong(index))
        reclaim_if_low()


def make_room() -> bool:
    """kswapd, before a system call that takes much memory; False: there is none."""
    if wakeup_kswapd():
        freed = balance_pgdat()
        if Walks.costs:
            charge(Operation.RECLAIM)
        return freed
    return True


def switch_to(process: u32) -> None:
    """The scheduler picks a thread of a process on this CPU."""
    switch_mm(mms[process])


def switch_away() -> None:
    """This CPU has no user space any more."""
    this_cpu = cpu_t(smp_processor_id())
    prev = cpu_tlbstate[this_cpu].loaded_mm
    if prev is not None:
        prev.cpu_bitmap &= ~cpumask_of(this_cpu)
    cpu_tlbstate[this_cpu].loaded_mm = None
    write_cr3(cpus[this_cpu], None)
