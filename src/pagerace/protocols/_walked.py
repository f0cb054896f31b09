"""Memory that is walked: the set-up, what goes on beside the walk, and what must hold.

It is anonymous.  A huge page is mapped, or PTEs map pages, or nothing is.  One walk goes over
all of it, or a part, with mmap_lock held for reading: so faults, zaps and splits go on.
"""

from __future__ import annotations

from enum import Enum

from pagerace.lang import Config
from pagerace.machine.memory import Machine, frames, ulong
from pagerace.machine.pgtable import pfn_pte, pte_pfn, pte_present, set_pte
from pagerace.machine.tables import (
    pfn_pmd,
    pmd_none,
    pmd_page_vaddr,
    pmd_t,
    pmd_trans_huge,
    pmdp_get,
    set_pmd,
)
from pagerace.mm.fault import do_user_addr_fault
from pagerace.mm.huge_memory import split_huge_pmd
from pagerace.mm.lockdep import LockClass
from pagerace.mm.madvise import madvise_dontneed
from pagerace.mm.mm_types import (
    FAULT_FLAG_WRITE,
    Thp,
    address_space,
    folio,
    mm_struct,
    page_to_pfn,
    ptdescs,
)
from pagerace.mm.mmap import find_vma, mmap_region
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.page_alloc import alloc_page, folio_alloc
from pagerace.mm.page_flags import mapcount_inc
from pagerace.mm.pagewalk import walk_page_range, walk_page_range_novma
from pagerace.mm.pagewalk_ops import mm_walk_ops
from pagerace.mm.pgalloc import __pte_alloc_one, pgd_alloc, pmd_populate
from pagerace.mm.pgtable import mm_find_pmd, pgtable_trans_huge_deposit
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR, init_page_table_locks, load_new_mm_cr3
from pagerace.mm.rmap_large import folio_add_rmap_pmd
from pagerace.mm.rwsem import init_rwsem
from pagerace.mm.walk_notes import MORE_THAN_ONCE, Said, asked, walked


class Mapped(Enum):
    """What an entry of the PMD is at first: nothing, a table of PTEs, or a huge page."""

    NOTHING = 0
    PTES = 1
    HUGE = 2


class Walk(Config):
    """``first``: how the memory of the first PMD entry is mapped; ``rest``: that of the others.

    ``inner``: the walk leaves out the first page and the last.
    """

    first: Mapped = Mapped.HUGE
    rest: Mapped = Mapped.HUGE
    inner: bool = False


mm = mm_struct()
mapping = address_space()


def setup() -> None:
    """All of it is one VMA; frame 0 is the zero page."""
    init_rwsem(mm.mmap_lock, LockClass.MMAP_LOCK)
    init_rwsem(mapping.i_mmap_rwsem, LockClass.I_MMAP_RWSEM)
    init_page_table_locks(mm)
    mm.pgd = pgd_alloc(mm)
    for cpu in range(Machine.cpus):
        load_new_mm_cr3(cpu, mm)
    mmap_region(mm, mapping, 0, Machine.pages)
    alloc_page()
    asked.start = 1 if Walk.inner else 0
    asked.end = Machine.pages - 1 if Walk.inner else Machine.pages
    map_pages(0, Walk.first)
    address = ulong(HPAGE_PMD_NR())
    while address < Machine.pages:
        map_pages(address, Walk.rest)
        address += HPAGE_PMD_NR()


def map_pages(address: ulong, how: Mapped) -> None:
    """Map what one PMD entry covers."""
    if how is Mapped.HUGE:
        map_huge(address, folio_alloc(1))
    elif how is Mapped.PTES:
        map_table(address)


def map_huge(address: ulong, page: folio | None) -> None:
    """By the PMD entry; a split of it finds the table that it needs."""
    pmd = mm_find_pmd(mm, address)
    if page is not None and pmd is not None:
        if Thp.anonymous:
            deposit_table(pmd)
            vma = find_vma(mm, address)
            if vma is not None:
                folio_add_rmap_pmd(page, vma)
        else:
            mapcount_inc(page)
        set_pmd(pmd, pfn_pmd(page_to_pfn(page), False))


def deposit_table(pmd: pmd_t) -> None:
    """A table for when the huge page is split."""
    table = __pte_alloc_one(mm)
    if table is not None:
        pgtable_trans_huge_deposit(mm, pmd, table)


def map_table(address: ulong) -> None:
    """By PTEs, each of a page."""
    pmd = mm_find_pmd(mm, address)
    table = __pte_alloc_one(mm)
    if pmd is not None and table is not None:
        pmd_populate(mm, pmd, table)
        for n in range(HPAGE_PMD_NR()):
            page = alloc_page()
            if page is not None:
                mapcount_inc(page)
                set_pte(table.pte[n], pfn_pte(page_to_pfn(page), True))


