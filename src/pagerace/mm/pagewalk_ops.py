"""What a walk of page tables is asked to do: include/linux/pagewalk.h.

``mm_walk_ops`` is a table of callbacks, ``mm_walk`` what a walk carries along, and
``Pagewalk`` says which kernel's walker it is, or whose proposal for one:

=====================  ===========================================================
``V5_4``               as it stood in October 2019: PTEs without their lock
``V4_FALLBACK``        Thomas Hellstrom's series v4: PAGE_WALK_FALLBACK goes down
``LINUS_ZERO``         Linus Torvalds: 0 means "split and do ptes", always
``POSITIVE_HANDLED``   Linus Torvalds, later: what is positive means "handled"
``RETRY``              Thomas Hellstrom's mail: PAGE_WALK_RETRY, all else is 0
``KIRILL_EAGAIN``      Kirill Shutemov: -EAGAIN means that the entry is looked at again
``LOCKED_PMD``         Kirill Shutemov: the walker takes pmd_trans_huge_lock()
``V5_5``               ace88f1018b8: PTEs with their lock
``V5_6``               3afc423632a1: ``walk->action``
``V6_5``               49b0638502da: walk locks; with table_walk.V6_5 (be872f83bf57)
``V6_19``              with install_pte
=====================  ===========================================================
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from pagerace.lang import Config, Constants, Ref, Struct, per_thread, s32
from pagerace.machine.memory import ulong
from pagerace.machine.pgtable import pte_slot, pte_t
from pagerace.machine.tables import p4d_t, pgd_t, pmd_t, pud_t
from pagerace.mm import table_walk
from pagerace.mm.mm_types import mm_struct, vm_area_struct

# What pmd_entry answers in the proposals; other positive values are the caller's own.
PAGE_WALK_FALLBACK = 1
PAGE_WALK_RETRY = 2
PAGE_WALK_HANDLED = 3


class page_walk_action(Enum):
    """enum page_walk_action: what a callback wants to happen to its entry.  v5.6 and later.

    SUBTREE: go down, and split for it.  CONTINUE: it is done with.  AGAIN: begin it again.
    """

    ACTION_SUBTREE = 0
    ACTION_CONTINUE = 1
    ACTION_AGAIN = 2


ACTION_SUBTREE = page_walk_action.ACTION_SUBTREE
ACTION_CONTINUE = page_walk_action.ACTION_CONTINUE
ACTION_AGAIN = page_walk_action.ACTION_AGAIN


class page_walk_lock(Enum):
    """enum page_walk_lock: which lock of the mm the walk wants.  v6.5 and later."""

    PGWALK_RDLOCK = 0
    PGWALK_WRLOCK = 1
    PGWALK_WRLOCK_VERIFY = 2


PGWALK_RDLOCK = page_walk_lock.PGWALK_RDLOCK
PGWALK_WRLOCK = page_walk_lock.PGWALK_WRLOCK
PGWALK_WRLOCK_VERIFY = page_walk_lock.PGWALK_WRLOCK_VERIFY


class Answer(Enum):
    """What the result of a pmd_entry means; negative values end the walk, if not said.

    ZERO_DOWN: 0 goes down, all else ends the walk.  FALLBACK: PAGE_WALK_FALLBACK goes down,
    0 is done with.  POSITIVE: 0 goes down, what is positive is done with.  RETRY:
    PAGE_WALK_RETRY again, 0 goes down where there are PTEs by now.  EAGAIN: as POSITIVE, and
    -EAGAIN again.  ACTION: ``walk->action`` says it.
    """

    ZERO_DOWN = 0
    FALLBACK = 1
    POSITIVE = 2
    RETRY = 3
    EAGAIN = 4
    ACTION = 5


class Ptes(Enum):
    """How a table of PTEs is walked: without its lock, or with it."""

    MAPPED = 0
    LOCKED = 1


class Pagewalk(Config):
    """Which walker it is.

    ``answer``: what pmd_entry's result means.  ``ptes``: how PTEs are walked.
    ``pud_locked``: pud_entry is called of huge entries only, with their lock; ``pmd_locked``
    the same of PMD entries.  ``split_always``: not only where there is no pmd_entry.
    ``unstable_test``: pmd_trans_unstable() before a table is walked; not where TableWalk has
    tables that may be missing.  ``no_vma``: a walk that
    knows no VMA takes no lock of PTEs.  ``walk_locks``: mm_walk_ops.walk_lock is looked at.
    ``unlock_before``: ``pte - 1`` is unmapped, as in v4 of the series that took the lock.
    """

    answer: Answer = Answer.ACTION
    ptes: Ptes = Ptes.LOCKED
    pud_locked: bool = False
    pmd_locked: bool = False
    split_always: bool = True
    unstable_test: bool = True
    no_vma: bool = True
    walk_locks: bool = True
    unlock_before: bool = False


V5_4 = Pagewalk(
    answer=Answer.ZERO_DOWN, ptes=Ptes.MAPPED, pud_locked=True, no_vma=False,
    walk_locks=False,
)  # fmt: skip
V5_5 = V5_4.replace(ptes=Ptes.LOCKED)
V4_FALLBACK = V5_5.replace(answer=Answer.FALLBACK, split_always=False)
LINUS_ZERO = V5_5
POSITIVE_HANDLED = V5_5.replace(answer=Answer.POSITIVE)
RETRY = V5_5.replace(answer=Answer.RETRY)
KIRILL_EAGAIN = V5_5.replace(answer=Answer.EAGAIN)
LOCKED_PMD = V5_5.replace(pmd_locked=True)
V5_6 = V5_5.replace(answer=Answer.ACTION, pud_locked=False, no_vma=True)
V6_5 = V5_6.replace(walk_locks=True)
V6_19 = V6_5
# As first posted, v4 2/9 of the series; 3afc423632a1 and later have it right.
UNLOCK_BEFORE = V5_5.replace(unlock_before=True)

# All of them, by the names that people type; with the rest of the kernel that goes with it.
WALKERS: dict[str, tuple[Config, ...]] = {
    "v5.4": (V5_4,),
    "v4-fallback": (V4_FALLBACK,),
    "linus-zero": (LINUS_ZERO,),
    "positive-handled": (POSITIVE_HANDLED,),
    "retry": (RETRY,),
    "kirill-eagain": (KIRILL_EAGAIN,),
    "locked-pmd": (LOCKED_PMD,),
    "v5.5": (V5_5,),
    "v5.6": (V5_6,),
    "v6.5": (V6_5, table_walk.V6_5),
    "v6.19": (V6_19, table_walk.V6_14),
}


class mm_walk(Struct):
    """struct mm_walk: what a walk carries along, and its callbacks see.

    ``vma`` is None between VMAs and where ``no_vma`` is set.  ``action``: see above.
    ``new_pte``: install_pte's answer, which is an out-parameter in C.  ``err``: what a
    callback ended the walk with.
    """

    mm: Ref[mm_struct]
    vma: vm_area_struct | None = None
    no_vma: bool
    action: page_walk_action
    new_pte: pte_t
    err: s32


# On the stack of walk_page_range(): a walk begins no other one.
mm_walks = per_thread(mm_walk)


class mm_walk_ops(Constants):
    """struct mm_walk_ops: what to call.  Who is not there is not called.

    Each gets an entry, the range ``addr`` to ``next`` that it covers in this walk, and the
    walk.  A result other than 0 ends the walk, but for pmd_entry's (see Answer) and
    test_walk's: there a positive one leaves the VMA out.  ``pte_hole`` is told of what has no
    entry, with the depth (0: of the PGD, 4: PTE; -1: not known).  ``install_pte`` fills an
    empty PTE: its value is ``walk.new_pte``.  ``post_vma`` is called even after an error.
    """

    pgd_entry: Callable[[pgd_t, ulong, ulong, mm_walk], s32] | None = None
    p4d_entry: Callable[[p4d_t, ulong, ulong, mm_walk], s32] | None = None
    pud_entry: Callable[[pud_t, ulong, ulong, mm_walk], s32] | None = None
    pmd_entry: Callable[[pmd_t, ulong, ulong, mm_walk], s32] | None = None
    pte_entry: Callable[[pte_slot, ulong, ulong, mm_walk], s32] | None = None
    pte_hole: Callable[[ulong, ulong, s32, mm_walk], s32] | None = None
    hugetlb_entry: Callable[[pte_slot, ulong, ulong, mm_walk], s32] | None = None
    test_walk: Callable[[ulong, ulong, mm_walk], s32] | None = None
    pre_vma: Callable[[ulong, ulong, mm_walk], s32] | None = None
    post_vma: Callable[[mm_walk], None] | None = None
    install_pte: Callable[[ulong, ulong, mm_walk], s32] | None = None
    walk_lock: page_walk_lock = PGWALK_RDLOCK
