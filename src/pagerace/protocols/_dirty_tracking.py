"""What must hold of dirty pages: the properties T4-S1 to T4-S8 of shared file mappings.

Where a property speaks of TLBs, it means those of CPUs that execute user code.  A virtual
CPU that is preempted, or one in lazy TLB mode, may have entries as stale as they like: it
flushes before it goes on.
"""

from __future__ import annotations

from pagerace.lang import u3
from pagerace.machine.cpu import cpus, runs_user_code
from pagerace.machine.memory import Machine, disk, frames, pfn_t, ulong
from pagerace.machine.pgtable import pte_dirty, pte_pfn, pte_present, pte_t, pte_write
from pagerace.mm.bug import warned
from pagerace.mm.mm_types import mem_map, page_to_pfn
from pagerace.mm.page_flags import (
    folio_mapcount,
    folio_mapped,
    folio_ref_count,
    folio_test_dirty,
    folio_test_locked,
    folio_test_writeback,
)
from pagerace.protocols._shared_file import (
    fsynced,
    logs,
    mapping,
    newest,
    pte_at,
    ptl_is_held,
)


def every_store_survives() -> bool:
    """T4-S1, at the end: each store is on disk, or in the cache with a dirty bit."""
    for index in range(Machine.pages):
        stored: u3 = 0
        for log in logs:
            stored += log.stored[index]
        if newest(index) != stored or not written_or_dirty(index):
            return False
    return True


def written_or_dirty(index: ulong) -> bool:
    """Is page ``index`` on disk as it is, or has it a dirty bit that is looked at?"""
    folio = mapping.i_pages[index]
    if folio is None:
        return True
    pfn = page_to_pfn(folio)
    return (
        frames[pfn].content == disk.block[index]
        or folio_test_dirty(folio)
        or (pte_dirty(pte_at(index)) and folio_mapped(folio))
    )


def no_lost_write() -> bool:
    """T4-S1, at every step: content that is not on disk has a dirty bit, or somebody who
    is not done: writeback, or a zapper with the PTL and with the rmap still in place."""
    for index in range(Machine.pages):
        folio = mapping.i_pages[index]
        if folio is not None and not written_or_dirty(index):
            writeback = folio_test_locked(folio) or folio_test_writeback(folio)
            zapper = ptl_is_held() and folio_mapped(folio)
            if not writeback and not zapper:
                return False
    return True


def ptl_covers_the_flush() -> bool:
    """T4-S2: while nobody holds the PTL, no TLB has a dirty entry that its PTE has not.

    A clean copy of a dirty PTE that is gone is let pass: a store through it looks at the PTE
    and faults.  That the folio was marked dirty by then is left to no_lost_write().
    """
    if ptl_is_held():
        return True
    for cpu in cpus:
        for address in range(Machine.pages):
            entry = cpu.tlb[address]
            pte = pte_at(address)
            if entry.dirty and runs_user_code(cpu) and not marks_dirty(pte, entry.pfn):
                return False
    return True


def ptl_covers_every_flush() -> bool:
    """T4-S2, of clean entries too: while nobody holds the PTL, each TLB entry has its PTE.

    No PTE goes from present to none and to present again without a flush in between.  The
    kernel promises it for dirty entries only.
    """
    if ptl_is_held():
        return True
    for cpu in cpus:
        for address in range(Machine.pages):
            entry = cpu.tlb[address]
            pte = pte_at(address)
            mapped = pte_present(pte) and pte_pfn(pte) == entry.pfn
            if entry.present and runs_user_code(cpu) and not mapped:
                return False
    return True


def marks_dirty(pte: pte_t, pfn: pfn_t) -> bool:
    """Does the PTE map the frame, and say that it is dirty?"""
    return pte_present(pte) and pte_dirty(pte) and pte_pfn(pte) == pfn


def rmap_outlives_translations() -> bool:
    """T4-S3: a page that some TLB can still write to, unasked, has its rmap."""
    for cpu in cpus:
        for address in range(Machine.pages):
            entry = cpu.tlb[address]
            if entry.dirty and runs_user_code(cpu) and not folio_mapped(mem_map[entry.pfn]):
                return False
    return True


def mapcount_is_exact() -> bool:
    """T4-S4: the mapcount is never below the number of PTEs, and equal to it while nobody
    holds the PTL: each delayed rmap is removed, once."""
    for pfn in range(Machine.frames):
        mapcount = folio_mapcount(mem_map[pfn])
        if mapcount < ptes_of(pfn):
            return False
        if not ptl_is_held() and mapcount != ptes_of(pfn):
            return False
    return True


def ptes_of(pfn: pfn_t) -> u3:
    """The number of PTEs that map a frame."""
    count: u3 = 0
    for address in range(Machine.pages):
        pte = pte_at(address)
        if pte_present(pte) and pte_pfn(pte) == pfn:
            count += 1
    return count


def reference_outlives_translations() -> bool:
    """T4-S5: no TLB translates to a free frame; each rmap entry has a reference."""
    for cpu in cpus:
        for address in range(Machine.pages):
            entry = cpu.tlb[address]
            usable = entry.present and runs_user_code(cpu)
            if usable and not frames.allocated(frames[entry.pfn]):
                return False
    for pfn in range(Machine.frames):
        if folio_ref_count(mem_map[pfn]) < folio_mapcount(mem_map[pfn]):
            return False
    return True


def dirtied_locked_or_mapped() -> bool:
    """T4-S6: whoever sets a folio dirty holds its lock, or finds it mapped."""
    return not warned.dirtied_unmapped


def no_ext4_warning() -> bool:
    """T4-S6 as ext4_dirty_folio() checks it: the folio is locked, or dirty already."""
    return not warned.ext4_dirty_folio


def no_store_behind_mkclean() -> bool:
    """T4-S8: while a folio is clean, no CPU can store to it without a write fault.

    folio_mkclean() brings that about, and the fault marks the folio dirty before it makes
    the PTE writable.
    """
    for cpu in cpus:
        for address in range(Machine.pages):
            entry = cpu.tlb[address]
            pte = pte_at(address)
            if entry.dirty and runs_user_code(cpu) and not folio_test_dirty(mem_map[entry.pfn]):
                return False
            if pte_write(pte) and not folio_test_dirty(mem_map[pte_pfn(pte)]):
                return False
    return True


def fsync_keeps_its_promise() -> bool:
    """What is stored before fsync() is called is on disk when it returns."""
    return not fsynced.broken


def a_stale_entry_is_dirty() -> bool:
    """Sometimes: a PTE is gone, and a TLB can still store without looking at it."""
    for cpu in cpus:
        for address in range(Machine.pages):
            if cpu.tlb[address].dirty and not pte_at(address).present:
                return True
    return False


def a_page_is_reclaimed() -> bool:
    """Sometimes: a page leaves the page cache."""
    for index in range(Machine.pages):
        if mapping.i_pages[index] is None:
            return True
    return False
