"""Is a flush still to come, and who wants to know?  include/linux/mm_inline.h.

The kernel counts per mm, for tlb_finish_mmu().  In October 2022 it was proposed that others
look too, so that zap_pte_range() need not flush before it drops the PTL: folio_mkclean(),
or a fault; and, by Nadav Amit, that each page table counts for itself.
"""

from __future__ import annotations

from enum import Enum

from pagerace.lang import READ_ONCE, Config, atomic
from pagerace.mm.atomic import atomic_dec_and_test, atomic_inc, atomic_read
from pagerace.mm.mm_types import mm_struct, pmd_ptdesc, pmd_t


class Pending(Enum):
    """What tells that a flush is pending: mm_tlb_flush_pending(), or the page table."""

    NOTHING = 0
    MM = 1
    TABLE = 2


class FlushPending(Config):
    """Proposals.  ``mkclean``: what folio_mkclean() looks at, to flush then itself.
    ``fault``: a fault looks at mm_tlb_flush_pending() and flushes before it maps a page."""

    mkclean: Pending = Pending.NOTHING
    fault: bool = False


def inc_tlb_flush_pending(mm: mm_struct) -> None:
    """inc_tlb_flush_pending(): PTEs will be cleared before they are flushed."""
    atomic_inc(mm.tlb_flush_pending)


def dec_tlb_flush_pending(mm: mm_struct) -> None:
    """dec_tlb_flush_pending(): the flush is done."""
    atomic_dec_and_test(mm.tlb_flush_pending)


def mm_tlb_flush_pending(mm: mm_struct) -> bool:
    """mm_tlb_flush_pending(): does somebody gather?"""
    return atomic_read(mm.tlb_flush_pending) != 0


def mm_tlb_flush_nested(mm: mm_struct) -> bool:
    """mm_tlb_flush_nested(): does somebody gather besides the one who asks?"""
    return atomic_read(mm.tlb_flush_pending) > 1


def pte_table_flush_begin(pmd: pmd_t) -> None:
    """A gather has cleared its first entry of this table; PTL held.  A proposal."""
    table = pmd_ptdesc(pmd)
    with atomic():
        table.tlb_gen += 1


def pte_table_flush_end(pmd: pmd_t) -> None:
    """That gather has flushed.  A proposal."""
    table = pmd_ptdesc(pmd)
    with atomic():
        table.tlb_gen_completed += 1


def pte_table_flush_pending(pmd: pmd_t) -> bool:
    """Has some gather still to flush what it cleared in this table?  A proposal."""
    table = pmd_ptdesc(pmd)
    return READ_ONCE(table.tlb_gen) != READ_ONCE(table.tlb_gen_completed)
