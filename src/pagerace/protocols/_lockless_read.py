"""Readers of page tables without a lock: the set-up and the threads of such claims.

CPU 0 zaps, CPU 1 touches what was zapped, CPU 2 reads the entry with its interrupts off.
Frame 0 belongs to somebody else, so that a read that makes frame 0 of another frame's entry
gets what it must not get.
"""

from __future__ import annotations

from pagerace.lang import Struct
from pagerace.machine.cpu import cpus
from pagerace.machine.entry import unwatch_entry, was_held, was_held_pfn, watch_entry, watched
from pagerace.machine.irq import local_irq_restore, local_irq_save
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pte_mkyoung, pte_present, ptep_get, set_pte
from pagerace.mm.fault import user_load
from pagerace.mm.gup import lockless_pages_from_mm, page_lists
from pagerace.mm.madvise import madvise_dontneed
from pagerace.mm.mm_types import page_to_pfn
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.pgtable_levels import load_new_mm_cr3
from pagerace.mm.pgtable_lockless import ptep_get_lockless
from pagerace.mm.swap import put_page
from pagerace.protocols import _shared_file
from pagerace.protocols._shared_file import mapping, mm, pte_at, the_entry


class findings(Struct):
    """What a reader got though it was never there: a value, a page."""

    torn_value: bool
    wrong_page: bool


found = findings()


def setup() -> None:
    """A file of one page, in the last frame, mapped as a read fault leaves it."""
    for _ in range(Machine.frames - 1):
        alloc_page()
    _shared_file.setup()
    load_new_mm_cr3(1, mm)
    mm.cpu_bitmap |= 2
    watched.ptep = the_entry()
    set_pte(watched.ptep, pte_mkyoung(ptep_get(watched.ptep)))


def zap() -> None:
    """Thread: MADV_DONTNEED."""
    madvise_dontneed(mm, 0)


def touch() -> None:
    """Thread: a user thread loads from the page."""
    user_load(mm, 0)


def touch_zap_touch() -> None:
    """Thread: a user thread that also zaps."""
    user_load(mm, 0)
    madvise_dontneed(mm, 0)
    user_load(mm, 0)


def read_entry() -> None:
    """Thread: ptep_get_lockless() of a user that does not look again."""
    ptep = the_entry()
    flags = local_irq_save()
    watch_entry()
    pte = ptep_get_lockless(ptep)
    held = unwatch_entry()
    if pte_present(pte) and not was_held(pte, held):
        found.torn_value = True
    local_irq_restore(flags)


def gup_fast() -> None:
    """Thread: get_user_pages_fast(), and put what it got."""
    pages = page_lists.current
    watch_entry()
    nr = lockless_pages_from_mm(mm, 0, 1, 0, pages)
    held = unwatch_entry()
    if nr != 0:
        page = pages.page[0]
        if page is not None:
            if not was_held_pfn(page_to_pfn(page), held):
                found.wrong_page = True
            put_page(page)
            pages.page[0] = None
    pages.nr = 0


def no_torn_read() -> bool:
    """T4-S9: a read without a lock, if it gives a present entry, gives one that was there
    at one instant of the read."""
    return not found.torn_value


def no_wrong_page() -> bool:
    """T4-S9, for GUP-fast: the page that it gives was mapped at one instant of the walk."""
    return not found.wrong_page


def walker_sees_no_half() -> bool:
    """T4-S10: an entry that is present has the right frame, in memory and in each TLB.

    The walker reads memory between any two accesses of the kernel.
    """
    folio = mapping.i_pages[0]
    pte = pte_at(0)
    if folio is None:
        return True
    if pte.present and pte.pfn != page_to_pfn(folio):
        return False
    for cpu in cpus:
        if cpu.tlb[0].present and cpu.tlb[0].pfn != page_to_pfn(folio):
            return False
    return True


def entry_goes_while_it_is_read() -> bool:
    """Sometimes: a read has begun, and the entry that it reads is none."""
    return watched.watching and not pte_at(0).present
