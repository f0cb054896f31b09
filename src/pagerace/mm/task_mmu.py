"""What /proc tells of a process: fs/proc/task_mmu.c and fs/proc/page.c.

Nothing here changes anything, and no lock is taken: who looks is alone.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false

from __future__ import annotations

from pagerace.lang import Struct, u32, u64
from pagerace.machine.memory import PAGE_SIZE, ulong
from pagerace.machine.pgtable import pte_dirty, pte_present, pte_t, ptep_get
from pagerace.machine.tables import pmd_none, pmdp_get
from pagerace.mm.anon import PageAnon, is_zero_pte
from pagerace.mm.memory import vm_normal_page
from pagerace.mm.mm_types import folio, mm_struct, vm_area_struct
from pagerace.mm.page_flags import folio_mapcount, folio_mapped, folio_test_dirty
from pagerace.mm.pgtable import mm_find_pmd, pte_entry

# Bits of /proc/PID/pagemap, counted from PM_MMAP_EXCLUSIVE.
PM_PRESENT = 1
PM_SWAP = 2
PM_FILE = 4
PM_MMAP_EXCLUSIVE = 8

# Bits of /proc/kpageflags: include/uapi/linux/kernel-page-flags.h.
KPF_DIRTY = 1 << 4
KPF_MMAP = 1 << 11
KPF_ANON = 1 << 12
KPF_SWAPBACKED = 1 << 14
KPF_ZERO_PAGE = 1 << 24

# Bytes of a page, and what a proportional share is counted in.
PAGE_BYTES = 4096
PSS_SHIFT = 12


class mem_size_stats(Struct):
    """struct mem_size_stats: what one mapping of /proc/PID/smaps adds up to.

    In bytes; ``pss`` and ``pss_dirty`` in 1 / 2**PSS_SHIFT bytes.
    """

    resident: u64
    shared_clean: u64
    shared_dirty: u64
    private_clean: u64
    private_dirty: u64
    anonymous: u64
    pss: u64
    pss_dirty: u64


mss = mem_size_stats()


def pte_of(mm: mm_struct, addr: ulong) -> pte_t:
    """The PTE of an address as walk_page_range() comes to it; an empty one if no table is."""
    pmd = mm_find_pmd(mm, addr)
    if pmd is None or pmd_none(pmdp_get(pmd)):
        return pte_t()
    return ptep_get(pte_entry(pmd, addr))


def pte_to_pagemap_entry(vma: vm_area_struct, addr: ulong, pte: pte_t) -> u32:
    """pte_to_pagemap_entry(): its flags."""
    if not pte_present(pte):
        return 0
    if is_zero_pte(pte):
        return PM_PRESENT
    flags: u32 = PM_PRESENT
    page = vm_normal_page(vma, addr, pte)
    if not PageAnon(page):
        flags = flags | PM_FILE
    if folio_mapcount(page) == 1:  # __folio_page_mapped_exclusively()
        flags = flags | PM_MMAP_EXCLUSIVE
    return flags


def smap_gather_stats(vma: vm_area_struct) -> None:
    """smap_gather_stats(): all pages of a mapping, into ``mss``."""
    mss.resident = 0
    mss.shared_clean = 0
    mss.shared_dirty = 0
    mss.private_clean = 0
    mss.private_dirty = 0
    mss.anonymous = 0
    mss.pss = 0
    mss.pss_dirty = 0
    for addr in range(vma.vm_start, vma.vm_end, PAGE_SIZE):
        smaps_pte_entry(vma, addr, pte_of(vma.vm_mm, addr))


def smaps_pte_entry(vma: vm_area_struct, addr: ulong, ptent: pte_t) -> None:
    """smaps_pte_entry(): nothing is swapped out."""
    if pte_present(ptent) and not is_zero_pte(ptent):
        smaps_account(vm_normal_page(vma, addr, ptent), pte_dirty(ptent))


def smaps_account(page: folio, dirty: bool) -> None:
    """smaps_account(), of one page."""
    if PageAnon(page):
        mss.anonymous += PAGE_BYTES
    mss.resident += PAGE_BYTES
    mapcount = u64(folio_mapcount(page))
    pss: u64 = PAGE_BYTES << PSS_SHIFT
    if mapcount >= 2:
        pss = pss // mapcount
    smaps_page_accumulate(page, pss, dirty, mapcount < 2)


def smaps_page_accumulate(page: folio, pss: u64, dirty: bool, private: bool) -> None:
    """smaps_page_accumulate()."""
    mss.pss += pss
    if dirty or folio_test_dirty(page):
        mss.pss_dirty += pss
        if private:
            mss.private_dirty += PAGE_BYTES
        else:
            mss.shared_dirty += PAGE_BYTES
    elif private:
        mss.private_clean += PAGE_BYTES
    else:
        mss.shared_clean += PAGE_BYTES


def stable_page_flags(page: folio) -> u32:
    """stable_page_flags() of fs/proc/page.c: the flags that are modelled."""
    flags: u32 = 0
    if folio_mapped(page):
        flags = flags | KPF_MMAP
    if PageAnon(page):
        flags = flags | KPF_ANON | KPF_SWAPBACKED
    mapping = page.mapping
    if mapping is not None and mapping.shmem:
        flags = flags | KPF_SWAPBACKED
    if folio_test_dirty(page):
        flags = flags | KPF_DIRTY
    return flags
