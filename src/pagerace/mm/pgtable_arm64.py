"""Changing PTEs that the hardware may change too: arm64's asm/pgtable.h and mm/fault.c."""

from __future__ import annotations

from pagerace.lang import cmpxchg
from pagerace.machine.pgtable import pte_same, pte_slot, pte_t, pte_wrprotect, ptep_get


def set_access_flags(ptep: pte_slot, entry: pte_t) -> bool:
    """ptep_set_access_flags() of arch/arm64/mm/fault.c, without its flush.

    The rights that are there stay, and those of ``entry`` come to them; RDONLY is the one
    bit that takes a right away.
    """
    pte = ptep_get(ptep)
    if pte_same(pte, entry):
        return False
    while True:
        old = pte
        pte = cmpxchg(ptep.value, old, most_permissive(old, entry))
        if pte_same(pte, old):
            return True


def most_permissive(pte: pte_t, entry: pte_t) -> pte_t:
    """``pte`` with the access flags and the permission of ``entry`` as well."""
    return pte.replace(
        writable=pte.writable or entry.writable,
        accessed=pte.accessed or entry.accessed,
        dirty=pte.dirty or entry.dirty,
        read_only=pte.read_only and entry.read_only,
    )


def set_wrprotect(ptep: pte_slot) -> None:
    """ptep_set_wrprotect() of arch/arm64/include/asm/pgtable.h.

    The hardware may mark the entry dirty in between: then once more, from what is there.
    """
    pte = ptep_get(ptep)
    while True:
        old = pte
        pte = cmpxchg(ptep.value, old, pte_wrprotect(old))
        if pte_same(pte, old):
            return