def walk(ops: mm_walk_ops) -> None:
    """Thread: the walk, as its users in mm/ and fs/proc/ begin it."""
    mmap_read_lock(mm)
    walk_page_range(mm, asked.start, asked.end, ops)
    mmap_read_unlock(mm)


def walk_kernel(ops: mm_walk_ops) -> None:
    """Thread: who dumps the kernel's own tables, where no VMA is (ptdump_walk_pgd())."""
    mmap_read_lock(mm)
    walk_page_range_novma(mm, asked.start, asked.end, ops)
    mmap_read_unlock(mm)


def fault_at(address: ulong) -> None:
    """Thread: a read fault.  The zero page comes where nothing is, with a table for it."""
    do_user_addr_fault(mm, address, 0)


def write_fault_at(address: ulong) -> None:
    """Thread: a write fault: a page of its own comes."""
    do_user_addr_fault(mm, address, FAULT_FLAG_WRITE)


def zap() -> None:
    """Thread: MADV_DONTNEED of all of it."""
    madvise_dontneed(mm, 0)


def split() -> None:
    """Thread: somebody needs PTEs in the place of the first huge page, as mprotect() of a part
    of it does (which holds mmap_lock for writing, and this does not: so does reclaim)."""
    vma = find_vma(mm, 0)
    pmd = mm_find_pmd(mm, 0)
    if vma is not None and pmd is not None:
        split_huge_pmd(vma, pmd, 0)


def handled_at_most_once() -> bool:
    """T5-S1: no page is handled twice in one walk."""
    for page in range(Machine.pages):
        if walked.reports[page] == MORE_THAN_ONCE:
            return False
    return True


def handled_at_least_once() -> bool:
    """T5-S1, when the walk has come to its end: each page that it was asked about is
    handled, or was told to be a hole."""
    if not walked.ended:
        return True
    for page in range(Machine.pages):
        if asked.start <= page and page < asked.end and walked.reports[page] == 0:
            return False
    return True


def what_is_mapped_is_no_hole() -> bool:
    """T5-S2, where nobody unmaps anything: what is said was so at some time."""
    for page in range(Machine.pages):
        if walked.said[page] is Said.HOLE:
            return False
    return True


def ptes_are_in_a_table() -> bool:
    """T5-S3: no pointer to a PTE comes from an entry that was none or huge."""
    return not walked.leaf


def ptes_come_with_their_lock() -> bool:
    """T5-S4: who is given a PTE has the PTL of the table that is linked at that time."""
    return not walked.unlocked


def continue_is_the_last_word() -> bool:
    """T5-S5: what pmd_entry has answered CONTINUE about, pte_entry is not asked about."""
    return not walked.below


def an_error_is_the_last_word() -> bool:
    """T5-S5: a callback that fails is the last one, and the walk returns what it did."""
    return not walked.late and not walked.wrong_error


def no_needless_split() -> bool:
    """T5-S6: the walk splits for pte_entry, and not against the word of pmd_entry."""
    return not walked.needless


def keeps_to_its_range() -> bool:
    """T5-S9: nothing is said of a page that the walk was not asked about."""
    return not walked.outside


def begins_again_for_a_reason() -> bool:
    """T5-P1: each time that an entry is begun again, it had changed."""
    return walked.agains <= walked.changes


def begins_again_once() -> bool:
    """T5-P2, where nobody interferes with one PMD entry: at most one more round."""
    return walked.agains <= 1


def kernel_tables_are_not_locked() -> bool:
    """T5-S4 of tables without a lock, which are the kernel's: nobody asks for it."""
    for table in ptdescs:
        if table.ptl.locked:
            return False
    return True


def said_to_be_a_hole() -> bool:
    """Sometimes: a page is not there any more when the walk comes to it."""
    return any_said(Said.HOLE)


def handled_as_huge() -> bool:
    """Sometimes: a huge page is handled as one."""
    return any_said(Said.HUGE)


def handled_as_ptes() -> bool:
    """Sometimes: the walk gets down to PTEs."""
    return any_said(Said.PTE)


def any_said(what: Said) -> bool:
    """Has it been said of any page?"""
    for page in range(Machine.pages):
        if walked.said[page] is what:
            return True
    return False


def an_entry_is_begun_again() -> bool:
    """Sometimes: an entry changes under the walk, and is begun again."""
    return walked.agains != 0


def what_is_mapped_is_in_use() -> bool:
    """T5-S2, of callbacks that write: what a zap has cleared is not written back."""
    pmd = mm_find_pmd(mm, 0)
    if pmd is None or pmd_none(pmdp_get(pmd)) or pmd_trans_huge(pmdp_get(pmd)):
        return True
    for slot in pmd_page_vaddr(pmdp_get(pmd)).pte:
        if pte_present(slot.value) and not frames.allocated(frames[pte_pfn(slot.value)]):
            return False
    return True
