"""What is called on a walk: callbacks of one kind, and the answers that were proposed.

A huge page is handled under its lock.  What is none, or huge again by then, is unstable; what
is a table is left to pte_entry, which is called for each PTE.
"""

from __future__ import annotations

from pagerace.lang import s32
from pagerace.machine.memory import ulong
from pagerace.machine.pgtable import (
    pte_present,
    pte_slot,
    pte_wrprotect,
    ptep_get,
    set_pte,
)
from pagerace.machine.tables import pmd_none, pmd_t, pmd_trans_huge, pmdp_get
from pagerace.mm.errno import EAGAIN, EINVAL
from pagerace.mm.huge_memory import pmd_trans_huge_lock
from pagerace.mm.pagewalk_ops import (
    ACTION_AGAIN,
    ACTION_CONTINUE,
    PAGE_WALK_FALLBACK,
    PAGE_WALK_HANDLED,
    PAGE_WALK_RETRY,
    mm_walk,
    mm_walk_ops,
)
from pagerace.mm.sched import cond_resched
from pagerace.mm.spinlock import spin_unlock
from pagerace.mm.walk_notes import handled


def handle_huge(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> bool:
    """Do the work, if a huge page is there: True."""
    vma = walk.vma
    if vma is None:
        return False
    ptl = pmd_trans_huge_lock(pmd, vma)
    if ptl is None:
        return False
    handled(addr, next)
    spin_unlock(ptl)
    return True


def is_unstable(pmd: pmd_t) -> bool:
    """Is it no table, as read in one shot?"""
    entry = pmdp_get(pmd)
    return pmd_none(entry) or pmd_trans_huge(entry)


def pte_entry(pte: pte_slot, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """Do the work, for one PTE."""
    handled(addr, next)
    return 0


def zero(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """0, whatever there was."""
    handle_huge(pmd, addr, next, walk)
    return 0


def fallback(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """0: handled.  PAGE_WALK_FALLBACK: a table, or unstable."""
    return 0 if handle_huge(pmd, addr, next, walk) else PAGE_WALK_FALLBACK


def unstable_is_done(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """0: handled, or unstable.  PAGE_WALK_FALLBACK: a table."""
    if handle_huge(pmd, addr, next, walk) or is_unstable(pmd):
        return 0
    return PAGE_WALK_FALLBACK


def positive(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """More than 0: handled.  0: a table, or unstable."""
    return PAGE_WALK_HANDLED if handle_huge(pmd, addr, next, walk) else 0


def retry(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """0: handled, or a table.  PAGE_WALK_RETRY: unstable."""
    if not handle_huge(pmd, addr, next, walk) and is_unstable(pmd):
        return PAGE_WALK_RETRY
    return 0


def eagain(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """More than 0: handled.  0: a table.  -EAGAIN: unstable."""
    if handle_huge(pmd, addr, next, walk):
        return PAGE_WALK_HANDLED
    return -EAGAIN if is_unstable(pmd) else 0


def locked(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """Called of huge pages only, with their lock."""
    handled(addr, next)
    return 0


def locked_and_sleeps(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """The same, with so much to do that others have to get the CPU meanwhile."""
    cond_resched()
    handled(addr, next)
    return 0


def action(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """CONTINUE: handled.  SUBTREE, which it is at first: a table.  AGAIN: unstable."""
    if handle_huge(pmd, addr, next, walk):
        walk.action = ACTION_CONTINUE
    elif is_unstable(pmd):
        walk.action = ACTION_AGAIN
    return 0


def leave_tables(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """CONTINUE: handled.  Of a table it says nothing, and SUBTREE is what the walker takes."""
    if handle_huge(pmd, addr, next, walk):
        walk.action = ACTION_CONTINUE
    return 0


def again_for_a_table(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """AGAIN for all that is no huge page, which a table never becomes."""
    walk.action = ACTION_CONTINUE if handle_huge(pmd, addr, next, walk) else ACTION_AGAIN
    return 0


def whole_table(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """The PTEs as well, without help, as most users do.  CONTINUE: that is done."""
    if not is_unstable(pmd):
        handled(addr, next)
        walk.action = ACTION_CONTINUE
    return 0


def fail(pte: pte_slot, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """The second page is too much for it."""
    if addr == 1:
        return -EINVAL
    handled(addr, next)
    return 0


def fail_at_once(pte: pte_slot, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """Any page is."""
    return -EINVAL


def write_protect(pte: pte_slot, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    """Read, modify, write: it needs the lock that others take."""
    entry = ptep_get(pte)
    if pte_present(entry):
        set_pte(pte, pte_wrprotect(entry))
    return 0


ZERO = mm_walk_ops(pmd_entry=zero, pte_entry=pte_entry)
FALLBACK = mm_walk_ops(pmd_entry=fallback, pte_entry=pte_entry)
UNSTABLE_IS_DONE = mm_walk_ops(pmd_entry=unstable_is_done, pte_entry=pte_entry)
POSITIVE = mm_walk_ops(pmd_entry=positive, pte_entry=pte_entry)
RETRY = mm_walk_ops(pmd_entry=retry, pte_entry=pte_entry)
KIRILL = mm_walk_ops(pmd_entry=eagain, pte_entry=pte_entry)
ACTION = mm_walk_ops(pmd_entry=action, pte_entry=pte_entry)
LOCKED = mm_walk_ops(pmd_entry=locked, pte_entry=pte_entry)
LOCKED_AND_SLEEPS = mm_walk_ops(pmd_entry=locked_and_sleeps, pte_entry=pte_entry)
PTES = mm_walk_ops(pte_entry=pte_entry)
HUGE_ONLY = mm_walk_ops(pmd_entry=action)
LEAVES_TABLES = mm_walk_ops(pmd_entry=leave_tables, pte_entry=pte_entry)
AGAIN_FOR_A_TABLE = mm_walk_ops(pmd_entry=again_for_a_table, pte_entry=pte_entry)
WHOLE_TABLE = mm_walk_ops(pmd_entry=whole_table, pte_entry=pte_entry)
FAILS = mm_walk_ops(pte_entry=fail)
FAILS_AT_ONCE = mm_walk_ops(pte_entry=fail_at_once)
WRITE_PROTECT = mm_walk_ops(pte_entry=write_protect)
