"""Page-table entries: arch/x86/include/asm/pgtable.h.

    bit   field      set by
    0     present    the kernel
    1     writable   the kernel
    2     accessed   the kernel; the walker, with a locked RMW, when it fills a TLB
    3     dirty      the kernel; the walker, with a locked RMW, before a first store
    4..   pfn        the kernel

TRUSTED: bit layout and what one access can do.  The kernel names of the helpers are kept.
"""

from __future__ import annotations

from pagerace.lang import READ_ONCE, WRITE_ONCE, Array, BitStruct, Struct, array, xchg
from pagerace.machine.memory import Machine, pfn_t, ulong


class pte_t(BitStruct):
    """The value of a page-table entry.  All bits zero: pte_none()."""

    present: bool = False
    writable: bool = False
    accessed: bool = False
    dirty: bool = False
    pfn: pfn_t = 0


class pte_slot(Struct):
    """One entry in memory: what a ``pte_t *`` points to."""

    value: pte_t


class page_table(Struct):
    """One table of entries, which the walker reads on its own."""

    pte: Array[pte_slot] = array(lambda: Machine.pages)


def pte_none(pte: pte_t) -> bool:
    """pte_none() of arch/x86/include/asm/pgtable.h."""
    return pte == pte_t()


def pte_present(pte: pte_t) -> bool:
    """pte_present() of arch/x86/include/asm/pgtable.h."""
    return pte.present


def pte_write(pte: pte_t) -> bool:
    """pte_write() of arch/x86/include/asm/pgtable.h."""
    return pte.writable


def pte_dirty(pte: pte_t) -> bool:
    """pte_dirty() of arch/x86/include/asm/pgtable.h."""
    return pte.dirty


def pte_pfn(pte: pte_t) -> pfn_t:
    """pte_pfn() of arch/x86/include/asm/pgtable.h."""
    return pte.pfn


def pte_same(a: pte_t, b: pte_t) -> bool:
    """pte_same() of arch/x86/include/asm/pgtable.h."""
    return a == b


def pfn_pte(pfn: pfn_t, writable: bool) -> pte_t:
    """pfn_pte() of arch/x86/include/asm/pgtable.h: clean, old, with this protection."""
    return pte_t(present=True, writable=writable, pfn=pfn)


def pte_mkyoung(pte: pte_t) -> pte_t:
    """pte_mkyoung() of arch/x86/include/asm/pgtable.h."""
    return pte.replace(accessed=True)


def pte_mkdirty(pte: pte_t) -> pte_t:
    """pte_mkdirty() of arch/x86/include/asm/pgtable.h."""
    return pte.replace(dirty=True)


def pte_mkclean(pte: pte_t) -> pte_t:
    """pte_mkclean() of arch/x86/include/asm/pgtable.h."""
    return pte.replace(dirty=False)


def pte_mkwrite(pte: pte_t) -> pte_t:
    """pte_mkwrite() of arch/x86/include/asm/pgtable.h."""
    return pte.replace(writable=True)


def pte_wrprotect(pte: pte_t) -> pte_t:
    """pte_wrprotect() of arch/x86/include/asm/pgtable.h."""
    return pte.replace(writable=False)


def pte_offset_kernel(table: page_table, address: ulong) -> pte_slot:
    """pte_offset_kernel() of include/linux/pgtable.h: the entry of an address."""
    return table.pte[address]


def ptep_get(ptep: pte_slot) -> pte_t:
    """ptep_get() of include/linux/pgtable.h: one load of the whole entry."""
    return READ_ONCE(ptep.value)


def set_pte(ptep: pte_slot, pte: pte_t) -> None:
    """native_set_pte() of arch/x86/include/asm/pgtable_64.h: one store."""
    WRITE_ONCE(ptep.value, pte)


def native_ptep_get_and_clear(ptep: pte_slot) -> pte_t:
    """native_ptep_get_and_clear() of arch/x86/include/asm/pgtable_64.h.

    One xchg, so that a dirty bit which the walker sets is either seen here or refused
    to the walker, never lost in between.
    """
    return xchg(ptep.value, pte_t())
