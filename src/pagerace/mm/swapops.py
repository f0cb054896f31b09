"""Entries that are not none, and map nothing: include/linux/swapops.h, mm/migrate.c.

Their bits mean something else than in an entry that is present: ``dirty`` is a marker, and
``accessed`` a page that is being migrated.
"""

from __future__ import annotations

from pagerace.lang import Config, wait_until
from pagerace.machine.memory import pfn_t
from pagerace.machine.pgtable import pte_present, pte_same, pte_t
from pagerace.mm.mm_types import vm_fault
from pagerace.mm.sched import might_sleep


class Swap(Config):
    """``markers``: there are such entries."""

    markers: bool = False


def make_pte_marker() -> pte_t:
    """make_pte_marker() of include/linux/swapops.h: PTE_MARKER_POISONED."""
    return pte_t(dirty=True)


def is_pte_marker(pte: pte_t) -> bool:
    """is_pte_marker() of include/linux/swapops.h."""
    return not pte_present(pte) and pte.dirty


def make_migration_entry(pfn: pfn_t) -> pte_t:
    """make_readable_migration_entry() of include/linux/swapops.h."""
    return pte_t(accessed=True, pfn=pfn)


def is_migration_entry(pte: pte_t) -> bool:
    """is_migration_entry() of include/linux/swapops.h."""
    return not pte_present(pte) and pte.accessed


def migration_entry_wait(vmf: vm_fault) -> None:
    """migration_entry_wait() of mm/migrate.c: until the entry is another one.

    The kernel waits for the lock of the folio, which whoever migrates it holds.
    """
    might_sleep()
    wait_until(not pte_same(vmf.pte.value, vmf.orig_pte))
