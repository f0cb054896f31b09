"""The levels of a walk: walk_pgd_range() down to walk_pmd_range() of mm/pagewalk.c.

A level that the machine does not have costs nothing, unless there is a callback for it.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from enum import Enum

from pagerace.lang import s32
from pagerace.machine.memory import Machine, ulong
from pagerace.machine.tables import (
    PteTables,
    index_at,
    pages_below,
    pmd_leaf,
    pmd_none,
    pmd_present,
    pmd_t,
    pmdp_get,
    pud_leaf,
    pud_pgtable,
    pud_t,
    upper_table,
)
from pagerace.mm.errno import EAGAIN, ENOMEM
from pagerace.mm.huge_memory import (
    pmd_trans_huge_lock,
    pud_trans_huge_lock,
    split_huge_pmd,
    split_huge_pud,
)
from pagerace.mm.pagewalk_ops import (
    ACTION_AGAIN,
    ACTION_CONTINUE,
    ACTION_SUBTREE,
    PAGE_WALK_FALLBACK,
    PAGE_WALK_RETRY,
    Answer,
    Pagewalk,
    mm_walk,
    mm_walk_ops,
)
from pagerace.mm.pagewalk_pte import walk_pte_range
from pagerace.mm.pgalloc import __pte_alloc, alloc_below
from pagerace.mm.set_pte import pmd_trans_unstable
from pagerace.mm.spinlock import spin_unlock
from pagerace.mm.table_walk import tables_vanish
from pagerace.mm.walk_notes import (
    note_walk_again,
    note_walk_answer,
    note_walk_call,
    note_walk_hole,
    note_walk_split,
)


class Next(Enum):
    """How the walk goes on after a callback, or after an entry."""

    DOWN = 0
    BEHIND = 1
    AGAIN = 2
    STOP = 3


def addr_end(level: int, addr: ulong, end: ulong) -> ulong:
    """pmd_addr_end() and its like: the end of what an entry covers, or ``end``.

    Either may be 0, which is the end of the address space.
    """
    if pages_below(level) == Machine.pages:
        return end
    boundary: ulong = (addr // pages_below(level) + 1) * pages_below(level)
    return boundary if ulong(boundary - 1) < ulong(end - 1) else end


def real_depth(depth: int) -> s32:
    """real_depth(): of a level that is folded into others, that of the PGD."""
    return depth if Machine.levels >= 6 - depth else 0


def stop(walk: mm_walk, err: s32) -> Next:
    """The walk ends with ``err``, if that is not 0."""
    walk.err = err
    return Next.STOP if err != 0 else Next.BEHIND


def reset_action(walk: mm_walk) -> None:
    """``walk->action = ACTION_SUBTREE``, before each callback: no answer is another's."""
    if Pagewalk.answer is Answer.ACTION or tables_vanish():
        walk.action = ACTION_SUBTREE


def hole(addr: ulong, next: ulong, depth: s32, ops: mm_walk_ops, walk: mm_walk) -> Next:
    """There is nothing from ``addr`` to ``next``."""
    note_walk_hole(addr, next)
    if ops.pte_hole is not None:
        return stop(walk, ops.pte_hole(addr, next, depth, walk))
    return Next.BEHIND


def action_of(walk: mm_walk) -> Next:
    """What ``walk->action`` says."""
    if walk.action is ACTION_AGAIN:
        return Next.AGAIN
    return Next.BEHIND if walk.action is ACTION_CONTINUE else Next.DOWN


def answer_of(pmd: pmd_t, err: s32, walk: mm_walk) -> Next:
    """What the result of pmd_entry means, to this walker."""
    if Pagewalk.answer is Answer.FALLBACK:
        if err == PAGE_WALK_FALLBACK:
            return Next.DOWN
        return stop(walk, err)
    if Pagewalk.answer is Answer.RETRY:
        if err == PAGE_WALK_RETRY:
            return Next.AGAIN
        if err == 0 and pmd_trans_unstable(pmd):
            return Next.BEHIND
    if Pagewalk.answer is Answer.EAGAIN and err == -EAGAIN:
        return Next.AGAIN
    if (Pagewalk.answer is Answer.POSITIVE or Pagewalk.answer is Answer.EAGAIN) and err > 0:
        return Next.BEHIND
    walk.err = err
    if err != 0:
        return Next.STOP
    return action_of(walk) if Pagewalk.answer is Answer.ACTION else Next.DOWN


# -- PMD entries ------------------------------------------------------------------


def walk_pmd_range(
    table: upper_table, addr: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk
) -> Next:
    """walk_pmd_range(): the PMD entries of a range; ``table`` is that in which they stand."""
    while True:
        next = addr_end(2, addr, end)
        step = walk_pmd(table.entry[index_at(2, addr)], addr, next, ops, walk)
        if step is Next.STOP:
            return step
        if step is Next.AGAIN:
            note_walk_again()
            continue
        if next == end:
            return Next.BEHIND
        addr = next


