"""Page-table entries that are read without a lock: include/linux/pgtable.h.

On x86 PAE (CONFIG_GUP_GET_PXX_LOW_HIGH) an entry is loaded in two halves.  Elsewhere each of
these is one load.  Under ``order sc`` the barriers order nothing: a claim that needs one
more or one less of them cannot be made here.
"""

from __future__ import annotations

from pagerace.lang import Config, smp_rmb
from pagerace.machine.arch import Arch
from pagerace.machine.entry import load_entry_whole, pte_slot, pte_t
from pagerace.machine.memory import Machine
from pagerace.machine.pae import both_halves, load_high, load_low
from pagerace.machine.pgtable import ptep_get
from pagerace.machine.tables import PteTables, pmd_t, pmdp_get, pmdval_t


class Lockless(Config):
    """How a 64-bit entry is read on a machine of 32-bit words.

    ``cmpxchg8b``: in one locked instruction, as was proposed in October 2022 and not done.
    ``pmd_loop``: an entry of the PMD is read as one of the tables below it is.
    """

    cmpxchg8b: bool = False
    pmd_loop: bool = True


# Linux kernel commit 024d232ae4fc ("mm: Fix pmd_read_atomic()") (in v6.2)
V6_1 = Lockless(pmd_loop=False)
V6_2 = Lockless()


def ptep_get_lockless(ptep: pte_slot) -> pte_t:
    """ptep_get_lockless(): both halves, read until the low one stands still.

    What it says of itself: with interrupts off, a present entry cannot become another
    present one without a TLB flush in between, which waits for us; so an entry whose low
    half is the same has been the same.
    """
    if Machine.arch is not Arch.X86_PAE:
        return ptep_get(ptep)
    if Lockless.cmpxchg8b:
        return load_entry_whole(ptep)
    while True:
        low = load_low(ptep)
        smp_rmb()
        high = load_high(ptep)
        smp_rmb()
        if not low_changed(ptep, low):
            return both_halves(low, high)


def low_changed(ptep: pte_slot, low: pte_t) -> bool:
    """``pte.pte_low != ptep->pte_low``."""
    return low != load_low(ptep)


def pmdp_get_lockless(pmd: pmd_t) -> pmdval_t:
    """pmdp_get_lockless(): an entry of the PMD, read in the same way.

    Linux kernel commit 024d232ae4fc ("mm: Fix pmd_read_atomic()") (in v6.2) and commit
    dab6e717429e ("mm: Rename pmd_read_atomic()") (in v6.2).
    """
    if not PteTables.come_and_go:
        return pmdp_get(pmd)
    if not Lockless.pmd_loop:
        return pmd_read_atomic(pmd)
    return ptep_get_lockless(pmd.entry)


def pmd_read_atomic(pmd: pmd_t) -> pmdval_t:
    """pmd_read_atomic() of arch/x86/include/asm/pgtable-3level.h, until v6.1.

    Low, then high, and no second look: "none" is told from the low half alone.
    """
    if Machine.arch is not Arch.X86_PAE:
        return pmdp_get(pmd)
    low = load_low(pmd.entry)
    if low == pte_t():
        return low
    smp_rmb()
    return both_halves(low, load_high(pmd.entry))
