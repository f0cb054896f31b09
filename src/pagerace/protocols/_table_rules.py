"""What must hold of page tables while faults fill them: the properties T1-S2, S4, S5, S12.

Where a property speaks of a lock that nobody holds, what it guards is as it was left.
"""

from __future__ import annotations

from pagerace.machine.memory import Machine, count_t
from pagerace.machine.pgtable import page_table, pfn_pte, pte_none, pte_pfn, pte_present, pte_t
from pagerace.machine.tables import page_tables, pmd_none, pmd_page_vaddr, pmd_trans_huge
from pagerace.mm.atomic import atomic_read
from pagerace.mm.mm_types import mem_map, ptdescs
from pagerace.mm.page_flags import folio_mapcount
from pagerace.mm.spinlock import spin_is_locked
from pagerace.protocols._file_fault import mm, pmd_of, pte_at, setup
from pagerace.protocols._mapped_pages import entries_of

MARKED = 1  # the page whose entry is a marker


def setup_dirty_tables() -> None:
    """The same, and each free table has entries of the last frame, which nobody uses."""
    setup()
    for _ in range(len(page_tables)):
        table = page_tables.alloc()
        if table is not None:
            for slot in table.pte:
                slot.value = pfn_pte(Machine.frames - 1, False)
    for table in page_tables:
        page_tables.free(table)


def setup_marker() -> None:
    """The same, and the entry of page 1 is no page: it says that the page is poisoned."""
    setup()
    table = linked_table()
    if table is not None:
        table.pte[MARKED].value = pte_t(dirty=True)


def linked_table() -> page_table | None:
    """The table that the PMD entry points to."""
    pmd = pmd_of()
    if pmd_none(pmd) or pmd_trans_huge(pmd):
        return None
    return pmd_page_vaddr(pmd)


def a_table_is_linked_once() -> bool:
    """T1-S2: a linked table is in use, and ``nr_ptes`` counts it while nobody holds the lock
    of the PMD entries: an entry that was not none is never overwritten."""
    table = linked_table()
    linked: count_t = 0
    if table is not None:
        if not page_tables.allocated(table):
            return False
        linked = 1
    return spin_is_locked(mm.page_table_lock) or atomic_read(mm.nr_ptes) == linked


def a_new_table_is_empty() -> bool:
    """T1-S4: who reaches a table finds nothing of what its frame held before: the entry
    that setup_dirty_tables() leaves there."""
    for address in range(Machine.pages):
        pte = pte_at(address)
        if pte_present(pte) and pte_pfn(pte) == Machine.frames - 1:
            return False
    return True


def entries_change_under_their_ptl() -> bool:
    """T1-S5: while nobody holds the PTL of the linked table, or the lock of the PMD entries,
    each page has as many entries as its mapcount says.

    do_set_pte() counts before it sets.  Who sets an entry under no lock, or in a table that
    is not linked any more, or over another entry, leaves the two different.
    """
    table = linked_table()
    if spin_is_locked(mm.page_table_lock):
        return True
    if table is not None and spin_is_locked(ptdescs[page_tables.index(table)].ptl):
        return True
    for pfn in range(Machine.frames):
        if mem_map[pfn].compound_head is None:
            if folio_mapcount(mem_map[pfn]) != entries_of(pfn):
                return False
    return True


def a_marker_stays() -> bool:
    """T1-S12: fault-around leaves alone what is not none, though no page is there."""
    pte = pte_at(MARKED)
    return not pte_none(pte) and not pte_present(pte)