def walk_pmd(pmd: pmd_t, addr: ulong, next: ulong, ops: mm_walk_ops, walk: mm_walk) -> Next:
    """One round of walk_pmd_range(), from its label ``again`` on."""
    if no_entry(pmd, walk):
        if ops.install_pte is None:
            return hole(addr, next, real_depth(3), ops, walk)
        else:
            if __pte_alloc(walk.mm, pmd):
                return stop(walk, -ENOMEM)
    reset_action(walk)
    if ops.pmd_entry is not None:
        answer = call_pmd_entry(pmd, addr, next, ops, walk)
        if answer is not Next.DOWN:
            return answer
    if ops.pte_entry is not None or ops.install_pte is not None:
        return walk_below_pmd(pmd, addr, next, ops, walk)
    return Next.BEHIND


def no_entry(entry: pmd_t, walk: mm_walk) -> bool:
    """pmd_none(), pud_none(); until v5.5 there is nothing either where no VMA is."""
    if not Pagewalk.no_vma and walk.vma is None:
        return True
    return PteTables.come_and_go and pmd_none(pmdp_get(entry))


def call_pmd_entry(
    pmd: pmd_t, addr: ulong, next: ulong, ops: mm_walk_ops, walk: mm_walk
) -> Next:
    """pmd_entry, and what its answer means; with pmd_locked of a huge entry, and locked."""
    if ops.pmd_entry is None:
        return Next.DOWN
    vma = walk.vma
    if Pagewalk.pmd_locked and vma is not None:
        ptl = pmd_trans_huge_lock(pmd, vma)
        if ptl is None:
            return Next.DOWN
        note_walk_call(pmd)
        err = ops.pmd_entry(pmd, addr, next, walk)
        note_walk_answer(addr, next, pmd, True, err)
        spin_unlock(ptl)
        return stop(walk, err)
    walk.err = 0
    note_walk_call(pmd)
    err = ops.pmd_entry(pmd, addr, next, walk)
    answer = answer_of(pmd, err, walk)
    done = answer is Next.BEHIND or (answer is Next.DOWN and ops.pte_entry is None)
    note_walk_answer(addr, next, pmd, done, walk.err)
    return answer


def walk_below_pmd(
    pmd: pmd_t, addr: ulong, next: ulong, ops: mm_walk_ops, walk: mm_walk
) -> Next:
    """The rest of the round: split what is huge, and walk the PTEs."""
    vma = walk.vma
    if vma is None:
        if pmd_leaf(pmdp_get(pmd)) or not pmd_present(pmdp_get(pmd)):
            return Next.BEHIND
    else:
        if ops.pte_entry is None and pmd_leaf(pmdp_get(pmd)):
            return Next.BEHIND  # who only installs has nothing to do in it
        if Pagewalk.split_always or ops.pmd_entry is None:
            note_walk_split(addr, pmd, ops.pte_entry is not None)
            split_huge_pmd(vma, pmd, addr)
        if Pagewalk.unstable_test and not tables_vanish() and pmd_trans_unstable(pmd):
            return Next.AGAIN
    walk.err = walk_pte_range(pmd, addr, next, ops, walk)
    if walk.err != 0:
        return Next.STOP
    if asks_again(walk):
        return Next.AGAIN
    return Next.BEHIND


def asks_again(walk: mm_walk) -> bool:
    """Is it ACTION_AGAIN after the PTEs, v6.5 and later; there was no table, for one."""
    return tables_vanish() and walk.action is ACTION_AGAIN


# -- PUD entries ------------------------------------------------------------------


def walk_pud_range(
    table: upper_table, addr: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk
) -> Next:
    """walk_pud_range(), as walk_pmd_range()."""
    if Machine.levels < 3 and ops.pud_entry is None:
        return walk_pmd_range(table, addr, end, ops, walk)
    else:
        return walk_puds(table, addr, end, ops, walk)


def walk_puds(
    table: upper_table, addr: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk
) -> Next:
    """Its loop, where there are PUD entries."""
    while True:
        next = addr_end(min(3, Machine.levels), addr, end)
        entry = table.entry[index_at(min(3, Machine.levels), addr)]
        step = walk_pud(entry, table, addr, next, ops, walk)
        if step is Next.STOP:
            return step
        if step is Next.AGAIN:
            note_walk_again()
            continue
        if next == end:
            return Next.BEHIND
        addr = next


def walk_pud(
    pud: pud_t, table: upper_table, addr: ulong, next: ulong, ops: mm_walk_ops, walk: mm_walk
) -> Next:
    """One round of walk_pud_range(), from its label ``again`` on."""
    if Machine.levels >= 3 and no_entry(pud, walk):
        if ops.install_pte is None:
            return hole(addr, next, real_depth(2), ops, walk)
        else:
            if alloc_below(walk.mm, pud, 2):
                return stop(walk, -ENOMEM)
    reset_action(walk)
    if ops.pud_entry is not None:
        answer = call_pud_entry(pud, addr, next, ops, walk)
        if answer is not Next.DOWN:
            return answer
    if ops.pmd_entry is not None or ops.pte_entry is not None or ops.install_pte is not None:
        return walk_below_pud(pud, table, addr, next, ops, walk)
    return Next.BEHIND


