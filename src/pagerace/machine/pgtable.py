"""Entries and tables of PTEs: asm/pgtable.h of x86, arm64 and s390.

An entry is read and written whole, or, on a machine whose words are shorter, in halves
(machine/pae.py).  What its bits mean to the hardware is in machine/walker.py.

TRUSTED: what one access can do.  The kernel names of the helpers are kept.
"""

from __future__ import annotations

from pagerace.lang import Array, Struct, array
from pagerace.machine.arch import Arch
from pagerace.machine.entry import (
    exchange_entry,
    load_entry_whole,
    pte_slot,
    pte_t,
    store_entry,
)
from pagerace.machine.memory import Machine, pfn_t, ulong
from pagerace.machine.pae import (
    load_halves,
    native_get_and_clear,
    native_pte_clear,
    native_set_pte,
)
from pagerace.machine.walker import arm64


def ptrs_per_pte() -> int:
    """PTRS_PER_PTE: the pages that one table of PTEs translates."""
    if Machine.levels == 2:
        return Machine.pages // Machine.entries
    if Machine.levels == 3:
        return Machine.pages // Machine.entries // Machine.entries
    if Machine.levels == 4:
        return Machine.pages // Machine.entries // Machine.entries // Machine.entries
    return (
        Machine.pages
        // (Machine.entries * Machine.entries)
        // (Machine.entries * Machine.entries)
    )


def entries_to_the(power: int) -> int:
    """Tables that one table leads to, ``power`` levels below, of 0 to 4."""
    number = 1
    for _ in range(power):
        number = number * Machine.entries
    return number


class page_table(Struct):
    """One table of PTEs, which the walker reads on its own."""

    pte: Array[pte_slot] = array(lambda: ptrs_per_pte())


def pte_none(pte: pte_t) -> bool:
    """pte_none() of arch/x86/include/asm/pgtable.h."""
    return pte == pte_t()


def pte_present(pte: pte_t) -> bool:
    """pte_present() of arch/x86/include/asm/pgtable.h: what PROT_NONE hides is there, too."""
    return pte.present or pte.protnone


def pte_accessible(pte: pte_t) -> bool:
    """pte_accessible() of arch/x86/include/asm/pgtable.h: a TLB can have it."""
    return pte.present


def pte_write(pte: pte_t) -> bool:
    """pte_write() of asm/pgtable.h; on arm64 and s390 it says what a fault may grant."""
    return pte.writable


def pte_hw_dirty(pte: pte_t) -> bool:
    """pte_hw_dirty() of arch/arm64/include/asm/pgtable.h."""
    return pte.writable and not pte.read_only


def pte_dirty(pte: pte_t) -> bool:
    """pte_dirty() of asm/pgtable.h; on arm64 pte_sw_dirty() or pte_hw_dirty()."""
    if arm64():
        return pte.dirty or pte_hw_dirty(pte)
    return pte.dirty


def pte_young(pte: pte_t) -> bool:
    """pte_young() of asm/pgtable.h."""
    return pte.accessed


def pte_pfn(pte: pte_t) -> pfn_t:
    """pte_pfn() of arch/x86/include/asm/pgtable.h."""
    return pte.pfn


def pte_same(a: pte_t, b: pte_t) -> bool:
    """pte_same() of arch/x86/include/asm/pgtable.h."""
    return a == b


def pfn_pte(pfn: pfn_t, writable: bool) -> pte_t:
    """pfn_pte() of asm/pgtable.h: clean, old, with this protection."""
    return pte_t(present=True, writable=writable, read_only=arm64(), pfn=pfn)


def pte_mkyoung(pte: pte_t) -> pte_t:
    """pte_mkyoung() of asm/pgtable.h."""
    return pte.replace(accessed=True)


def pte_mkold(pte: pte_t) -> pte_t:
    """pte_mkold() of asm/pgtable.h."""
    return pte.replace(accessed=False)


def pte_mkdirty(pte: pte_t) -> pte_t:
    """pte_mkdirty() of asm/pgtable.h; on arm64 a permission becomes a right."""
    if arm64() and pte.writable:
        return pte.replace(dirty=True, read_only=False)
    return pte.replace(dirty=True)


def pte_mkclean(pte: pte_t) -> pte_t:
    """pte_mkclean() of asm/pgtable.h."""
    if arm64():
        return pte.replace(dirty=False, read_only=True)
    return pte.replace(dirty=False)


def pte_mkwrite(pte: pte_t) -> pte_t:
    """pte_mkwrite() of asm/pgtable.h; on arm64 what is writable from now on is dirty."""
    if arm64():
        return pte.replace(writable=True, read_only=False)
    return pte.replace(writable=True)


def pte_wrprotect(pte: pte_t) -> pte_t:
    """pte_wrprotect() of asm/pgtable.h; arm64 keeps in software that it was dirty."""
    if arm64():
        if pte_hw_dirty(pte):
            pte = pte_mkdirty(pte)
        return pte.replace(writable=False, read_only=True)
    return pte.replace(writable=False)


def pte_modify(pte: pte_t, writable: bool, none: bool) -> pte_t:
    """pte_modify() of asm/pgtable.h: another protection; ``none``: no access at all."""
    return pte.replace(present=not none, protnone=none, writable=writable)


def pte_advance_pfn(pte: pte_t, nr: pfn_t) -> pte_t:
    """pte_advance_pfn() of asm/pgtable.h: the same of the page ``nr`` pages on."""
    return pte.replace(pfn=pte.pfn + nr)


def pte_needs_flush(oldpte: pte_t, newpte: pte_t) -> bool:
    """pte_needs_flush() of arch/x86/include/asm/tlbflush.h: may a TLB have what it must not?

    Rights that are given need none, for who misses them looks at memory again; yet there it
    is asked for, of any change of _PAGE_RW.
    """
    if not pte_accessible(oldpte):
        return False
    if not pte_accessible(newpte) or pte_pfn(oldpte) != pte_pfn(newpte):
        return True
    if pte_dirty(oldpte) and not pte_dirty(newpte):
        return True
    return pte_write(oldpte) != pte_write(newpte)


def pte_offset_kernel(table: page_table, address: ulong) -> pte_slot:
    """pte_offset_kernel() of include/linux/pgtable.h: the entry of an address."""
    if ptrs_per_pte() == Machine.pages:
        return table.pte[address]
    return table.pte[address % ptrs_per_pte()]  # pte_index()


def ptep_get(ptep: pte_slot) -> pte_t:
    """ptep_get() of include/linux/pgtable.h: ``*ptep``, whoever else may write."""
    if Machine.arch is Arch.X86_PAE:
        return load_halves(ptep)
    return load_entry_whole(ptep)


def set_pte(ptep: pte_slot, pte: pte_t) -> None:
    """native_set_pte() of arch/x86/include/asm/pgtable_64.h: one store."""
    if Machine.arch is Arch.X86_PAE:
        native_set_pte(ptep, pte)
    else:
        store_entry(ptep, pte)


def pte_clear(ptep: pte_slot) -> None:
    """pte_clear() of arch/x86/include/asm/pgtable.h."""
    if Machine.arch is Arch.X86_PAE:
        native_pte_clear(ptep)
    else:
        store_entry(ptep, pte_t())


def native_ptep_get_and_clear(ptep: pte_slot) -> pte_t:
    """native_ptep_get_and_clear() of arch/x86/include/asm/pgtable_64.h.

    One xchg, so that a dirty bit which the walker sets is either seen here or refused
    to the walker, never lost in between.
    """
    if Machine.arch is Arch.X86_PAE:
        return native_get_and_clear(ptep)
    return exchange_entry(ptep, pte_t())
