"""What keeps a table of PTEs from going away under who walks it, and who takes it away.

    Protection      a walker's table stays because of           a table goes
    CLASSIC         mmap_lock, or the lock of an rmap           under both, for writing
    FALLIBLE        RCU, and a second look under the PTL        under PML and PTL, after RCU
    PTE_REFCOUNT    a reference to the table                    with the last of them
    MM_RWSEM        a semaphore of the mm, for reading          the same, for writing
    PMD_RWSEM       one of the PMD entry, for reading           the same, for writing
    READ_OR_PTL     that of the mm, or the PTL                  both, for writing
    RED_BLUE        a counter of the table, above zero          below zero
    ATOMIC_UNLESS   the same, of whoever is first               the same
    SCAN            as CLASSIC                                  when somebody has looked at it
    PERCPU_REF      a reference, which its CPU counts alone     when somebody has it counted

CLASSIC is the kernel until v6.4, and FALLIBLE that from v6.5 on.  All else was proposed in
November 2021, while ways were sought to free tables whose entries are all none, but for
PERCPU_REF, of 29 April 2022.
"""

from __future__ import annotations

from enum import Enum

from pagerace.lang import Config
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import ptrs_per_pte


class Protection(Enum):
    """What keeps a table from being freed while somebody walks it: see above."""

    CLASSIC = 0
    FALLIBLE = 1
    PTE_REFCOUNT = 2
    MM_RWSEM = 3
    PMD_RWSEM = 4
    READ_OR_PTL = 5
    RED_BLUE = 6
    ATOMIC_UNLESS = 7
    SCAN = 8
    PERCPU_REF = 9


class Reclaim(Enum):
    """When a table goes that maps nothing, and whose VMA stays.

    NEVER: it stays until munmap().  LAST_PTE: with the last reference to it.  IN_ZAP: a zap
    that has emptied it takes it away, if it never let go of the PTL, or has looked again
    (v6.14 with its fix).  EMPTIED: a
    zap that finds it empty asks the protection for the right to take it away, and looks again.
     IN_ZAP_FIRST: v6.14 as it was merged: it trusts what it has seen.
    SCANNED: somebody who has been asked to looks for empty tables.  AT_ONCE: a zap frees it
    with no regard to anybody, which no kernel does.
    """

    NEVER = 0
    LAST_PTE = 1
    IN_ZAP = 2
    IN_ZAP_FIRST = 3
    SCANNED = 4
    AT_ONCE = 5
    EMPTIED = 6


class TableWalk(Config):
    """The kernel's choice.

    ``locks``: what is for each mm of the locks that MM_RWSEM to ATOMIC_UNLESS need: 1 is one
    for all its tables, and more are found by a hash of what the PMD entry covers.
    ``fair``: who waits to take a table away keeps those away who come later (RED_BLUE).
    ``pml_trylock``: who has a PTL and wants the lock of the PMD
    entry tries; else it waits, against the order of the two."""

    protection: Protection = Protection.CLASSIC
    reclaim: Reclaim = Reclaim.NEVER
    locks: int = 0
    fair: bool = True
    pml_trylock: bool = True


V5_11 = TableWalk()
# Linux kernel commit 0d940a9b270b and commit be872f83bf57 (in v6.5), commit a349d72fd9ef
V6_5 = TableWalk(protection=Protection.FALLIBLE)
# Linux kernel commit 6375e95f381e (in v6.14)
V6_14_FIRST = TableWalk(protection=Protection.FALLIBLE, reclaim=Reclaim.IN_ZAP_FIRST)
V6_14 = TableWalk(protection=Protection.FALLIBLE, reclaim=Reclaim.IN_ZAP)

NAIVE = TableWalk(protection=Protection.FALLIBLE, reclaim=Reclaim.AT_ONCE)
# Qi Zheng, v3 of 10 November 2021
QI_ZHENG_V3 = TableWalk(protection=Protection.PTE_REFCOUNT, reclaim=Reclaim.LAST_PTE)
# Qi Zheng, 29 April 2022
PERCPU_REF = TableWalk(protection=Protection.PERCPU_REF, reclaim=Reclaim.SCANNED)
# David Hildenbrand, November 2021
SCAN = TableWalk(protection=Protection.SCAN, reclaim=Reclaim.SCANNED)
# Jason Gunthorpe, 10 November 2021: a semaphore split out of mmap_lock, or one in the PMD.
MM_RWSEM = TableWalk(protection=Protection.MM_RWSEM, reclaim=Reclaim.EMPTIED, locks=1)
PMD_RWSEM = TableWalk(protection=Protection.PMD_RWSEM, reclaim=Reclaim.EMPTIED, locks=512)
PMD_RWSEM_HASHED = PMD_RWSEM.replace(locks=16)
READ_OR_PTL = MM_RWSEM.replace(protection=Protection.READ_OR_PTL)
# Matthew Wilcox, and Jason Gunthorpe: a lock of two colours, and a counter that is one.
RED_BLUE = MM_RWSEM.replace(protection=Protection.RED_BLUE)
ATOMIC_UNLESS = MM_RWSEM.replace(protection=Protection.ATOMIC_UNLESS)


def tables_vanish() -> bool:
    """May a table go away under mmap_lock for reading, so that a function finds none?"""
    if TableWalk.protection is Protection.CLASSIC:
        return False
    return TableWalk.protection is not Protection.SCAN


def table_entries_are_counted() -> bool:
    """Has a table a reference for each entry that is not none, and for each walker?"""
    return tables_have_a_counter() or tables_have_counters_of_cpus()


def tables_have_a_counter() -> bool:
    """Is it one counter, which is zero when the table is to go?"""
    return TableWalk.protection is Protection.PTE_REFCOUNT


def tables_have_counters_of_cpus() -> bool:
    """Or has each CPU its own, until somebody asks what they come to?"""
    return TableWalk.protection is Protection.PERCPU_REF


def table_lock_count() -> int:
    """The locks that an mm has for its tables: none is of no table."""
    return min(TableWalk.locks, Machine.pages // ptrs_per_pte())


def tables_are_locked() -> bool:
    """Is there a lock of the tables, which walkers share, and that the rest is kept out by?"""
    return TableWalk.locks != 0
