"""Anonymous memory that is zapped and touched while an entry is read without a lock.

CPU 0 zaps, CPU 1 loads and zaps, CPU 3 stores, CPU 2 reads the entry with its interrupts
off.  Frame 0 belongs to somebody else, frame 1 is the zero page.
"""

from __future__ import annotations

from pagerace.lang import Struct
from pagerace.machine.entry import Watch, unwatch_entry, was_held, watch_entry, watched
from pagerace.machine.irq import local_irq_restore, local_irq_save
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pte_present, set_pte
from pagerace.mm.anon import is_zero_pte, mk_anon_pte, page_add_new_anon_rmap
from pagerace.mm.fault import user_load, user_store
from pagerace.mm.lockdep import LockClass
from pagerace.mm.madvise import madvise_dontneed
from pagerace.mm.mm_types import vm_area_cachep
from pagerace.mm.mmap import mmap_region
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.pgtable_levels import load_new_mm_cr3, make_page_tables
from pagerace.mm.pgtable_lockless import ptep_get_lockless
from pagerace.mm.rwsem import init_rwsem
from pagerace.protocols._lockless_read import found
from pagerace.protocols._shared_file import mapping, mm, the_entry


class mixtures(Struct):
    """``writable_zero``: a reader got the zero page with the right to write to it."""

    writable_zero: bool


mixed = mixtures()


def setup() -> None:
    """One page, which a store has left writable and dirty."""
    init_rwsem(mm.mmap_lock, LockClass.MMAP_LOCK)
    make_page_tables(mm)
    mmap_region(mm, mapping, 0, Machine.pages)
    for cpu in range(Machine.cpus):
        load_new_mm_cr3(cpu, mm)
    mm.cpu_bitmap = 15
    alloc_page()
    alloc_page()
    page = alloc_page()
    watched.ptep = the_entry()
    if page is not None:
        page_add_new_anon_rmap(page, vm_area_cachep[0], 0)
        set_pte(watched.ptep, mk_anon_pte(page))


def zap() -> None:
    """Thread: MADV_DONTNEED."""
    madvise_dontneed(mm, 0)


def load_and_zap() -> None:
    """Thread: a load, which maps the zero page where nothing is, and MADV_DONTNEED."""
    user_load(mm, 0)
    madvise_dontneed(mm, 0)


def store() -> None:
    """Thread: a store, which maps a page of its own."""
    user_store(mm, 0)


def read_entry() -> None:
    """Thread: ptep_get_lockless() of a user that does not look again."""
    ptep = the_entry()
    flags = local_irq_save()
    watch_entry()
    pte = ptep_get_lockless(ptep)
    held = unwatch_entry()
    if Watch.entries and pte_present(pte) and not was_held(pte, held):
        found.torn_value = True
    if pte.writable and is_zero_pte(pte):
        mixed.writable_zero = True
    local_irq_restore(flags)


def no_writable_zero_page() -> bool:
    """T4-S9, of two entries: a read does not give the rights of one page with the frame of
    another: the zero page is never writable."""
    return not mixed.writable_zero