def walk_below_pud(
    pud: pud_t, table: upper_table, addr: ulong, next: ulong, ops: mm_walk_ops, walk: mm_walk
) -> Next:
    """The rest of the round: split what is huge, and go down."""
    vma = walk.vma
    if vma is not None:
        split_huge_pud(vma, pud, addr)
        if PteTables.come_and_go and Machine.levels >= 3 and pmd_none(pmdp_get(pud)):
            return Next.AGAIN
    elif pud_leaf(pmdp_get(pud)) or not pmd_present(pmdp_get(pud)):
        return Next.BEHIND
    below = table if Machine.levels < 3 else pud_pgtable(pmdp_get(pud))
    return walk_pmd_range(below, addr, next, ops, walk)


def call_pud_entry(
    pud: pud_t, addr: ulong, next: ulong, ops: mm_walk_ops, walk: mm_walk
) -> Next:
    """pud_entry: until v5.5 of huge entries only, with their lock; then of any."""
    if ops.pud_entry is None:
        return Next.DOWN
    vma = walk.vma
    if Pagewalk.pud_locked and vma is not None:
        ptl = pud_trans_huge_lock(pud, vma)
        if ptl is None:
            return Next.DOWN
        err = ops.pud_entry(pud, addr, next, walk)
        spin_unlock(ptl)
        return stop(walk, err)
    walk.err = ops.pud_entry(pud, addr, next, walk)
    if walk.err != 0:
        return Next.STOP
    return action_of(walk) if Pagewalk.answer is Answer.ACTION else Next.DOWN


# -- above them -------------------------------------------------------------------


def walk_p4d_range(
    table: upper_table, addr: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk
) -> Next:
    """walk_p4d_range().  p4d_entry and pgd_entry have no say in where the walk goes."""
    if Machine.levels < 4 and ops.p4d_entry is None:
        return walk_pud_range(table, addr, end, ops, walk)
    else:
        return walk_p4ds(table, addr, end, ops, walk)


def walk_p4ds(
    table: upper_table, addr: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk
) -> Next:
    """Its loop, where there are P4D entries."""
    while True:
        next = addr_end(min(4, Machine.levels), addr, end)
        p4d = table.entry[index_at(min(4, Machine.levels), addr)]
        if Machine.levels >= 4 and no_entry(p4d, walk):
            missing = missing_table(p4d, 3, addr, next, ops, walk)
        else:
            missing = Next.DOWN
        if missing is Next.DOWN:
            if ops.p4d_entry is not None:
                missing = stop(walk, ops.p4d_entry(p4d, addr, next, walk))
            if missing is not Next.STOP and goes_below_p4d(ops):
                below = pud_pgtable(pmdp_get(p4d)) if Machine.levels >= 4 else table
                missing = walk_pud_range(below, addr, next, ops, walk)
        if missing is Next.STOP:
            return missing
        if next == end:
            return Next.BEHIND
        addr = next


def walk_pgd_range(addr: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk) -> Next:
    """walk_pgd_range(), from ``walk->mm->pgd`` on."""
    table = walk.mm.pgd
    if table is None:
        return hole(addr, end, 0, ops, walk)
    if Machine.levels < 5 and ops.pgd_entry is None:
        return walk_p4d_range(table, addr, end, ops, walk)
    else:
        return walk_pgds(table, addr, end, ops, walk)


def walk_pgds(
    table: upper_table, addr: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk
) -> Next:
    """Its loop, where there are PGD entries."""
    while True:
        next = addr_end(Machine.levels, addr, end)
        pgd = table.entry[index_at(Machine.levels, addr)]
        if Machine.levels == 5 and no_entry(pgd, walk):
            missing = missing_table(pgd, 4, addr, next, ops, walk)
        else:
            missing = Next.DOWN
        if missing is Next.DOWN:
            if ops.pgd_entry is not None:
                missing = stop(walk, ops.pgd_entry(pgd, addr, next, walk))
            if missing is not Next.STOP and (ops.p4d_entry is not None or goes_below_p4d(ops)):
                below = pud_pgtable(pmdp_get(pgd)) if Machine.levels == 5 else table
                missing = walk_p4d_range(below, addr, next, ops, walk)
        if missing is Next.STOP:
            return missing
        if next == end:
            return Next.BEHIND
        addr = next


def missing_table(
    entry: pmd_t, level: int, addr: ulong, next: ulong, ops: mm_walk_ops, walk: mm_walk
) -> Next:
    """An entry above the PUD's is none: a hole, or DOWN if there is a table by now."""
    if ops.install_pte is None:
        return hole(addr, next, real_depth(4 - level), ops, walk)
    else:
        if alloc_below(walk.mm, entry, level):
            return stop(walk, -ENOMEM)
        return Next.DOWN


def goes_below_p4d(ops: mm_walk_ops) -> bool:
    """Is there any callback for what is below a P4D entry?"""
    if ops.pud_entry is not None or ops.pmd_entry is not None:
        return True
    return ops.pte_entry is not None or ops.install_pte is not None
