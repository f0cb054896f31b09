"""What /proc tells of a process: fs/proc/task_mmu.c and fs/proc/page.c.

Nothing here changes anything.  pagemap and smaps walk with a pmd_entry of their own, which
goes through the PTEs itself, under their lock; mmap_lock is held for reading.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false

from __future__ import annotations

from pagerace.lang import Array, Struct, array, s32, u32, u64
from pagerace.machine.memory import PAGE_SIZE, Machine, pfn_t, ulong
from pagerace.machine.pgtable import pte_dirty, pte_pfn, pte_present, pte_t, ptep_get
from pagerace.machine.tables import pmd_none, pmd_t, pmd_trans_huge, pmdp_get, pmdval_t
from pagerace.mm.anon import PageAnon, is_zero_pte
from pagerace.mm.huge_memory import pmd_trans_huge_lock
from pagerace.mm.huge_zero import is_huge_zero_folio
from pagerace.mm.memory import vm_normal_page
from pagerace.mm.mm_types import (
    Thp,
    folio,
    mm_struct,
    page_folio,
    pfn_to_page,
    vm_area_struct,
)
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.page_flags import (
    folio_mapped,
    folio_precise_page_mapcount,
    folio_test_dirty,
    folio_test_large,
)
from pagerace.mm.pagewalk import walk_page_range, walk_page_vma
from pagerace.mm.pagewalk_ops import ACTION_AGAIN, PGWALK_RDLOCK, mm_walk, mm_walk_ops
from pagerace.mm.pgtable import mm_find_pmd, pte_entry
from pagerace.mm.pgtable_generic import (
    mapped_pte,
    pte_maps,
    pte_offset_map_lock,
    pte_unmap_unlock,
)
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR
from pagerace.mm.sched import cond_resched
from pagerace.mm.spinlock import spin_unlock

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
KPF_COMPOUND_HEAD = 1 << 15
KPF_COMPOUND_TAIL = 1 << 16
KPF_THP = 1 << 22
KPF_ZERO_PAGE = 1 << 24

# Where the frame number of an entry ends, and the pages of one round of pagemap_read().
PM_PFRAME_BITS = 55
PAGEMAP_WALK_PAGES = 512

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
    anonymous_thp: u64
    pss: u64
    pss_dirty: u64


mss = mem_size_stats()


def pte_of(mm: mm_struct, addr: ulong) -> pte_t:
    """The PTE of an address, for who is alone; an empty one if there is no table.

    Of a huge page it is the PMD entry, with the frame of this one of its pages.
    """
    pmd = mm_find_pmd(mm, addr)
    if pmd is None or pmd_none(pmdp_get(pmd)):
        return pte_t()
    entry = pmdp_get(pmd)
    if Machine.huge_pages and pmd_trans_huge(entry):
        return page_of_huge(entry, addr)
    return ptep_get(pte_entry(pmd, addr))


def is_huge_zero(pte: pte_t) -> bool:
    """is_huge_zero_pfn(), of what pte_of() gives."""
    if not Thp.anonymous or not pte.huge:
        return False
    return is_huge_zero_folio(page_folio(pfn_to_page(pte_pfn(pte))))


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
    if Thp.anonymous and pte.huge:
        page = page_folio(page)  # pagemap_pmd_range() asks of the first page, for each of them
    if folio_precise_page_mapcount(page_folio(page), page) == 1:
        flags = flags | PM_MMAP_EXCLUSIVE
    return flags


def pagemap_walk_pages() -> int:
    """The pages of one round of pagemap_read()."""
    return PAGEMAP_WALK_PAGES if Machine.full_size else Machine.pages


class pagemapread(Struct):
    """struct pagemapread: ``buffer[i]`` is the entry of page ``start`` + i.  ``pos``: the next.

    An entry is a frame number, and above PM_PFRAME_BITS the flags.
    """

    buffer: Array[u64] = array(lambda: pagemap_walk_pages())
    pos: u32


pm = pagemapread()


def add_to_pagemap(flags: u32, pfn: pfn_t) -> None:
    """add_to_pagemap() of make_pme(): what was found at the next address."""
    pm.buffer[pm.pos] = u64(flags) << PM_PFRAME_BITS | u64(pfn)
    pm.pos += 1


def pagemap_pte_hole(start: ulong, end: ulong, depth: s32, walk: mm_walk) -> s32:
    """pagemap_pte_hole(): nothing is there."""
    for _ in range(start, end, PAGE_SIZE):
        add_to_pagemap(0, 0)
    return 0


def pagemap_pmd_range(pmd: pmd_t, addr: ulong, end: ulong, walk: mm_walk) -> s32:
    """pagemap_pmd_range(): the pages of a huge page, or each PTE."""
    vma = walk.vma
    if vma is None:
        return 0
    ptl = pmd_trans_huge_lock(pmd, vma)
    if ptl is not None:
        entry = pmdp_get(pmd)
        for page in range(addr, end, PAGE_SIZE):
            add_entry(vma, page, page_of_huge(entry, page))
        spin_unlock(ptl)
        return 0
    map = pte_maps.current
    if pte_offset_map_lock(walk.mm, pmd, addr, map) is None:
        walk.action = ACTION_AGAIN
        return 0
    for page in range(addr, end, PAGE_SIZE):
        add_entry(vma, page, ptep_get(mapped_pte(map, page)))
    pte_unmap_unlock(map)
    cond_resched()
    return 0


def add_entry(vma: vm_area_struct, addr: ulong, pte: pte_t) -> None:
    """pte_to_pagemap_entry() and add_to_pagemap()."""
    flags = pte_to_pagemap_entry(vma, addr, pte)
    add_to_pagemap(flags, pte_pfn(pte) if flags != 0 else 0)


def page_of_huge(entry: pmdval_t, addr: ulong) -> pte_t:
    """What a PTE would say of one page of a huge page."""
    return entry.replace(pfn=entry.pfn + pfn_t(addr % HPAGE_PMD_NR()))


pagemap_ops = mm_walk_ops(
    pmd_entry=pagemap_pmd_range, pte_hole=pagemap_pte_hole, walk_lock=PGWALK_RDLOCK
)


def pagemap_read(mm: mm_struct, start: ulong, end: ulong) -> s32:
    """One round of pagemap_read(), of PAGEMAP_WALK_PAGES at most: into ``pm``."""
    pm.pos = 0
    mmap_read_lock(mm)
    err = walk_page_range(mm, start, end, pagemap_ops)
    mmap_read_unlock(mm)
    return err


def smap_gather_stats(vma: vm_area_struct) -> None:
    """smap_gather_stats(): all pages of a mapping, into ``mss``; mmap_lock is held."""
    mss.resident = 0
    mss.shared_clean = 0
    mss.shared_dirty = 0
    mss.private_clean = 0
    mss.private_dirty = 0
    mss.anonymous = 0
    mss.anonymous_thp = 0
    mss.pss = 0
    mss.pss_dirty = 0
    walk_page_vma(vma, smaps_walk_ops)


def smaps_pte_range(pmd: pmd_t, addr: ulong, end: ulong, walk: mm_walk) -> s32:
    """smaps_pte_range(): the pages of a huge page (smaps_pmd_entry()), or each PTE."""
    vma = walk.vma
    if vma is None:
        return 0
    ptl = pmd_trans_huge_lock(pmd, vma)
    if ptl is not None:
        entry = pmdp_get(pmd)
        for page in range(addr, end, PAGE_SIZE):
            smaps_pte_entry(vma, page, page_of_huge(entry, page))
        spin_unlock(ptl)
        return 0
    map = pte_maps.current
    if pte_offset_map_lock(walk.mm, pmd, addr, map) is None:
        walk.action = ACTION_AGAIN
        return 0
    for page in range(addr, end, PAGE_SIZE):
        smaps_pte_entry(vma, page, ptep_get(mapped_pte(map, page)))
    pte_unmap_unlock(map)
    cond_resched()
    return 0


smaps_walk_ops = mm_walk_ops(pmd_entry=smaps_pte_range, walk_lock=PGWALK_RDLOCK)


def smaps_pte_entry(vma: vm_area_struct, addr: ulong, ptent: pte_t) -> None:
    """smaps_pte_entry(): nothing is swapped out."""
    if pte_present(ptent) and not is_zero_pte(ptent) and not is_huge_zero(ptent):
        page = vm_normal_page(vma, addr, ptent)
        if Thp.anonymous and ptent.huge and PageAnon(page):  # smaps_pmd_entry()
            mss.anonymous_thp += PAGE_BYTES
        smaps_account(page, pte_dirty(ptent))


def smaps_account(page: folio, dirty: bool) -> None:
    """smaps_account(), of one page."""
    if PageAnon(page):
        mss.anonymous += PAGE_BYTES
    mss.resident += PAGE_BYTES
    mapcount = u64(folio_precise_page_mapcount(page_folio(page), page))
    pss: u64 = PAGE_BYTES << PSS_SHIFT
    if mapcount >= 2:
        pss = pss // mapcount
    smaps_page_accumulate(page, pss, dirty, mapcount < 2)


def smaps_page_accumulate(page: folio, pss: u64, dirty: bool, private: bool) -> None:
    """smaps_page_accumulate()."""
    mss.pss += pss
    if dirty or folio_test_dirty(page_folio(page)):
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
    folio = page_folio(page)
    if folio_test_large(folio):
        flags = flags | KPF_THP | (KPF_COMPOUND_HEAD if page is folio else KPF_COMPOUND_TAIL)
    if Thp.anonymous and is_huge_zero_folio(folio):
        return flags | KPF_ZERO_PAGE
    if folio_mapped(folio):
        flags = flags | KPF_MMAP
    if PageAnon(folio):
        flags = flags | KPF_ANON | KPF_SWAPBACKED
    mapping = folio.mapping
    if mapping is not None and mapping.shmem:
        flags = flags | KPF_SWAPBACKED
    if folio_test_dirty(folio):
        flags = flags | KPF_DIRTY
    return flags
