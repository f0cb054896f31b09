"""Kernel Python that the model's side runs beside mm/: whose turn it is, and dumps.

It decides nothing: what happens is in mm/, and what is seen is in mm/task_mmu.py.
"""
# pyright: strict, reportPrivateUsage=false

from __future__ import annotations

from pagerace.lang import s64, u32, u64
from pagerace.lang.direct import ptr
from pagerace.machine.counters import counters
from pagerace.machine.cpu import cpus
from pagerace.machine.memory import frames, pfn_t, ulong
from pagerace.machine.pgtable import pfn_pte, pte_pfn
from pagerace.mm.anon import is_zero_pte
from pagerace.mm.fault import user_load, user_store
from pagerace.mm.mincore import mincore_all
from pagerace.mm.mm_types import mappings, mm_struct, mms, page_folio, pfn_to_page
from pagerace.mm.mman import VM_ACCESS_FLAGS, VM_WRITE
from pagerace.mm.mmap import vma_lookup
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.page_flags import folio_precise_page_mapcount
from pagerace.mm.task_mmu import (
    KPF_ZERO_PAGE,
    PAGEMAP_WALK_PAGES,
    PM_PFRAME_BITS,
    mss,
    pagemap_read,
    pm,
    pte_of,
    smap_gather_stats,
    stable_page_flags,
)
from pagerace.mm.tlb import cpu_tlbstate, switch_mm

# Words of a page, and of a mapping, in the dumps.
PAGE_WORDS = 4
AREA_WORDS = 14


# What an access ended in: how siginfo names the signal.
SEGV_MAPERR = 1
SEGV_ACCERR = 2
BUS_ADRERR = 3


def set_mode(file: u32, mode: u32) -> None:
    """Open it with these rights only."""
    mappings[file].f_mode = mode


def faults_so_far() -> s64:
    """ru_minflt and ru_majflt, together."""
    return s64(counters.accounted)


def major_faults_so_far() -> s64:
    """ru_majflt."""
    return s64(counters.faults_major)


def leave(process: u32) -> None:
    """The process ends: the CPU runs nobody's user code until the next switch."""
    if cpu_tlbstate[0].loaded_mm is mms[process]:
        cpu_tlbstate[0].loaded_mm = None
        cpus[0].cr3 = None


def load_page(process: u32, address: ulong) -> s64:
    """A load of user space; 0, or the signal."""
    mm = mms[process]
    switch_mm(mm)
    if user_load(mm, address):
        return 0
    return signal_of(mm, address, False)


def store_page(process: u32, address: ulong, addend: u64) -> s64:
    """A store of user space that adds ``addend``; 0, or the signal.

    The machine's store adds one, and the rest is added here: nobody comes between.
    """
    mm = mms[process]
    switch_mm(mm)
    if user_store(mm, address):
        frames[pte_pfn(pte_of(mm, address))].content += addend - 1
        return 0
    return signal_of(mm, address, True)


def signal_of(mm: mm_struct, address: ulong, write: bool) -> s64:
    """Which signal the fault raised; si_code as the kernel's bad_area() functions choose it."""
    vma = vma_lookup(mm, address)
    if vma is None:
        return SEGV_MAPERR
    flags = vma.vm_flags
    if flags & VM_ACCESS_FLAGS == 0 or (write and flags & VM_WRITE == 0):
        return SEGV_ACCERR
    return BUS_ADRERR


def dump_pages(process: u32, start: ulong, count: u32, out: ptr[u64]) -> None:
    """/proc/PID/pagemap, contents, /proc/kpagecount and kpageflags of ``count`` pages."""
    mm = mms[process]
    done: u32 = 0
    while done < count:
        part = min(u32(count - done), u32(PAGEMAP_WALK_PAGES))
        pagemap_read(mm, start + done, start + done + part)
        for i in range(part):
            at = (done + i) * PAGE_WORDS
            entry = pm.buffer[i]
            flags = entry >> PM_PFRAME_BITS
            out[at] = flags
            if flags != 0:
                dump_frame(pfn_t(entry), at, out)
        done += part


def dump_frame(pfn: pfn_t, at: u32, out: ptr[u64]) -> None:
    """What is in a frame, and what /proc tells of it."""
    out[at + 1] = u64(frames[pfn].content)
    if is_zero_pte(pfn_pte(pfn, False)):
        out[at + 2] = 0
        out[at + 3] = KPF_ZERO_PAGE
    else:
        page = pfn_to_page(pfn)
        out[at + 2] = u64(folio_precise_page_mapcount(page_folio(page), page))
        out[at + 3] = u64(stable_page_flags(page))


def dump_areas(process: u32, out: ptr[u64]) -> u32:
    """/proc/PID/smaps; how many mappings there are."""
    mm = mms[process]
    mmap_read_lock(mm)
    for slot in range(mm.map_count):
        vma = mm.mm_mt[slot]
        if vma is not None:
            at = slot * AREA_WORDS
            out[at] = u64(vma.vm_start)
            out[at + 1] = u64(vma.vm_end)
            out[at + 2] = u64(vma.vm_flags)
            out[at + 3] = u64(vma.vm_pgoff)
            file = vma.vm_file
            out[at + 4] = u64(mappings.index(file)) + 1 if file is not None else u64(0)
            smap_gather_stats(vma)
            out[at + 5] = mss.resident
            out[at + 6] = mss.pss
            out[at + 7] = mss.pss_dirty
            out[at + 8] = mss.shared_clean
            out[at + 9] = mss.shared_dirty
            out[at + 10] = mss.private_clean
            out[at + 11] = mss.private_dirty
            out[at + 12] = mss.anonymous
            out[at + 13] = mss.anonymous_thp
    mmap_read_unlock(mm)
    return u32(mm.map_count)


def dump_mincore(out: ptr[u64]) -> u32:
    """What the last mincore() told the user; of how many pages."""
    answers = mincore_all.current
    for i in range(answers.at):
        out[i] = u64(answers.vec[i])
    return answers.at
