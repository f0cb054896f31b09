"""Entries of 8 bytes on a machine that loads 4: arch/x86/include/asm/pgtable-3level.h.

    low half     present, writable, accessed, dirty, the low bits of the pfn
    high half    the high bits of the pfn

An access of 4 bytes touches one half, in one step; cmpxchg8b touches both, and so does the
walker, which reads 8 bytes at once.  Here a half is a value whose other half is zero.

TRUSTED: what one access can do.  The kernel names of the helpers are kept.
"""

from __future__ import annotations

from pagerace.lang import READ_ONCE, Config, atomic, smp_wmb
from pagerace.machine.entry import exchange_entry, pte_slot, pte_t, remember
from pagerace.machine.memory import pfn_t


class Pae(Config):
    """``low_pfn_bits``: bits of a frame number that are in the low half.

    20 in the hardware: frames that lie 4 GiB apart have equal low halves.  Here frame n
    and frame n + 2**low_pfn_bits have.

    ``xchg64``: an entry is taken away whole, by cmpxchg8b, not half by half.  Linux kernel
    commit d4a72e7fe61a ("x86/mm/pae: Be consistent with pXXp_get_and_clear()") (in v6.2)
    did so at all levels by pxx_xchg64().
    """

    low_pfn_bits: int = 1
    xchg64: bool = True


def low_half(pte: pte_t) -> pte_t:
    """``pte.pte_low``."""
    low_pfn: pfn_t = pte.pfn & ((1 << Pae.low_pfn_bits) - 1)
    return pte.replace(pfn=low_pfn)


def high_half(pte: pte_t) -> pte_t:
    """``pte.pte_high``."""
    high_pfn: pfn_t = (pte.pfn >> Pae.low_pfn_bits) << Pae.low_pfn_bits
    return pte_t(pfn=high_pfn)


def both_halves(low: pte_t, high: pte_t) -> pte_t:
    """``(pte_t){ .pte_low = low, .pte_high = high }``."""
    return low.replace(pfn=low.pfn | high.pfn)


def load_low(ptep: pte_slot) -> pte_t:
    """READ_ONCE(ptep->pte_low): one load of 4 bytes."""
    return low_half(READ_ONCE(ptep.value))


def load_high(ptep: pte_slot) -> pte_t:
    """READ_ONCE(ptep->pte_high): one load of 4 bytes."""
    return high_half(READ_ONCE(ptep.value))


def store_low(ptep: pte_slot, pte: pte_t) -> None:
    """WRITE_ONCE(ptep->pte_low, pte.pte_low): one store of 4 bytes."""
    with atomic():  # the other half is not touched
        ptep.value = both_halves(low_half(pte), high_half(ptep.value))
        remember(ptep)


def store_high(ptep: pte_slot, pte: pte_t) -> None:
    """WRITE_ONCE(ptep->pte_high, pte.pte_high): one store of 4 bytes."""
    with atomic():  # the other half is not touched
        ptep.value = both_halves(low_half(ptep.value), high_half(pte))
        remember(ptep)


def exchange_low(ptep: pte_slot, pte: pte_t) -> pte_t:
    """xchg(&ptep->pte_low, pte.pte_low): one locked instruction."""
    with atomic():  # the other half is not touched
        was = ptep.value
        ptep.value = both_halves(low_half(pte), high_half(was))
        remember(ptep)
    return low_half(was)


def load_halves(ptep: pte_slot) -> pte_t:
    """``*ptep``, for which a compiler makes two loads.  C gives no order; low comes first."""
    low = load_low(ptep)
    high = load_high(ptep)
    return both_halves(low, high)


def native_set_pte(ptep: pte_slot, pte: pte_t) -> None:
    """native_set_pte(): the half with ``present`` last, so that nobody sees it too early."""
    store_high(ptep, pte)
    smp_wmb()
    store_low(ptep, pte)


def native_pte_clear(ptep: pte_slot) -> None:
    """native_pte_clear(): the half with ``present`` first."""
    store_low(ptep, pte_t())
    smp_wmb()
    store_high(ptep, pte_t())


def native_get_and_clear(ptep: pte_slot) -> pte_t:
    """native_ptep_get_and_clear() and its like of the levels above."""
    if Pae.xchg64:
        return exchange_entry(ptep, pte_t())
    low = exchange_low(ptep, pte_t())  # a barrier before the high half goes
    high = load_high(ptep)
    store_high(ptep, pte_t())
    return both_halves(low, high)
